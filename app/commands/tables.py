"""Tables on a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from app.terminal import printable

__all__ = ["table"]

_GAP: Final = "  "
_MIN_WIDTH: Final = 8


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int | None = None) -> str:
    """Return aligned columns, numbers to the right. With ``width``, the longest column is cut to fit.

    Characters that could move the terminal's cursor are escaped.
    """
    texts = [list(headings), *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(_columns(row[index]) for row in texts) for index in range(len(headings))]
    if width is not None:
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        longest = widths.index(max(widths))
        widths[longest] -= max(0, min(excess, widths[longest] - _MIN_WIDTH))
    numeric = [bool(rows) and all(isinstance(row[index], int) for row in rows) for index in range(len(headings))]
    forms = list(zip(widths, numeric, strict=True))
    lines = [[_cell(text, *form) for text, form in zip(row, forms, strict=True)] for row in texts]
    return "\n".join(_GAP.join(cells).rstrip() for cells in lines)


def _cell(text: str, width: int, to_the_right: bool) -> str:
    while _columns(text) > width:
        text = text[:-2] + "…"
    space = " " * (width - _columns(text))
    return space + text if to_the_right else text + space


def _columns(text: str) -> int:
    """Return how many terminal columns a text takes: two for wide characters, none for combining ones."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
