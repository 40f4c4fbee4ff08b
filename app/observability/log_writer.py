"""Writes lines to a file descriptor that may block, such as a full pipe."""

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
    """Writes lines without blocking the caller.

    A line is written at once if the descriptor accepts it. Otherwise lines wait, in order, for a thread. Beyond 1 MiB
    of waiting lines further ones are dropped and counted. Once writing works again, the line that ``dropped_line``
    returns reports their number. Lines bypass Python's buffers, so the thread holds none of their locks when the
    process ends.
    """

    def __init__(self, descriptor: int, dropped_line: Callable[[int], bytes]) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._dropped_line = dropped_line
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        # The thread writes the first line of the queue, which stays there until it is written.
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._unreported = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> None:
        with self._changed:
            if not self._waiting and self._takes(line):
                self._write(line)
            elif self._size + len(line) > _MAX_WAITING_BYTES:
                self.dropped += 1
                self._unreported += 1
            else:
                self._enqueue(line)

    def flush(self) -> None:
        """Wait until everything is written, for one second at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, timeout=_FLUSH_TIMEOUT_SECONDS)

    def _takes(self, line: bytes) -> bool:
        # POSIX: a pipe that is ready accepts this much without blocking.
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
                if self._unreported:
                    self._enqueue(self._dropped_line(self._unreported))
                    self._unreported = 0
                self._size -= len(self._waiting.popleft())
                self._changed.notify_all()

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError:
            # The reader is gone, and nothing can be reported.
            self.dropped += 1
