"""The messages by which members come to the newest state of a session: whole updates and patches."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import orjson

from app.realtime.member import Emitter, Member
from app.sessions.model import Head, Session
from app.sessions.patches import patch, patch_meta
from app.socketio_server import Encoded

__all__ = ["Updates"]

_MAX_EARLIER_STATES: Final = 8
_MAX_BYTES: Final = 2**20
# Earlier states have lists of their own, most entries of which are those of later ones, too.
_BYTES_PER_ENTRY: Final = 128


class Updates:
    """The newest state that members are sent, and a few before it: at most eight, and 1 MiB.

    Each message is encoded once, however many members need it.
    """

    def __init__(self, emitter: Emitter) -> None:
        self.bytes_made = 0
        """The bytes of all messages that ``next_for`` has returned."""
        self._emitter = emitter
        self._states: OrderedDict[Head, Session] = OrderedDict()
        self._whole: Encoded | None = None
        # By the head of the state from which they start.
        self._patches: dict[Head, Encoded] = {}

    @property
    def newest(self) -> Head | None:
        return next(reversed(self._states), None)

    def show(self, session: Session) -> None:
        """Make a state the newest one."""
        if session.head == self.newest:
            return
        if self._states:
            self._newest().forget_encoded(session)
        self._states[session.head] = session
        self._whole = None
        self._patches.clear()
        while len(self._states) > 1 + _MAX_EARLIER_STATES or self._size() > _MAX_BYTES:
            self._states.popitem(last=False)

    def forget(self) -> None:
        """Forget all states: the session is another one."""
        self._states.clear()
        self._whole = None
        self._patches.clear()

    def whole(self) -> Encoded:
        """Return the newest state as a ``session-update``."""
        if self._whole is None:
            session = self._newest()
            self._whole = self._emitter.encode(
                "session-update", orjson.Fragment(session.data), session.meta, str(session.head), compress=True
            )
        return self._whole

    def next_for(self, member: Member) -> Encoded | None:
        """Return what a member needs besides what was written to it, None for nothing, and note it as written.

        A member that takes patches gets one, unless the whole is smaller or the state that it holds is not kept.
        """
        held, member.written = member.written, self.newest
        if held == member.written:
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
        meta = patch_meta(base.meta, newest.meta)
        made = self._emitter.encode("session-patch", orjson.Fragment(operations), meta, str(newest.head), compress=True)
        self._patches[base.head] = made
        return made

    def _newest(self) -> Session:
        return next(reversed(self._states.values()))

    def _size(self) -> int:
        """The memory of the states before the newest."""
        newest, *earlier = reversed(self._states.values())
        lists = {id(each): len(each) for state in earlier for each in (state.movies, state.participants)}
        for shared in (newest.movies, newest.participants):
            lists.pop(id(shared), None)
        return _BYTES_PER_ENTRY * sum(lists.values())
