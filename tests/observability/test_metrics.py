"""Each metric moves for its reason, and docs/metrics.md says of all of them what is true."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from collections.abc import Iterator
from typing import Final

import httpx
import pytest
from prometheus_client import CollectorRegistry, Histogram
from websockets.asyncio.client import connect

from app.observability.metrics import Metrics as Counted
from app.sessions.operations import EVENTS
from tests.harness.here import Here, served_here
from tests.harness.metrics import Metrics, scrape, until_metrics
from tests.harness.otlp import Receiver, receiver
from tests.harness.people import Api, Made, movie
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket, open_sockets
from tests.harness.waiting import until
from tests.observability.documented_metrics import documented

POLLING: Final = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture
def traces() -> Iterator[Receiver]:
    with receiver() as listening:
        yield listening


async def test_connections_are_counted_while_they_are_open_and_when_they_end(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as (replica,), httpx.AsyncClient(trust_env=False) as client:
        opened = await Socket.open(replica.url)
        assert (await client.get(replica.url + POLLING)).status_code == 200
        seen = await scrape(replica)
        for transport in ("websocket", "polling"):
            assert seen.value("join_session_connections", transport=transport) == 1
            assert seen.value("join_session_handshakes_total", transport=transport, result="opened") == 1
        assert seen.value("join_session_connects_total", result="accepted") == 1
        await opened.close()
        seen = await until_metrics(replica, lambda now: now.value("join_session_disconnects_total") == 1)
        assert seen.value("join_session_connections", transport="websocket") == 0
        assert seen.value("join_session_disconnects_total", reason="transport-close") == 1


async def test_refusals_and_violations_are_counted_by_reason(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as (replica,), httpx.AsyncClient(trust_env=False) as client:
        await client.get(f"{replica.url}/socket.io/?EIO=3&transport=polling")
        await client.get(f"{replica.url}{POLLING}&sid=nobody")
        async with connect(f"ws://127.0.0.1:{replica.port}/socket.io/?EIO=4&transport=websocket", proxy=None) as raw:
            await raw.send("4junk")
            await raw.wait_closed()
        seen = await scrape(replica)
        refused = {"transport": "polling", "result": "unsupported-version"}
        assert seen.value("join_session_handshakes_total", **refused) == 1
        assert seen.value("join_session_refusals_total", reason="unsupported-version") == 1
        assert seen.value("join_session_refusals_total", reason="unknown-session") == 1
        assert seen.value("join_session_violations_total") == 1


async def test_who_is_there_is_counted_by_socket_participant_and_session(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as (replica,):
        api = Api([replica])
        made = await api.create()
        await api.create()
        first, second, third = [await Socket.open(replica.url) for _ in range(3)]
        joined = await first.emit("join-session", made.code, {})
        assert (await second.emit("join-session", made.code, {"token": joined["token"]}))["ok"]
        assert (await third.emit("join-session", made.code, {}))["ok"]
        seen = await until_metrics(replica, lambda now: now.value("join_session_live_sessions") == 2)
        assert there(seen) == (1, 3, 2)
        assert seen.value("join_session_joins_total", way="socket", result="ok") == 3
        assert seen.value("join_session_pubsub_channels", state="confirmed") == 1
        assert seen.value("join_session_pubsub_connections") == 1
        await third.emit("leave-session")
        assert there(await scrape(replica)) == (1, 2, 1)
        await first.close()
        await until_metrics(replica, lambda now: there(now) == (1, 1, 1))
        await second.close()
        await until_metrics(replica, lambda now: there(now) == (0, 0, 0))
        await third.close()
        await api.close()


def there(seen: Metrics) -> tuple[float, ...]:
    return tuple(seen.value(f"join_session_{what}") for what in ("sessions", "members", "participants"))


async def test_events_are_counted_by_name_and_result_and_names_nobody_knows_as_one(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as (replica,):
        socket = await Socket.open(replica.url)
        for name in ("vote", "no-such-event", "nor-this-one"):
            assert not (await socket.emit(name, {"movieID": "m1", "rating": 5}))["ok"]
        await socket.emit("join-session", "000000")
        seen = await scrape(replica)
        assert seen.value("join_session_events_total", event="vote", result="not-joined") == 1
        assert seen.value("join_session_events_total", event="unknown", result="unknown-event") == 2
        assert seen.value("join_session_event_duration_seconds_count", event="unknown") == 2
        assert seen.value("join_session_joins_total", way="socket", result="session-not-found") == 1
        assert "no-such-event" not in seen.text
        await socket.close()


async def test_requests_are_counted_by_route_and_what_nobody_knows_as_one(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as (replica,):
        api = Api([replica])
        made = await api.create()
        await api.read(made.code)
        await api.join(made.code)
        await api.join("000000")
        for path in ("/no-such-route", "/nor-this-one", f"{made.path}/nothing"):
            await api.call("GET", path)
        await api.call("PROPFIND", made.path)
        seen = await scrape(replica)
        requests = "join_session_http_requests_total"
        assert seen.value(requests, method="GET", route="/api/session/{session_id}", status="200") == 1
        assert seen.value(requests, method="GET", route="unmatched", status="404") == 3
        assert seen.value(requests, method="_OTHER", status="405") == 1
        assert seen.value("join_session_http_request_duration_seconds_count", route="/api/session/create") == 1
        assert seen.value("join_session_joins_total", way="http", result="ok") == 1
        assert seen.value("join_session_joins_total", way="http", result="session-not-found") == 1
        assert made.code not in seen.text
        await api.close()


async def test_the_way_from_commit_to_delivery_is_measured_at_every_replica(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), 3) as replicas:
        api = Api(replicas)
        made = await api.create(movies=[movie("m1")])
        sockets = [await Socket.open(replica.url) for replica in replicas[:2]]
        for socket in sockets:
            assert (await socket.emit("join-session", made.code, {}))["ok"]
        await asyncio.gather(*(socket.at_version(3) for socket in sockets))
        # A change may be shown before its announcement is heard: the first has to hear of two, the second of its own.
        before = [await heard(replica, count) for replica, count in zip(replicas, (2, 1, 0), strict=True)]
        voted = await sockets[0].emit("vote", {"movieID": "m1", "rating": 5})
        await asyncio.gather(*(socket.at_version(voted["version"]) for socket in sockets))
        after = [await scrape(replica) for replica in replicas]
        for name in ("commit_to_delivery_seconds_count", "update_sockets_count", "announcements_total"):
            moved = [
                now.value(f"join_session_{name}") - then.value(f"join_session_{name}")
                for then, now in zip(before, after, strict=True)
            ]
            assert moved == [1, 1, 0], name
        assert all(now.value("join_session_commit_to_delivery_seconds_sum") < 10 for now in after)
        for socket in sockets:
            await socket.close()
        await api.close()


async def heard(replica: Here, announcements: int) -> Metrics:
    return await until_metrics(replica, lambda now: now.value("join_session_announcements_total") == announcements)


async def first_member(api: Api, replica: Here) -> tuple[Made, Socket, int]:
    """A session, a socket that is in it, and the version that the socket has seen."""
    made = await api.create()
    socket = await Socket.open(replica.url)
    joined = await socket.emit("join-session", made.code, {})
    await socket.at_version(joined["version"])
    return made, socket, joined["version"]


async def test_changes_that_nobody_announced_and_changes_that_are_lost_are_noticed(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as (replica,):
        api = Api([replica])
        made, socket, version = await first_member(api, replica)
        before = (await scrape(replica)).value("join_session_resyncs_total", cause="heartbeat")
        await redis_server.call("HINCRBY", f"js:{{{made.code}}}", "version", 7)
        await socket.at_version(version + 7)
        seen = await until_metrics(replica, lambda now: now.value("join_session_version_lag") == 7)
        assert seen.value("join_session_resyncs_total", cause="heartbeat") == before + 1
        await redis_server.call("HINCRBY", f"js:{{{made.code}}}", "version", -3)
        seen = await until_metrics(replica, lambda now: now.value("join_session_resyncs_total", cause="loss") == 1)
        assert seen.value("join_session_redis_losses_total", what="changes") == 1
        assert seen.value("join_session_version_lag") == 0
        await socket.close()
        await api.close()


async def test_recoveries_are_counted_by_result(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as (replica,):
        api = Api([replica])
        _, socket, _ = await first_member(api, replica)
        known = {"pid": socket.pid, "offset": socket.offset}
        await socket.drop()
        for auth, result in ((known, "recovered"), ({"pid": "nobody.00000000"}, "unknown")):
            again = await Socket.open(replica.url, auth)
            assert (await scrape(replica)).value("join_session_recoveries_total", result=result) == 1
            if result == "recovered":
                assert (await again.emit("leave-session"))["ok"]
            await again.close()
        await api.close()


async def test_an_outage_of_redis_is_seen_in_commands_subscriptions_and_resyncs(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), redis_timeout=0.5) as (replica,):
        api = Api([replica])
        made = await api.create()
        socket = await Socket.open(replica.url)
        assert (await socket.emit("join-session", made.code, {}))["ok"]
        seen = await scrape(replica)
        assert seen.value("join_session_redis_up") == 1
        assert seen.value("join_session_redis_command_duration_seconds_count", command="join") == 1
        redis_server.kill()
        seen = await until_metrics(replica, lambda now: now.value("join_session_pubsub_channels", state="lost") == 1)
        assert seen.value("join_session_pubsub_connections") == 0
        seen = await until_metrics(replica, lambda now: now.value("join_session_redis_up") == 0)
        assert seen.value("join_session_redis_errors_total") > 0
        assert seen.value("join_session_pubsub_connection_events_total", event="lost") == 1
        await redis_server.start()
        seen = await until_metrics(replica, lambda now: now.value("join_session_gaps_total") == 1)
        assert seen.value("join_session_resyncs_total", cause="gap") == 1
        assert seen.value("join_session_pubsub_connection_events_total", event="opened") == 2
        await until_metrics(replica, lambda now: now.value("join_session_redis_up") == 1)
        await socket.close()
        await api.close()


async def test_losses_of_data_in_redis_are_counted_and_logged_together(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with served_here(redis_server.url()) as (replica,):
        api = Api([replica])
        sessions = [await api.create() for _ in range(3)]
        async with open_sockets([replica.url], len(sessions)) as sockets:
            for socket, made in zip(sockets, sessions, strict=True):
                assert (await socket.emit("join-session", made.code, {}))["ok"]
            seen = await scrape(replica)
            for what in ("everything", "session", "changes"):
                assert seen.value("join_session_redis_losses_total", what=what) == 0
            await redis_server.call("FLUSHALL")
            seen = await until_metrics(
                replica, lambda now: now.value("join_session_redis_losses_total", what="session") == len(sessions)
            )
            await until_metrics(
                replica, lambda now: now.value("join_session_redis_losses_total", what="everything") == 1
            )
        await api.close()

        def logged() -> bool:
            lost = [record for record in caplog.records if record.message.startswith("Redis has lost ")]
            return sum(int(vars(record)["count"]) for record in lost) == 1 + len(sessions)

        await until(logged, "the losses are in the log")
        assert all(record.levelname == "ERROR" for record in caplog.records if "Redis has lost" in record.message)


async def test_a_socket_that_does_not_read_is_slow_and_its_updates_coalesce(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as (replica,):
        api = Api([replica])
        made = await api.create(movies=[movie(f"m{n}", overview="x" * 1000) for n in range(100)])
        host, deaf = await Socket.open(replica.url), await Socket.open(replica.url)
        for socket in (deaf, host):
            # Patches of so many changes would all find room in the buffers between.
            assert (await socket.emit("join-session", made.code, {"token": made.host_token, "patches": False}))["ok"]
        deaf.stop_reading()

        async def keep_changing() -> None:
            for number in range(10_000):
                assert (await host.emit("update-session", {"title": f"Title {number}"}))["ok"]

        changing = asyncio.create_task(keep_changing())
        seen = await until_metrics(replica, lambda now: now.value("join_session_coalesced_updates_total") > 0)
        assert seen.value("join_session_slow_connections") == 1
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
        await deaf.drop()
        await until_metrics(replica, lambda now: now.value("join_session_slow_connections") == 0)
        await host.close()
        await api.close()


async def test_a_drain_says_how_long_it_takes_and_who_is_left(redis_server: RedisServer) -> None:
    stopping = asyncio.Event()
    started: asyncio.Future[Here] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with served_here(redis_server.url(), drain_timeout=30) as (replica,):
            started.set_result(replica)
            await stopping.wait()

    serving = asyncio.create_task(serve())
    replica = await started
    seen = await scrape(replica)
    assert [seen.value(f"join_session_{name}") for name in DRAIN] == [0, 0, 0]
    async with open_sockets([replica.url], 60):
        stopping.set()
        seen = await until_metrics(replica, lambda now: now.value("join_session_draining") == 1)
        assert seen.value("join_session_drain_clients") > 0
        assert 0 < seen.value("join_session_drain_duration_seconds") < 30
        await serving


DRAIN: Final = ("draining", "drain_duration_seconds", "drain_clients")


async def test_an_event_loop_that_is_held_up_shows(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as (replica,):
        time.sleep(0.8)  # noqa: ASYNC251 - holds the replica's event loop up, too
        seen = await until_metrics(replica, lambda now: now.value("join_session_event_loop_lag_seconds_count") > 0)
        late = seen.value("join_session_event_loop_lag_seconds_count") - seen.value(
            "join_session_event_loop_lag_seconds_bucket", le="0.25"
        )
        # Once, or more often where the machine holds the loop up, too.
        assert late >= 1


async def test_pauses_of_the_garbage_collector_are_measured_by_generation(redis_server: RedisServer) -> None:
    name = "join_session_gc_pause_seconds"
    async with served_here(redis_server.url()) as (replica,):
        before = await scrape(replica)
        gc.collect()
        after = await scrape(replica)
    assert after.value(f"{name}_count", generation="2") > before.value(f"{name}_count", generation="2")
    assert after.value(f"{name}_sum", generation="2") > before.value(f"{name}_sum", generation="2")
    # The buckets are cumulative and end with all of them.
    counted = [
        sample.value
        for sample in after.samples
        if sample.name == f"{name}_bucket" and sample.labels["generation"] == "2"
    ]
    assert counted == sorted(counted)
    assert counted[-1] == after.value(f"{name}_count", generation="2")


async def test_times_lead_to_traces_in_openmetrics_where_one_is_recorded(
    redis_server: RedisServer, traces: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def used(replica: Here) -> Metrics:
        api = Api([replica])
        made = await api.create()
        socket = await Socket.open(replica.url)
        joined = await socket.emit("join-session", made.code, {"token": made.host_token})
        await socket.at_version(joined["version"])
        changed = await socket.emit("update-session", {"title": "Another"}, timeout=5)
        await socket.at_version(changed["version"])
        seen = await scrape(replica)
        await socket.close()
        await api.close()
        async with httpx.AsyncClient(trust_env=False) as client:
            assert "trace_id" not in (await client.get(f"{replica.internal_url}/metrics")).text
        return seen

    async with served_here(redis_server.url()) as (replica,):
        assert "trace_id" not in (await used(replica)).text
    for name, value in traces.environment.items():
        monkeypatch.setenv(name, value)
    async with served_here(redis_server.url()) as (replica,):
        seen = await used(replica)
    recorded = {span.trace for span in traces.spans}
    for name in (
        "commit_to_delivery_seconds",
        "event_duration_seconds",
        "http_request_duration_seconds",
        "redis_command_duration_seconds",
    ):
        found = {exemplar.labels["trace_id"] for exemplar in seen.exemplars(f"join_session_{name}")}
        assert found, name
        assert found <= recorded, name


async def test_every_metric_is_documented_with_its_labels_and_none_is_missing(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), 2) as replicas:
        await everything(replicas)
        seen = await scrape(replicas[0])
    rows = documented()
    suffixes = {"counter": "_total", "info": "_info"}
    exported = {name + suffixes.get(kind, ""): kind for name, kind in seen.types.items()}
    assert {name: row.type for name, row in rows.items()} == exported
    counted = set()
    for sample in seen.samples:
        name = sample.name if sample.name in rows else re.sub(r"_(bucket|count|sum)$", "", sample.name)
        labels = {label: value for label, value in sample.labels.items() if label != "le"}
        assert labels.keys() == rows[name].labels.keys(), sample
        for label, value in labels.items():
            allowed = rows[name].labels[label]
            assert allowed is None or value in allowed, sample
        counted.add(name)
    assert rows.keys() - counted == {"join_session_redis_errors_total"}


async def everything(replicas: list[Here]) -> None:
    """A bit of load in which nothing fails that ought not to."""
    api = Api(replicas)
    made = await api.create(movies=[movie("m1")])
    await api.read(made.code)
    await api.call("PROPFIND", "/x" * 50)
    host, guest = [await Socket.open(replica.url) for replica in replicas]
    assert (await host.emit("join-session", made.code, {"token": made.host_token}))["ok"]
    assert (await guest.emit("join-session", made.code, {}))["ok"]
    for event in (*EVENTS.keys() - {"join-session", "leave-session", "end-session"}, "disconnected", "x" * 100):
        await host.emit(event, {"movieID": "m1", "rating": 5})
    voted = await guest.emit("vote", {"movieID": "m1", "rating": 4})
    async with httpx.AsyncClient(trust_env=False) as client:
        for query in ("", "&sid=x", "&sid=0123456789ab.01234567890123456789", "&transport=pigeon"):
            await client.get(f"{replicas[0].url}/socket.io/?EIO=4{query}")
            await client.get(f"{replicas[0].url}{POLLING}{query}")
        await client.request("PROPFIND", replicas[0].url + POLLING)
    async with connect(f"ws://127.0.0.1:{replicas[0].port}/socket.io/?EIO=4&transport=websocket", proxy=None) as raw:
        await raw.send("4junk")
        await raw.wait_closed()
    if voted["ok"]:
        await host.at_version(voted["version"])
    await host.drop()
    await guest.close()
    await until_metrics(replicas[0], lambda now: now.value("join_session_connections", transport="websocket") == 0)
    await api.close()


def test_series_count_as_those_of_the_library_do() -> None:
    ours, registry = Counted(), CollectorRegistry()
    theirs = Histogram("join_session_event_loop_lag_seconds", "", registry=registry, buckets=(0.5, 1, 5))
    mine = type(ours.event_loop_lag)("join_session_event_loop_lag_seconds", "", registry=None, buckets=(0.5, 1, 5))
    for seconds in (0, 0.5, 0.500001, 1, 4, 5, 6):
        theirs.observe(seconds)
        mine.observe(seconds)
    assert [family.samples for family in mine.collect()] == [family.samples for family in theirs.collect()]
    ours.joins.labels("http", "ok").inc()
    ours.joins.labels("http", "ok").inc(2)
    assert ours.registry.get_sample_value("join_session_joins_total", {"way": "http", "result": "ok"}) == 3
