"""Imports of the service: without what its libraries take along for uses that it has not, and without pauses."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["UNUSED", "quick_imports"]

UNUSED: Final = (
    # HTTP and WebSocket for the clients in python-engineio; the service has no such client.
    "aiohttp",
    "requests",
    "websocket",
    # Another client of Redis for the managers in python-socketio, which comes with the extra "embedded".
    "valkey",
    # redis-py's own metrics.
    "opentelemetry.sdk",
)
"""Modules that the libraries import where they are installed, and can do without."""


@contextmanager
def quick_imports() -> Iterator[None]:
    """Hide ``UNUSED`` from the imports in the block: 10 MB and a fifth of the time. They can be imported behind it.

    Python's collector stands still meanwhile and leaves what was made alone for ever, as modules are not freed: that is
    another tenth.
    """
    hidden = [name for name in UNUSED if name not in sys.modules]
    # Where there is None, an import raises ModuleNotFoundError (https://docs.python.org/3/reference/import.html).
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    gc.disable()
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        gc.enable()
