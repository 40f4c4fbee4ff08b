"""Lines to a file descriptor that may stop taking them, such as a full pipe that nobody reads."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["LineWriter"]

_MAX_WAITING_BYTES: Final = 1 << 20
_FLUSH_TIMEOUT_SECONDS: Final = 1.0


class LineWriter:
    """Writes lines without ever making their writer wait.

    A line is written at once where the descriptor can take it. Otherwise it waits for a thread, in order; beyond 1 MiB
    of waiting lines further ones are dropped and counted. ``told_dropped`` makes a line of how many were, to be written
    once it flows again. Writing past Python's buffers, the thread holds no lock of theirs when the process ends.
    """

    def __init__(self, descriptor: int, told_dropped: Callable[[int], bytes]) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._told_dropped = told_dropped
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        # The first one is being written.
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._untold = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> None:
        with self._changed:
            if not self._waiting and self._takes(line):
                self._write(line)
            elif self._size + len(line) > _MAX_WAITING_BYTES:
                self.dropped += 1
                self._untold += 1
            else:
                self._enqueue(line)

    def flush(self) -> None:
        """Waits until everything is written, a second at the most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, timeout=_FLUSH_TIMEOUT_SECONDS)

    def _takes(self, line: bytes) -> bool:
        # A pipe that is ready takes this much without blocking (POSIX).
        return len(line) <= select.PIPE_BUF and bool(self._poll.poll(0))

    def _enqueue(self, line: bytes) -> None:
        self._waiting.append(line)
        self._size += len(line)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_waiting, name="log", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _write_waiting(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                line = self._waiting[0]
            self._write(line)
            with self._changed:
                if self._untold:
                    self._enqueue(self._told_dropped(self._untold))
                    self._untold = 0
                self._size -= len(self._waiting.popleft())
                self._changed.notify_all()

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError:
            # Nobody is there to read it, nor to be told.
            self.dropped += 1
