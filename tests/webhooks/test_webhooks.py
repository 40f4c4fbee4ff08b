"""What happens to sessions is sent to the receiver of webhooks: at least once, in order, signed, whatever fails."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import ssl
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.webhooks.signature import signed_headers
from tests.harness.here import Here, served_here
from tests.harness.metrics import until_metrics
from tests.harness.people import Api, Made, movie
from tests.harness.ports import free_port
from tests.harness.receiver import HANG, SECRET, Received, Receiver, receiving
from tests.harness.redis import Certificates, RedisServer
from tests.harness.service import replicas
from tests.harness.sockets import Socket
from tests.harness.waiting import until

DOCUMENTED: Final = Path(__file__).parents[2] / "docs" / "webhook_receiver.py"
OTHER: Final = "another secret of at least 32 characters"
LIFE: Final = ["session.created", "session.decided", "session.ended"]
# The times of production, scaled down.
SETTINGS: Final[dict[str, Any]] = {
    "webhook_allow_http": True,
    "webhook_secret": f"{SECRET},{OTHER}",
    "webhook_max_pause": 0.2,
}


def signature(received: Received, key: bytes) -> str:
    """As the specification of Standard Webhooks says."""
    content = f"{received.id}.{received.headers['webhook-timestamp']}.".encode() + received.body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def assert_signed(received: Received) -> None:
    keys = (base64.b64decode(SECRET.removeprefix("whsec_")), OTHER.encode())
    assert received.headers["webhook-signature"].split(" ") == [signature(received, key) for key in keys]
    assert abs(int(received.headers["webhook-timestamp"]) - time.time()) < 60
    assert received.headers["content-type"] == "application/json"


async def live(api: Api, url: str, *, replica: int = 0) -> Made:
    """A session from its creation to its end."""
    made = await api.create(replica=replica, title="Friday", movies=[movie("a")])
    await rate(made, url)
    for method, path in (("POST", "/decision"), ("DELETE", "")):
        answer = await api.call(method, made.path + path, replica=replica, token=made.host_token)
        assert answer.status_code == 200, answer.text
    return made


async def rate(made: Made, url: str) -> None:
    socket = await Socket.open(url)
    assert (await socket.emit("join-session", made.code, {"name": "Ada"}))["ok"]
    assert (await socket.emit("vote", {"movieID": "a", "rating": 5}))["ok"]
    await socket.close()


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


async def until_counted(replica: Here, result: str, number: int) -> None:
    """An event is counted once the answer has arrived, which is after the receiver has it."""
    await until_metrics(replica, lambda now: now.value("join_session_webhook_events_total", result=result) == number)


async def test_the_life_of_a_session_is_sent_in_order_and_signed_with_each_secret(redis: RedisServer) -> None:
    async with receiving() as receiver, served_here(redis.url(), webhook_url=receiver.url, **SETTINGS) as (here,):
        api = Api([here])
        made = await live(api, here.url)
        await until(lambda: receiver.kinds(made.code) == LIFE, "all are sent")
        created, decided, ended = [each.event for each in receiver.taken(made.code)]
        for attempt in receiver.attempts:
            assert_signed(attempt)
        session = created["data"]["session"]
        assert created["data"] == {"sessionID": made.code, "session": session, "title": "Friday"}
        assert decided["data"]["decision"]["movieID"] == "a"
        assert decided["data"]["decision"]["decidedAt"] == decided["timestamp"]
        assert ended["data"] == {"sessionID": made.code, "session": session, "reason": "ended"}
        assert len(receiver.attempts) == len({each.id for each in receiver.attempts}) == 3
        assert not any(
            secret in each.body.decode() for each in receiver.attempts for secret in (made.host_token, "Ada")
        )
        await until(lambda: nothing_left(redis), "the outboxes are empty")
        await until_counted(here, "delivered", 3)
        await api.close()


def has_taken(receiver: Receiver, made: Made, kinds: list[str]) -> bool:
    return receiver.kinds(made.code) == kinds


async def nothing_left(redis: RedisServer) -> bool:
    left = [await redis.call("ZCARD", "js:outboxes"), await redis.call("ZCOUNT", "js:events", 1, "+inf")]
    return left == [0, 0] and float(await redis.call("ZSCORE", "js:events", "bytes")) == 0


async def test_a_session_that_nobody_is_in_expires_with_one_event(redis: RedisServer) -> None:
    """Of several replicas one writes it; a session that was ended does not expire as well."""
    settings = {**SETTINGS, "lifetime": 1, "code_rest": 60}
    async with receiving() as receiver, served_here(redis.url(), 2, webhook_url=receiver.url, **settings) as here:
        api = Api(here)
        made = [await api.create() for _ in range(3)]
        await api.call("DELETE", made[2].path, token=made[2].host_token)
        for each in made:
            await until(partial(has_taken, receiver, each, [LIFE[0], LIFE[2]]), "it has ended")
        await asyncio.sleep(1.5)
        reasons = [receiver.taken(each.code)[-1].event["data"]["reason"] for each in made]
        assert reasons == ["expired", "expired", "ended"]
        assert len(receiver.attempts) == 6
        await api.close()


@pytest.mark.parametrize("status", [500, 302])
async def test_what_is_not_taken_is_sent_again_with_the_same_id_and_body(redis: RedisServer, status: int) -> None:
    """Ten times in vain, and no redirect is followed. What comes later waits for it."""

    def answer(number: int) -> int:
        return status if number < 10 else 200

    async with receiving(answer) as receiver, served_here(redis.url(), webhook_url=receiver.url, **SETTINGS) as (here,):
        api = Api([here])
        made = await live(api, here.url)
        await until(lambda: receiver.kinds(made.code) == LIFE, "all are sent")
        refused, first = receiver.attempts[:10], receiver.attempts[10]
        assert {(each.id, each.body) for each in refused} == {(first.id, first.body)}
        for attempt in receiver.attempts:
            assert_signed(attempt)
        await until_counted(here, "failed", 10)
        await api.close()


async def test_every_event_comes_while_the_receiver_fails_and_replicas_are_killed(redis: RedisServer) -> None:
    """The receiver is away at first, then hangs, refuses, and takes some."""
    port = free_port()
    answers = [HANG, 500, 200, 302, 200, 503]
    codes: list[Made] = []
    async with replicas(
        redis.url(), 3, webhook_url=f"http://127.0.0.1:{port}/hook?from=sessions", **SETTINGS
    ) as started:
        api = Api(started)
        codes += await asyncio.gather(*(live(api, each.url, replica=number) for number, each in enumerate(started)))
        started[0].kill()
        codes += [await live(api, started[1].url, replica=1)]
        async with receiving(lambda number: answers[number % 6] if number < 12 else 200, port) as receiver:
            await until(lambda: len(receiver.attempts) > 3, "some were tried")
            started[1].kill()
            codes += [await live(api, started[2].url, replica=2)]
            for made in codes:
                await until(partial(has_taken, receiver, made, LIFE), "all are sent")
            bodies = {each.id: each.body for each in receiver.attempts}
            assert len(bodies) == 3 * len(codes)
            for attempt in receiver.attempts:
                assert_signed(attempt)
                assert attempt.body == bodies[attempt.id]
        await api.close()


async def test_an_event_that_a_replica_has_left_behind_is_found(redis: RedisServer) -> None:
    """A replica that died after the step has told nobody of it."""
    async with receiving() as receiver, served_here(redis.url(), webhook_url=receiver.url, **SETTINGS) as (here,):
        now = int((await redis.call("TIME"))[0]) * 1000
        await redis.call("ZADD", "js:{ABC}:outbox", 1, f'left {now} session.ended of {{"reason":"ended"}}')
        await redis.call("ZADD", "js:outboxes", now + 500, "ABC")
        await until(lambda: receiver.kinds("ABC") == ["session.ended"], "it is sent")
        await until_counted(here, "delivered", 1)


async def test_what_is_beyond_the_bound_is_dropped_and_counted_the_oldest_first(redis: RedisServer) -> None:
    hook = {"webhook_max_events": 4, **SETTINGS}
    async with (
        receiving(lambda _: 500) as receiver,
        served_here(redis.url(), webhook_url=receiver.url, **hook) as (here,),
    ):
        api = Api([here])
        made = [await api.create() for _ in range(7)]

        # The oldest.
        await until_counted(here, "dropped", 3)
        assert await redis.call("ZCOUNT", "js:events", 1, "+inf") == 4
        left = [each.code for each in made if await redis.call("EXISTS", f"js:{{{each.code}}}:outbox")]
        assert left == [each.code for each in made[3:]]
        await until_metrics(here, lambda now: now.value("join_session_webhook_age_seconds") > 1)
        await api.close()


async def test_what_is_not_taken_in_time_is_dropped_and_counted(redis: RedisServer) -> None:
    hook = {"webhook_retention": 1.5, **SETTINGS}
    async with (
        receiving(lambda _: 500) as receiver,
        served_here(redis.url(), webhook_url=receiver.url, **hook) as (here,),
    ):
        api = Api([here])
        for _ in range(3):
            await api.create()

        await until_counted(here, "dropped", 3)
        await until(lambda: nothing_left(redis), "nothing waits")
        await api.close()


async def test_a_receiver_has_to_show_a_certificate_that_is_trusted(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = Certificates.create(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.certificate, certificates.key)
    hook = {**SETTINGS, "webhook_allow_http": False}
    async with receiving(tls=tls) as receiver:
        async with served_here(redis.url(), webhook_url=receiver.url, **hook) as (here,):
            api = Api([here])
            made = await api.create()
            await until_metrics(here, lambda now: now.value("join_session_webhook_events_total", result="failed") > 1)
            assert receiver.attempts == []
            await api.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
        async with served_here(redis.url(), webhook_url=receiver.url, **hook):
            await until(partial(has_taken, receiver, made, LIFE[:1]), "it is sent by the next replica")


async def test_a_change_takes_no_longer_while_the_receiver_hangs(redis: RedisServer) -> None:
    async def seconds(api: Api) -> float:
        began = time.monotonic()
        for _ in range(10):
            await api.create()
        return time.monotonic() - began

    async with receiving(lambda _: HANG) as receiver, RedisServer() as other:
        hook = {"webhook_url": receiver.url, **SETTINGS}
        async with served_here(redis.url(), **hook) as (hooked,), served_here(other.url()) as (plain,):
            with_webhooks, without = Api([hooked]), Api([plain])
            await until(lambda: attempted(with_webhooks, receiver), "the receiver hangs")
            times = [await seconds(with_webhooks), await seconds(without)]
            assert times[0] < 4 * times[1] + 1, times
            await with_webhooks.close()
            await without.close()


async def attempted(api: Api, receiver: Receiver) -> bool:
    if not receiver.attempts:
        await api.create()
        await asyncio.sleep(0.1)
    return bool(receiver.attempts)


async def test_without_a_receiver_nothing_is_written(redis: RedisServer) -> None:
    async with served_here(redis.url()) as (here,):
        api = Api([here])
        await live(api, here.url)
        assert await redis.call("KEYS", "*:outbox*") == await redis.call("KEYS", "js:events") == []
        await api.close()


async def test_the_documented_receiver_takes_what_is_genuine_and_prints_it_once(redis: RedisServer) -> None:
    port = free_port()
    environment = os.environ | {"JOIN_SESSION_WEBHOOK_SECRET": SECRET}
    program = await asyncio.create_subprocess_exec(
        sys.executable, DOCUMENTED, str(port), env=environment, stdout=PIPE, stderr=DEVNULL
    )
    assert program.stdout is not None
    url = f"http://127.0.0.1:{port}/"
    try:
        async with served_here(redis.url(), webhook_url=url, **SETTINGS) as (here,), httpx.AsyncClient() as client:
            api = Api([here])
            made = await live(api, here.url)
            lines = [(await program.stdout.readline()).decode() for _ in LIFE]
            assert [line.split(" ", 1)[0] for line in lines] == LIFE
            assert made.code in lines[0]
            forged = signed_headers("id", round(time.time()), b"{}", ["not the secret"])
            old = signed_headers("id", round(time.time()) - 400, b"{}", [SECRET])
            for headers in (forged, old, []):
                answer = await client.post(url, content=b"{}", headers=headers)
                assert answer.status_code == 401
            await api.close()
    finally:
        program.kill()
        await program.wait()
