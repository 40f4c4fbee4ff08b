"""The line that somebody types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["TypedLine"]

# ECMA-48: control sequences, such as those of the arrow keys; and Meta with a key.
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O])?", re.DOTALL)
_MAX_LENGTH: Final = 1000


class TypedLine:
    """Edits a line by the keys that are pressed: Backspace, Ctrl-U and Ctrl-W delete, Enter ends it."""

    def __init__(self) -> None:
        self.text = ""

    def press(self, keys: str) -> Iterator[str]:
        """Yield each line that is finished. Raises EOFError for Ctrl-D in an empty line."""
        for key in _ESCAPES.sub("", keys):
            if key in "\r\n":
                line, self.text = self.text, ""
                yield line
            elif key in "\x7f\x08":
                self.text = self.text[:-1]
            elif key == "\x15":
                self.text = ""
            elif key == "\x17":
                self.text = self.text.rstrip()
                self.text = self.text[: self.text.rfind(" ") + 1]
            elif key == "\x04" and not self.text:
                raise EOFError
            elif key.isprintable() and len(self.text) < _MAX_LENGTH:
                self.text += key
