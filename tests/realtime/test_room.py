"""How members come to see the newest state, turn by turn of the event loop: what is rare in a running service."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from app.observability.losses import Losses
from app.observability.metrics import Metrics
from app.realtime.member import Member
from app.realtime.room import Room
from app.realtime.telemetry import Telemetry
from app.sessions.access import Access
from app.sessions.head import Head
from app.sessions.model import ParticipantEntry, Participants, Session
from app.sessions.tokens import Credential
from app.socketio_server import Encoded, Outgoing
from app.store.announcements import Announcement
from app.store.mirror import SessionMirror
from app.store.session_hash import StoredSession
from app.store.sessions import RedisSessions
from tests.harness.histories import EMPTY
from tests.harness.waiting import until


def session_at(head: Head) -> Session:
    participants = Participants(p=ParticipantEntry("p", 1, 0, "Guest 1", connected=True))
    return replace(EMPTY, head=head, host="p", participants=participants)


class Store(RedisSessions):
    """A session that stands at `current`, of which announcements carry nothing."""

    def __init__(self) -> None:
        self.now = lambda: 0
        self.current = Head("e", 1)
        self.known: Session | None = None
        self.reads = 0
        self.fails = False
        self.is_gone = False

    async def read(self, code: str) -> Session | None:
        self.reads += 1
        if self.fails:
            raise ZeroDivisionError
        if self.is_gone:
            return None
        self.known = session_at(self.current)
        return self.known

    def mirrored(self, code: str) -> Session | None:
        return self.known

    def apply(self, code: str, announcement: Announcement) -> bool:
        head = announcement.head
        return self.known is not None and head is not None and self.known.head.includes(head)

    async def end_reason(self, code: str, instance: str, participant: str = "") -> str:
        assert self.is_gone
        return "ended"


class Outbox:
    """Keeps the heads that were shown, and to whom, and calls `on_deliver`."""

    def __init__(self, on_deliver: Callable[[], None] = lambda: None) -> None:
        self.shown: list[str] = []
        self.shown_to: defaultdict[str, list[str]] = defaultdict(list)
        self._delivered = asyncio.Event()
        self._on_deliver = on_deliver

    async def until_shown(self, *heads: str) -> None:
        async with asyncio.timeout(1):
            while self.shown != list(heads):
                self._delivered.clear()
                await self._delivered.wait()

    def encode(self, event: str, *args: object, compress: bool = False) -> Shown:
        return Shown(str(args[-1]))

    def cork(self, sid: str) -> None:
        raise AssertionError("one message is sent at a time")

    def deliver(self, sids: Iterable[str], outgoing: Outgoing, *, latest: Hashable | None = None) -> None:
        assert isinstance(outgoing, Shown)
        self.shown.append(outgoing.head)
        for sid in sids:
            self.shown_to[sid].append(outgoing.head)
        self._delivered.set()
        self._on_deliver()


class Shown(Encoded):
    def __init__(self, head: str) -> None:
        super().__init__(head)
        self.head = head


def member(sid: str, since: Head) -> Member:
    access = Access("123456", Credential("participant", "i", "p"))
    return Member(sid, access, membership_id=1, since=since, connection="c", recovery="r", name="Ann", informed=since)


@asynccontextmanager
async def opened(store: Store, outbox: Outbox) -> AsyncIterator[Room]:
    async def reattach(member: Member) -> None:
        raise AssertionError("nobody is lost")

    metrics = Metrics()
    telemetry = Telemetry(metrics, Losses(metrics), lambda: 0)
    room = Room("123456", store, outbox, telemetry, reattach=reattach, removed=lambda _: None, lost=lambda: None)
    yield room
    await room.close()


@asynccontextmanager
async def room_of_one(store: Store) -> AsyncIterator[Room]:
    """A room whose member has received the state that the store knows."""
    outbox = Outbox()
    async with opened(store, outbox) as room:
        room.admit(member("s", Head("e", 1)), store.known)
        await outbox.until_shown(f"{store.known and store.known.head}")
        yield room


async def test_a_hint_in_the_turn_in_which_a_room_falls_idle_is_not_missed() -> None:
    store = Store()
    loop = asyncio.get_running_loop()

    def commit() -> None:
        if store.current.version == 1:
            store.current = Head("e", 2)
            loop.call_soon(room.announced, Announcement(store.current, "", 0))

    outbox = Outbox(commit)
    async with opened(store, outbox) as room:
        room.admit(member("s", Head("e", 1)))
        await outbox.until_shown("e-1", "e-2")


async def test_a_first_member_is_shown_the_state_at_which_it_joined() -> None:
    store, outbox = Store(), Outbox()
    store.current, store.known = Head("e", 3), session_at(Head("e", 2))
    own, next_change = Announcement(Head("e", 2), "", 0), Announcement(Head("e", 3), "", 0)
    async with opened(store, outbox) as room:
        room.admit(member("s", Head("e", 2)), store.known, [own])
        await outbox.until_shown("e-2")
        room.announced(next_change)
        await outbox.until_shown("e-2", "e-3")


async def test_a_first_member_is_shown_what_was_announced_before_the_room_was_there() -> None:
    store, outbox = Store(), Outbox()
    store.current, store.known = Head("e", 3), session_at(Head("e", 2))
    own, next_change = Announcement(Head("e", 2), "", 0), Announcement(Head("e", 3), "", 0)
    async with opened(store, outbox) as room:
        room.admit(member("s", Head("e", 2)), store.known, [own, next_change])
        await outbox.until_shown("e-3")


async def test_who_is_admitted_after_a_room_has_found_its_session_gone_is_told() -> None:
    store = Store()
    store.known = session_at(Head("e", 1))
    async with room_of_one(store) as room:
        store.is_gone = True
        room.announced(Announcement(None, "", 0))
        await until(lambda: not room.members, timeout=1)
        # It has joined before the end, and still knows the state of then.
        room.admit(member("t", Head("e", 1)))
        await until(lambda: not room.members, timeout=1)


@pytest.mark.parametrize(
    ("head", "before", "reads"),
    [
        (Head("e", 3), Head("e", 3), 0),
        (Head("e", 2), Head("e", 2), 0),
        (Head("e", 4), Head("e", 3), 1),
        (Head("e", 2), Head("e", 3), 1),
        (Head("f", 3), Head("e", 3), 1),
        (None, Head("e", 3), 1),
    ],
    ids=["the same", "announced since", "not announced", "lost", "another epoch", "gone"],
)
async def test_a_comparison_makes_a_room_read_what_was_missed_or_lost(
    head: Head | None, before: Head, reads: int
) -> None:
    store = Store()
    store.current, store.known = Head("e", 4), session_at(Head("e", 3))
    async with room_of_one(store) as room:
        room.verify(head, before)
        # Longer than the pace of updates.
        await asyncio.sleep(0.1)
        assert store.reads == reads


async def test_after_a_bug_in_a_read_it_is_not_read_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.known, store.fails = session_at(Head("e", 1)), True
    async with room_of_one(store) as room:
        store.known = None
        room.refresh()
        await asyncio.sleep(0.1)
        assert store.reads == 1
        room.refresh()
        await asyncio.sleep(0.1)
        assert store.reads == 2
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["background task failed"] * 2


class BusyStore(Store):
    """A session that changes all the time: reads take so long that changes are announced meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 1
        self._copy = SessionMirror("123456", 200)

    async def read(self, code: str) -> Session | None:
        self.reads += 1
        found = self._stored()
        await asyncio.sleep(0.02)
        return self._copy.read(found)

    def mirrored(self, code: str) -> Session | None:
        return self._copy.session

    def apply(self, code: str, announcement: Announcement) -> bool:
        head = announcement.head
        return head is not None and self._copy.apply(head, announcement.expires_at, announcement.changes)

    def changed(self, *, announced_whole: bool) -> Announcement:
        self.version += 1
        told: dict[bytes, bytes | None] = {b"title": b"%d" % self.version}
        head = Head("e", self.version)
        return Announcement(head, "", 0, 1000, told) if announced_whole else Announcement(head, "", 0)

    def _stored(self) -> StoredSession:
        fields = {b"instance": b"i", b"created": b"1", b"deadline": b"2000", b"locked": b"0", b"capacity": b"10"}
        named = {b"p:p": b"1|1|Ann", b"host": b"p", b"title": b"%d" % self.version}
        return StoredSession("123456", fields | named, 1000, Head("e", self.version))


async def test_who_is_attached_during_a_read_is_not_shown_an_older_state() -> None:
    store, outbox = BusyStore(), Outbox()
    async with opened(store, outbox) as room:
        room.admit(member("s", Head("e", 1)))
        await until(lambda: store.reads == 1, timeout=1)
        # The read has found version 1. The change to version 2, which the newcomer has made, is never announced.
        store.changed(announced_whole=False)
        room.admit(member("t", Head("e", 2)))
        await until(lambda: outbox.shown_to["t"], timeout=1)
    assert outbox.shown_to["s"][0] == "e-1"
    assert outbox.shown_to["t"] == ["e-2"]


@pytest.mark.parametrize("announced_whole", [True, False], ids=["after a gap", "without what has changed"])
async def test_members_are_shown_what_was_read_although_it_changes_during_each_read(announced_whole: bool) -> None:
    store, outbox, clock = BusyStore(), Outbox(), asyncio.get_running_loop().time
    async with opened(store, outbox) as room:
        room.admit(member("s", Head("e", 1)))
        end = clock() + 2
        while clock() < end and len(outbox.shown) < 10:
            announcement = store.changed(announced_whole=announced_whole)
            # Now and then one is lost.
            if store.version % 100:
                room.announced(announcement)
            await asyncio.sleep(0.001)
    assert len(outbox.shown) >= 10
    # They are paced as updates are.
    assert store.reads <= len(outbox.shown) + 2
