"""Runs the command line, or another program, in a pseudo-terminal, whose screen an emulator draws."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pyte

__all__ = ["Terminal", "terminal"]

_ROOT: Final = Path(__file__).parent.parent.parent
_TIMEOUT_SECONDS: Final = 20.0


class Terminal:
    """A terminal with a program in it."""

    def __init__(self, keyboard: int, columns: int, rows: int) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.process: asyncio.subprocess.Process
        self._keyboard = keyboard
        self._stream = pyte.ByteStream(self.screen)
        self._changed = asyncio.Event()

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def type(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def shows(self, *texts: str) -> str:
        """Wait until all of these are on the screen; return it."""
        return await self.until(lambda text: all(each in text for each in texts), ", ".join(texts))

    async def until(self, condition: Callable[[str], bool], what: str) -> str:
        """Wait until the screen is as wanted; return it."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                while not condition(self.text):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{what} is not shown:\n{self.text}") from None
        return self.text

    async def exit_code(self) -> int:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return await self.process.wait()

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal shows what is typed and waits for whole lines, as shells expect it."""
        modes = termios.tcgetattr(self._keyboard)[3]
        return bool(modes & termios.ECHO and modes & termios.ICANON)

    def draw(self) -> None:
        """Read what the program has written."""
        try:
            self._stream.feed(os.read(self._keyboard, 65536))
        except OSError:
            # The program has ended (https://man7.org/linux/man-pages/man4/pts.4.html).
            asyncio.get_running_loop().remove_reader(self._keyboard)
        self._changed.set()


@asynccontextmanager
async def terminal(
    *arguments: str,
    program: Sequence[str] = (sys.executable, "-m", "app"),
    columns: int = 80,
    rows: int = 24,
    **variables: str,
) -> AsyncIterator[Terminal]:
    """Run a command in a terminal; kill it at the end if it still runs."""
    keyboard, device = os.openpty()
    shown = Terminal(keyboard, columns, rows)
    shown.resize(columns, rows)
    loop = asyncio.get_running_loop()
    loop.add_reader(keyboard, shown.draw)
    try:
        # So that Ctrl-C sends SIGINT to the program.
        shown.process = await asyncio.create_subprocess_exec(
            "setsid",
            "--ctty",
            *program,
            *arguments,
            cwd=os.environ.get("TMPDIR", "/tmp"),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), "TERM": "xterm", **variables},
            stdin=device,
            stdout=device,
            stderr=device,
        )
        yield shown
    finally:
        loop.remove_reader(keyboard)
        if shown.process.returncode is None:
            shown.process.send_signal(signal.SIGKILL)
            await shown.process.wait()
        os.close(device)
        os.close(keyboard)
