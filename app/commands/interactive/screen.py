"""A terminal with lines that scroll away above a block that is redrawn in place, and a prompt below it."""

from __future__ import annotations

import shutil
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

from app.commands.tables import cut
from app.terminal import printable

__all__ = ["Screen", "unbuffered"]

_PROMPT: Final = "> "
# https://www.xfree86.org/current/ctlseqs.html: CUU, cursor up; ED, erase below; CUP and ED, erase everything.
_UP: Final = "\033[{}A"
_ERASE_BELOW: Final = "\r\033[J"
_ERASE_ALL: Final = "\033[H\033[2J"


class Screen:
    """What is on the terminal. Nothing else may write to it."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._rows_above = 0

    @property
    def size(self) -> tuple[int, int]:
        """The columns and rows of the terminal."""
        return shutil.get_terminal_size()

    def draw(self, lines: Sequence[str], block: Sequence[str], typed: str) -> None:
        """Write ``lines``, which scroll away later; then the block, and what is typed at the prompt."""
        columns, _ = self.size
        # The end of what is typed is seen. The last column stays free: there some terminals wrap.
        shown = _PROMPT + cut(typed[::-1], columns - len(_PROMPT) - 1)[::-1]
        above = [cut(printable(line), columns - 1) for line in block]
        self._output.write(
            self._home() + "".join(printable(line) + "\n" for line in lines) + "\n".join([*above, shown])
        )
        self._output.flush()
        self._rows_above = len(above)

    def clear(self) -> None:
        """Erase everything, because the terminal has another size and has wrapped the lines anew."""
        self._output.write(_ERASE_ALL)
        self._rows_above = 0

    def close(self, lines: Sequence[str]) -> None:
        """Replace the block and the prompt by the last lines."""
        self._output.write(self._home() + "".join(printable(line) + "\n" for line in lines))
        self._output.flush()
        self._rows_above = 0

    def _home(self) -> str:
        return (_UP.format(self._rows_above) if self._rows_above else "") + _ERASE_BELOW


@contextmanager
def unbuffered(terminal: int) -> Iterator[None]:
    """Let a terminal send each key at once and not show it. Ctrl-C and Ctrl-Z still send their signals."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
