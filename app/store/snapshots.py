"""Large sessions that were read lately, so that who polls one does not have it read and encoded each time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from app.sessions.model import Snapshot

__all__ = ["Snapshots"]

# Bytes of encoded sessions that a replica keeps.
_MAX_BYTES: Final = 16 * 2**20
# A smaller one is read from Redis as fast as it is asked whether it has changed.
_MIN_BYTES: Final = 8 * 2**10
# Seconds. Redis may lose a change and count another one under the same version; that is not seen for longer.
_MAX_AGE_SECONDS: Final = 10.0


class _Kept(NamedTuple):
    snapshot: Snapshot
    until: float


class Snapshots:
    """The newest snapshots by session code; the one that was asked for the longest ago gives way."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    def get(self, code: str) -> Snapshot | None:
        """The snapshot that is kept of a session, which may have changed since."""
        kept = self._kept.get(code)
        if kept is None or kept.until < self._clock():
            return None
        self._kept.move_to_end(code)
        return kept.snapshot

    def put(self, code: str, snapshot: Snapshot | None) -> None:
        """Keep what was just read, None for a session that is not there."""
        if former := self._kept.pop(code, None):
            self._bytes -= len(former.snapshot.data)
        if snapshot is None or len(snapshot.data) < _MIN_BYTES:
            return
        self._kept[code] = _Kept(snapshot, self._clock() + _MAX_AGE_SECONDS)
        self._bytes += len(snapshot.data)
        while self._bytes > _MAX_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.snapshot.data)
