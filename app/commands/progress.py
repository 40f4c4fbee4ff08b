"""Progress of long work, for whoever waits at a terminal."""

from __future__ import annotations

import sys

__all__ = ["show_progress"]


def show_progress(line: str) -> None:
    """Shows a line in place of the one before, on standard error if that is a terminal; an empty one clears it."""
    if sys.stderr.isatty():
        # https://www.xfree86.org/current/ctlseqs.html: EL, erase to the right.
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)
