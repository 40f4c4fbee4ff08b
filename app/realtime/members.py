"""The sockets of this replica that have joined sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from app.realtime.member import Member

__all__ = ["Members"]


class Members:
    """All members of this replica, one for each socket. They may change during an iteration."""

    def __init__(self) -> None:
        self._by_sid: dict[str, Member] = {}
        # The number of sockets by session and participant.
        self._sockets: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._by_sid)

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._by_sid.values()))

    def __contains__(self, member: Member) -> bool:
        return self._by_sid.get(member.sid) is member

    @property
    def participant_count(self) -> int:
        """The number of participants with at least one socket here."""
        return len(self._sockets)

    def get(self, sid: str) -> Member | None:
        return self._by_sid.get(sid)

    def add(self, member: Member) -> None:
        self._by_sid[member.sid] = member
        if member.observes:
            return
        self._sockets[member.code, member.participant] += 1

    def remove(self, member: Member) -> None:
        if self._by_sid.pop(member.sid, None) is None or member.observes:
            return
        participant = member.code, member.participant
        self._sockets[participant] -= 1
        if not self._sockets[participant]:
            del self._sockets[participant]
