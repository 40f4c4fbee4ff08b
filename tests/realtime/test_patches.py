"""Members who take patches: they hold what others are sent, whatever was skipped between."""

from __future__ import annotations

import gc
import random
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final

import httpx
import orjson
import pytest

from app.realtime.member import Member
from app.realtime.updates import Updates
from app.sessions.access import Access
from app.sessions.head import Head
from app.sessions.model import MovieEntry, Movies, Session
from app.sessions.rating import Tally
from app.sessions.tokens import Credential
from app.socketio_server import Encoded, Outgoing
from tests.harness.here import Here, served_here
from tests.harness.histories import EMPTY
from tests.harness.metrics import scrape
from tests.harness.people import Api, Made, movie
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.harness.waiting import until

PATCHES: Final = {"patches": True}
WHOLE: Final = {"patches": False}


@asynccontextmanager
async def session(
    redis: RedisServer, replicas: int = 1, movies: int = 30
) -> AsyncIterator[tuple[Api, list[Here], Made]]:
    async with served_here(redis.url(), replicas) as started:
        api = Api(started)
        yield api, started, await api.create(movies=[movie(f"m{number}") for number in range(movies)])
        await api.close()


async def joined(here: Here, made: Made, options: dict[str, Any] = WHOLE) -> Socket:
    socket = await Socket.open(here.url)
    ack = await socket.emit("join-session", made.code, options)
    assert ack["ok"], ack
    await socket.at_version(ack["version"])
    return socket


async def assert_same(api: Api, made: Made, *sockets: Socket) -> None:
    answer = await api.read(made.code)
    for socket in sockets:
        await socket.at_version(answer["meta"]["version"])
        assert socket.update == answer["sessionData"]
        moving = {"expiresAt": "", "now": ""}
        assert socket.meta | moving == answer["meta"] | moving


async def test_after_the_first_update_there_are_patches_and_others_see_none(redis_server: RedisServer) -> None:
    async with session(redis_server, replicas=2) as (api, (one, two), made):
        host = await joined(one, made, PATCHES | {"token": made.host_token})
        plain, other = await joined(one, made), await joined(two, made, PATCHES)
        chance = random.Random(1)
        for number in range(60):
            who, name = chance.choice([host, plain, other]), f"m{chance.randrange(30)}"
            match chance.randrange(5):
                case 0:
                    await host.emit("update-session", {"title": f"Title {number}"})
                case 1:
                    await who.emit("remove-movie", {"movieID": name})
                case 2:
                    await who.emit("add-movie", movie(name, title=f"Again {number}"))
                case _:
                    await who.emit("vote", {"movieID": name, "rating": chance.randrange(1, 6)})
            if number % 20 == 19:
                await assert_same(api, made, host, plain, other)
        assert plain.counts["session-patch"] == 0
        for patched in (host, other):
            # One of the joins of the others may have come before the first update.
            assert patched.counts["session-update"] == 1
            assert patched.counts["session-patch"] > 1
        for socket in (host, plain, other):
            await socket.close()


async def test_a_vote_costs_what_it_changes(redis_server: RedisServer) -> None:
    async with session(redis_server) as (_, (here,), made):
        voter = await joined(here, made, PATCHES)
        for number in range(12):
            ranks = {each["id"]: each["rank"] for each in voter.update["movies"]}
            ack = await voter.emit("vote", {"movieID": f"m{2 * number}", "rating": 1 + number % 5})
            await voter.at_version(ack["version"])
            moved = sum(ranks[each["id"]] != each["rank"] for each in voter.update["movies"])
            assert len(voter.patches[-1].encode()) < 350 + 55 * moved
        await voter.close()


async def test_a_later_join_without_patches_ends_them(redis_server: RedisServer) -> None:
    async with session(redis_server) as (api, (here,), made):
        socket = await joined(here, made, PATCHES)
        await socket.emit("vote", {"movieID": "m1", "rating": 5})
        await assert_same(api, made, socket)
        assert socket.counts["session-patch"] == 1
        assert (await socket.emit("join-session", made.code, WHOLE))["ok"]
        await socket.emit("vote", {"movieID": "m2", "rating": 5})
        await assert_same(api, made, socket)
        assert socket.counts["session-patch"] == 1
        await socket.close()


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_they_are_kept_with_the_pid_and_begin_with_a_whole_update(
    redis_server: RedisServer, elsewhere: bool
) -> None:
    async with session(redis_server, replicas=2) as (api, (one, two), made):
        first = await joined(one, made, PATCHES)
        pid, offset = first.pid, first.offset
        await first.drop()
        back = await Socket.open((two if elsewhere else one).url, {"pid": pid, "offset": offset})
        await back.at_version(1)
        assert back.counts == {"session-update": 1}
        await back.emit("vote", {"movieID": "m1", "rating": 5})
        await assert_same(api, made, back)
        assert back.counts["session-update"] == 1
        assert back.counts["session-patch"] >= 1
        await back.close()


async def test_a_new_epoch_is_a_whole_update(redis_server: RedisServer) -> None:
    async with session(redis_server) as (api, (here,), made):
        socket = await joined(here, made, PATCHES)
        for rating in range(1, 4):
            ack = await socket.emit("vote", {"movieID": "m1", "rating": rating})
        await socket.at_version(ack["version"])
        epoch, before = socket.meta["epoch"], socket.counts["session-update"]
        await redis_server.call("HINCRBY", f"js:{{{made.code}}}", "version", "-1")
        await socket.emit("vote", {"movieID": "m2", "rating": 5})
        await until(lambda: socket.meta["epoch"] != epoch)
        assert socket.counts["session-update"] > before
        await assert_same(api, made, socket)
        await socket.close()


async def test_what_waits_for_a_slow_socket_is_one_patch_from_what_it_holds(redis_server: RedisServer) -> None:
    async with session(redis_server, movies=100) as (api, (here,), made):
        slow, busy = await joined(here, made, PATCHES), await joined(here, made)
        await assert_same(api, made, slow, busy)
        slow.stop_reading()
        coalesced = "join_session_coalesced_updates_total"
        while (await scrape(here)).value(coalesced) < 3:
            # Texts that patches cannot shorten fill the buffers between.
            added = [movie(f"x{number}", overview="x" * 1000) for number in range(60)]
            ack = await busy.emit("add-movie", {"movies": added})
            assert ack["ok"], ack
            await busy.at_version(ack["version"])
            for each in added:
                assert (await busy.emit("remove-movie", {"movieID": each["id"]}))["ok"]
        slow.read_again()
        await assert_same(api, made, slow)
        # Its last message is the patch that was made when it could be written; none of the others is the whole.
        assert slow.counts["session-update"] == 1
        assert slow.patches[-1].endswith(f'"{slow.offset}"]')
        assert slow.counts["session-patch"] < busy.counts["session-update"]
        await slow.close()
        await busy.close()


class Encoder:
    """Counts what is encoded."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def encode(self, event: str, *args: object, compress: bool = False) -> Encoded:
        assert compress
        self.events.append(event)
        return Encoded(f"{event} to {args[-1]}")

    def deliver(self, sids: Iterable[str], outgoing: Outgoing, *, latest: Hashable | None = None) -> None:
        raise AssertionError("messages are only made")

    def cork(self, sid: str) -> None:
        raise AssertionError("messages are only made")


def member() -> Member:
    access = Access("123456", Credential("participant", "i", "p"))
    head = Head("e", 1)
    return Member("s", access, 1, head, connection="c", recovery="r", name="Ann", informed=head, patches=True)


def at(version: int, epoch: str = "e", movies: int = 10) -> Session:
    listed = {f"m{number}": MovieEntry(f"m{number}", number, 0, None, {}, Tally()) for number in range(movies)}
    return replace(EMPTY, head=Head(epoch, version), title=f"{version}", movies=Movies(listed))


def next_for(updates: Updates, reader: Member) -> str | None:
    message = updates.next_for(reader)
    return None if message is None else message.polling.decode()


def test_whatever_was_skipped_a_member_gets_one_message_from_what_was_written_to_it() -> None:
    encoder, quick, slow = Encoder(), member(), member()
    updates = Updates(encoder, lambda: 0)
    updates.show(at(1), set())
    assert next_for(updates, quick) == next_for(updates, slow) == "session-update to e-1"
    for version in range(2, 10):
        updates.show(at(version), {quick.written, slow.written})
        assert next_for(updates, quick) == f"session-patch to e-{version}"
        assert next_for(updates, quick) is None
    assert next_for(updates, slow) == "session-patch to e-9"
    assert encoder.events == ["session-update"] + ["session-patch"] * 9


def test_each_message_is_encoded_once_for_all() -> None:
    encoder, members = Encoder(), [member() for _ in range(10)]
    updates = Updates(encoder, lambda: 0)
    for version in (1, 2):
        updates.show(at(version), {each.written for each in members})
        for each in members:
            updates.next_for(each)
    assert encoder.events == ["session-update", "session-patch"]


@pytest.mark.parametrize(("held", "movies", "event"), [(8, 10, "patch"), (9, 10, "update"), (2, 5000, "update")])
def test_of_the_states_that_members_hold_the_newest_eight_are_kept_within_a_mebibyte(
    held: int, movies: int, event: str
) -> None:
    readers, updates = [member() for _ in range(held)], Updates(Encoder(), lambda: 0)
    for version, reader in enumerate(readers, start=1):
        updates.show(at(version, movies=movies), {each.written for each in readers})
        updates.next_for(reader)
    updates.show(at(held + 1, movies=movies), {each.written for each in readers})
    assert next_for(updates, readers[0]) == f"session-{event} to e-{held + 1}"


def test_in_another_epoch_a_member_gets_the_whole() -> None:
    reader, updates = member(), Updates(Encoder(), lambda: 0)
    updates.show(at(1), set())
    updates.next_for(reader)
    updates.show(at(2, "f"), {reader.written})
    assert next_for(updates, reader) == "session-update to f-2"


def test_a_state_is_kept_as_long_as_somebody_holds_it() -> None:
    reader, updates = member(), Updates(Encoder(), lambda: 0)
    updates.show(at(1), set())
    updates.next_for(reader)
    for version in range(2, 30):
        updates.show(at(version), {reader.written})
    assert next_for(updates, reader) == "session-patch to e-29"
    updates.show(at(30), set())
    assert next_for(updates, reader) == "session-update to e-30"


def test_who_comes_later_is_told_the_newest_time_of_expiry() -> None:
    first, later, updates = member(), member(), Updates(Encoder(), lambda: 0)
    updates.show(at(1), set())
    before = updates.whole()
    assert next_for(updates, first) == "session-update to e-1"
    updates.show(replace(at(1), expires_at=EMPTY.expires_at + 60_000), {first.written})
    assert updates.whole() is not before
    assert next_for(updates, first) is None
    assert next_for(updates, later) == "session-update to e-1"


def test_of_a_session_that_is_another_one_by_now_nothing_is_left() -> None:
    reader, updates = member(), Updates(Encoder(), lambda: 0)
    updates.show(at(1), set())
    updates.forget()
    assert next_for(updates, reader) is None


async def test_a_socket_that_does_not_read_keeps_no_state_of_sessions_that_it_has_left(
    redis_server: RedisServer,
) -> None:
    # Other tests leave some to the garbage collector.
    gc.collect()
    others = {id(each) for each in gc.get_objects() if isinstance(each, Updates)}

    def kept() -> int:
        gc.collect()
        return sum(isinstance(each, Updates) and id(each) not in others for each in gc.get_objects())

    async with served_here(redis_server.url()) as (here,):
        api = Api([here])
        made = [await api.create(movies=[movie("m1")]) for _ in range(20)]
        async with httpx.AsyncClient(base_url=here.url, trust_env=False) as client:
            path = "/socket.io/?EIO=4&transport=polling"
            path += f"&sid={orjson.loads((await client.get(path)).text[1:])['sid']}"
            await client.post(path, content="40")
            await client.get(path)
            for each in made:
                join = orjson.dumps(["join-session", each.code, PATCHES])
                assert (await client.post(path, content=b"42" + join)).status_code == 200
                await until(partial(here.replica.redis.sessions.mirrored, each.code))
            # The first state of the last one is sent in the next turns of the event loop.
            await until(lambda: kept() <= 2, timeout=5)
        await api.close()


def test_an_update_is_encoded_again_for_who_comes_later_while_the_decision_comes_by_time() -> None:
    clock = [1_000]
    updates = Updates(Encoder(), lambda: clock[0])
    for decide_at, again in ((None, False), (9_000, True)):
        updates.show(replace(at(1 if decide_at is None else 2), decide_at=decide_at), set())
        first = updates.whole()
        clock[0] += 100
        assert updates.whole() is first
        clock[0] += 200
        assert (updates.whole() is not first) is again
