"""Where what tests start keeps its files: in memory, as a disk that stalls would be taken for a program that hangs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

__all__ = ["scratch"]

_MEMORY: Final = Path("/dev/shm")
_NEEDED_BYTES: Final = 2**30


def scratch() -> Path | None:
    """Return the folder for temporary ones; None for that of the system, where memory has too little room."""
    has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _NEEDED_BYTES
    return _MEMORY if has_room else None
