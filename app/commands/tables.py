"""Tables on a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from app.terminal import printable

__all__ = ["cut", "table"]

_GAP: Final = "  "
_MIN_WIDTH: Final = 8


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int | None = None) -> str:
    """Return aligned columns, numbers to the right, ``None`` as a dash.

    With ``width``, the longest columns are cut to fit, and in the end the lines. Characters that could move the
    terminal's cursor are escaped.
    """
    texts = [list(headings), *([printable("–" if cell is None else str(cell)) for cell in row] for row in rows)]
    widths = [max(_columns(row[index]) for row in texts) for index in range(len(headings))]
    room = None if width is None else width - len(_GAP) * (len(widths) - 1)
    while room is not None and sum(widths) > room and max(widths) > _MIN_WIDTH:
        widths[widths.index(max(widths))] -= 1
    numeric = [bool(rows) and all(isinstance(row[index], int | None) for row in rows) for index in range(len(headings))]
    forms = list(zip(widths, numeric, strict=True))
    lines = [_GAP.join(_cell(text, *form) for text, form in zip(row, forms, strict=True)).rstrip() for row in texts]
    return "\n".join(lines if width is None else [cut(line, width) for line in lines])


def cut(text: str, width: int) -> str:
    """Return a text that takes at most ``width`` columns of a terminal."""
    while _columns(text) > width:
        text = text[:-2] + "…"
    return text


def _cell(text: str, width: int, to_the_right: bool) -> str:
    text = cut(text, width)
    space = " " * (width - _columns(text))
    return space + text if to_the_right else text + space


def _columns(text: str) -> int:
    """Return how many terminal columns a text takes: two for wide characters, none for combining ones."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
