"""What steps write to the outbox of a session, who may send it, and what is dropped."""

from __future__ import annotations

import orjson
import pytest

from app.observability.metrics import Metrics
from app.redis_client.reply import integer, texts
from app.sessions.errors import SessionError
from app.store.outboxes import Outboxes, OutboxEvent
from app.store.sessions import RedisSessions
from tests.harness.keys import KEYS
from tests.steps.room import Room

HOUR = 3_600_000
NOW = 1_769_083_200_000


class Clock:
    """A clock that a test moves."""

    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture(autouse=True)
async def nothing_waits(empty: Room) -> None:
    await empty.redis.execute("UNLINK", KEYS.outboxes, KEYS.events, KEYS.outbox("one"))


@pytest.fixture
def outboxes(empty: Room) -> Outboxes:
    return kept(empty)


def kept(room: Room, **bounds: int) -> Outboxes:
    given = {"max_events": 1000, "max_bytes": 1_000_000} | bounds
    return Outboxes(room.redis, KEYS, Metrics(), kept=3600, clock=Clock(), **given)


async def written(room: Room) -> list[OutboxEvent]:
    found = await room.redis.execute("ZRANGE", KEYS.outbox(room.code), 0, -1)
    return [OutboxEvent.parse(each) for each in texts(found)]


async def score(room: Room, code: str) -> int | None:
    found = await room.redis.execute("ZSCORE", KEYS.outboxes, code)
    return None if found is None else integer(found)


async def test_each_step_that_is_told_of_writes_one_event_and_a_repeat_none(empty: Room, outboxes: Outboxes) -> None:
    sessions = RedisSessions(empty.redis, KEYS, quarantine=60, max_listed=200, outboxes=outboxes)
    room = Room(empty.redis, sessions)
    await room.create(title="Friday")
    await room.create(title="Friday")
    await room.join("ann")
    await room.vote("ann", "m1", 5)
    for _ in range(2):
        await room.decide("ann", key="k")
    with pytest.raises(SessionError, match="session-decided"):
        await room.decide("ann")
    await room.end("ann")
    created, decided, ended = await written(room)
    assert [each.kind for each in (created, decided, ended)] == ["session.created", "session.decided", "session.ended"]
    assert orjson.loads(created.about) == {"title": "Friday"}
    assert orjson.loads(decided.about)["movie"] == "m1"
    assert orjson.loads(ended.about) == {"reason": "ended"}
    assert len({each.session for each in (created, decided, ended)}) == 1
    assert len({each.id for each in (created, decided, ended)}) == 3
    assert HOUR < await room.lives("outbox") - await room.now() <= HOUR + 600_000
    await sessions.close()
    assert await empty.redis.execute("ZCOUNT", KEYS.events, 1, "+inf") == 3


async def test_a_session_that_expires_writes_one_event(empty: Room, outboxes: Outboxes) -> None:
    sessions = RedisSessions(empty.redis, KEYS, quarantine=60, max_listed=200, outboxes=outboxes)
    room = await Room(empty.redis, sessions).create()
    assert await sessions.expire(room.code) > 0
    await room.redis.execute("PEXPIREAT", KEYS.session(room.code), 1)
    for _ in range(2):
        assert await sessions.expire(room.code) == 0
    created, ended = await written(room)
    assert (ended.session, orjson.loads(ended.about)) == (created.session, {"reason": "expired"})
    await sessions.close()


async def test_without_a_receiver_no_step_writes_an_event(room: Room) -> None:
    await room.end(room.host_token())
    assert await written(room) == []
    assert await room.redis.execute("EXISTS", KEYS.outboxes, KEYS.events) == 0


async def test_an_outbox_is_one_replicas_until_it_is_settled_whatever_comes_meanwhile(
    empty: Room, outboxes: Outboxes
) -> None:
    await outboxes.written("one", "id", 10)
    due = await outboxes.claim(10, 3600)
    assert due.codes == ["one"]
    await outboxes.expect("one")
    await outboxes.written("one", "next", 10)
    assert (await outboxes.claim(10, 3600)).codes == []
    # It was not empty after all, so it is looked at again.
    await outboxes.settle("one", due.claim, 0)
    assert await score(empty, "one") == NOW + 5000


async def test_an_empty_outbox_is_forgotten_and_another_is_due_at_its_next_attempt(
    empty: Room, outboxes: Outboxes
) -> None:
    for code in ("one", "two"):
        await outboxes.written(code, "id", 10)
    due = await outboxes.claim(10, 3600)
    await outboxes.settle("one", due.claim, 0)
    await outboxes.settle("two", due.claim, NOW + 7)
    assert (await score(empty, "one"), await score(empty, "two")) == (None, NOW + 7)
    # A claim that has run out settles nothing.
    await outboxes.settle("two", 1, 0)
    assert await score(empty, "two") == NOW + 7


async def test_what_is_only_expected_does_not_hurry_what_waits_but_what_is_there_does(
    empty: Room, outboxes: Outboxes
) -> None:
    await outboxes.expect("one")
    assert await score(empty, "one") == NOW + 5000
    await empty.redis.execute("ZADD", KEYS.outboxes, NOW + 9000, "one")
    await outboxes.expect("one")
    assert await score(empty, "one") == NOW + 9000
    await outboxes.written("one", "id", 10)
    assert await score(empty, "one") == NOW


@pytest.mark.parametrize("bounds", [{"max_events": 2}, {"max_bytes": 25}])
async def test_the_oldest_events_give_way(empty: Room, bounds: dict[str, int]) -> None:
    outboxes = kept(empty, **bounds)
    for number in range(4):
        await empty.redis.execute("ZADD", KEYS.outbox("one"), number, f"id{number} 1 session.ended of {{}}")
        outboxes.now = lambda at=NOW + number: at  # type: ignore[misc]
        await outboxes.written("one", f"id{number}", 10)
    listed = texts(await empty.redis.execute("ZRANGE", KEYS.events, 1, -1))
    assert listed == ["one id2 10", "one id3 10"]
    assert (await outboxes.oldest("one")) == OutboxEvent.parse("id2 1 session.ended of {}")
    assert integer(await empty.redis.execute("ZCOUNT", KEYS.events, -20, -20)) == 1
