"""Caches of sessions, so that a polled session is not read, or not encoded, each time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from app.sessions.model import Snapshot
from app.store.session_hash import StoredSession

__all__ = ["EncodedSessions", "Snapshots"]

# The size of the cache.
_MAX_BYTES: Final = 16 * 2**20
# Reading a smaller session takes no longer than asking whether it has changed.
_MIN_BYTES: Final = 8 * 2**10
# Redis may lose a change and give its version to another one. Such an outdated snapshot is served no longer than this.
_MAX_AGE_SECONDS: Final = 10.0


# The estimated memory of a cached session: this, and its encoding so many times.
_OVERHEAD_BYTES: Final = 2 * 2**10
_COPIES: Final = 3


class _Kept(NamedTuple):
    snapshot: Snapshot
    until: float


class Snapshots:
    """The newest snapshots by session code; the least recently used one is evicted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    def get(self, code: str) -> Snapshot | None:
        """Return the cached snapshot of a session, which may have changed since."""
        kept = self._kept.get(code)
        if kept is None or kept.until < self._clock():
            return None
        self._kept.move_to_end(code)
        return kept.snapshot

    def put(self, code: str, snapshot: Snapshot | None) -> None:
        """Cache a session that was just read, None if it does not exist."""
        if former := self._kept.pop(code, None):
            self._bytes -= len(former.snapshot.data)
        if snapshot is None or len(snapshot.data) < _MIN_BYTES:
            return
        self._kept[code] = _Kept(snapshot, self._clock() + _MAX_AGE_SECONDS)
        self._bytes += len(snapshot.data)
        while self._bytes > _MAX_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.snapshot.data)


class _Encoded(NamedTuple):
    stored: StoredSession
    snapshot: Snapshot

    @property
    def size(self) -> int:
        return _OVERHEAD_BYTES + _COPIES * len(self.snapshot.data)


class EncodedSessions:
    """A cache of the snapshots of small sessions, each valid for the stored session it was made of.

    The least recently used one is dropped first.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Encoded] = OrderedDict()
        self._bytes = 0

    def get(self, stored: StoredSession) -> Snapshot | None:
        """Return the snapshot of a stored session, if the same fields were encoded before."""
        kept = self._kept.get(stored.code)
        if kept is None or kept.stored.fields != stored.fields:
            return None
        self._kept.move_to_end(stored.code)
        same = kept.stored.expires_at == stored.expires_at
        return kept.snapshot if same else kept.snapshot.expiring(stored.expires_at)

    def put(self, stored: StoredSession, snapshot: Snapshot) -> None:
        """Keep the snapshot of a stored session, unless it is large."""
        if former := self._kept.pop(stored.code, None):
            self._bytes -= former.size
        if len(snapshot.data) >= _MIN_BYTES:
            return
        kept = self._kept[stored.code] = _Encoded(stored, snapshot)
        self._bytes += kept.size
        while self._bytes > _MAX_BYTES:
            self._bytes -= self._kept.popitem(last=False)[1].size
