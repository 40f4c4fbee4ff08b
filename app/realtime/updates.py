"""The messages by which members come to the newest state of a session: whole updates and patches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

import orjson

from app.realtime.member import Emitter, Member
from app.sessions.head import Head
from app.sessions.model import Session, meta_at
from app.sessions.patches import patch, patch_meta
from app.sessions.timestamps import timestamp
from app.socketio_server import Encoded

__all__ = ["Updates"]

_MAX_EARLIER_STATES: Final = 8
_MAX_BYTES: Final = 2**20
# By how much the time in an update may be late while it is needed for a countdown.
_MAX_LATE_MILLISECONDS: Final = 200
# Earlier states have lists of their own, most entries of which are those of later ones, too.
_BYTES_PER_ENTRY: Final = 128


class Updates:
    """The newest state that members are sent, and those before it that some hold: at most eight, and 1 MiB.

    Each message is encoded once, however many members need it. ``now`` returns the store's time.
    """

    def __init__(self, emitter: Emitter, now: Callable[[], int]) -> None:
        self.bytes_made = 0
        """The bytes of all messages that ``next_for`` has returned."""
        self._emitter = emitter
        self._now = now
        self._state: Session | None = None
        # As they were shown first. The newest may have another time of expiry by now.
        self._states: OrderedDict[Head, Session] = OrderedDict()
        self._whole: Encoded | None = None
        self._whole_at = 0
        # By the head of the state from which they start.
        self._patches: dict[Head, Encoded] = {}

    @property
    def newest(self) -> Head | None:
        return None if self._state is None else self._state.head

    def show(self, session: Session, written: Collection[Head | None]) -> None:
        """Make a state the newest one. ``written`` has the heads of the states from which members need patches."""
        former, self._state = self._state, session
        if former is session:
            return
        self._whole = None
        self._patches.clear()
        if former is None or former.head != session.head:
            for head in [head for head in self._states if head not in written]:
                del self._states[head]
            if former is not None and former.head in self._states:
                self._states[former.head].forget_encoded(session)
            self._states[session.head] = session
            while not self._is_within_bounds():
                self._states.popitem(last=False)

    def forget(self) -> None:
        """Forget all states: the session is another one."""
        self._state = self._whole = None
        self._states.clear()
        self._patches.clear()

    def whole(self) -> Encoded:
        """Return the newest state as a ``session-update``."""
        session, now = self._newest(), self._now()
        # Who comes later counts down, too.
        is_late = session.decide_at is not None and now - self._whole_at > _MAX_LATE_MILLISECONDS
        if self._whole is None or is_late:
            self._whole_at = now
            meta = meta_at(session.meta, timestamp(now))
            self._whole = self._emitter.encode(
                "session-update", orjson.Fragment(session.data), meta, str(session.head), compress=True
            )
        return self._whole

    def next_for(self, member: Member) -> Encoded | None:
        """Return what a member needs besides what was written to it, None for nothing, and note it as written.

        A member that takes patches gets one, unless the whole is smaller or the state that it holds is not kept.
        """
        held, member.written = member.written, self.newest
        if self._state is None or held == member.written:
            return None
        base = self._states.get(held) if held is not None else None
        made = self.whole() if base is None else self._patches.get(base.head) or self._patch(base)
        self.bytes_made += len(made.websocket)
        return made

    def _patch(self, base: Session) -> Encoded:
        newest = self._newest()
        operations = patch(base, newest) if base.head.epoch == newest.head.epoch else None
        if operations is None:
            return self.whole()
        meta = patch_meta(base.meta, newest.meta, timestamp(self._now()))
        made = self._emitter.encode("session-patch", orjson.Fragment(operations), meta, str(newest.head), compress=True)
        self._patches[base.head] = made
        return made

    def _newest(self) -> Session:
        if self._state is None:
            raise RuntimeError("no state was shown")
        return self._state

    def _is_within_bounds(self) -> bool:
        return len(self._states) <= 1 + _MAX_EARLIER_STATES and self._size() <= _MAX_BYTES

    def _size(self) -> int:
        """The estimated memory of the states before the newest."""
        newest, *earlier = reversed(self._states.values())
        lists = {id(each): len(each) for state in earlier for each in (state.movies, state.participants)}
        for shared in (newest.movies, newest.participants):
            lists.pop(id(shared), None)
        return _BYTES_PER_ENTRY * sum(lists.values())
