"""Progress of long work on a terminal."""

from __future__ import annotations

import sys

__all__ = ["show_progress"]


def show_progress(line: str) -> None:
    """Replace the previous line on standard error, if that is a terminal; an empty line clears it."""
    if sys.stderr.isatty():
        # https://www.xfree86.org/current/ctlseqs.html: EL, erase to the right.
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)
