"""Traces, as a real receiver gets them, against what docs/tracing.md says of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest

from app.observability.metrics import Metrics
from app.redis_client.client import RedisClient
from app.settings import traces_wanted
from app.store.announcements import Announcement, Announcements
from tests.harness.here import served_here
from tests.harness.keys import KEYS
from tests.harness.otlp import Receiver, Span, receiver
from tests.harness.people import Api, movie
from tests.harness.redis import RedisServer
from tests.harness.service import replicas
from tests.harness.sockets import Socket
from tests.observability.documented_spans import assert_documented, word_for

CLIENT_TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
CLIENT_SPAN: Final = "b7ad6b7169203331"
TRACEPARENT: Final = f"00-{CLIENT_TRACE}-{CLIENT_SPAN}-01"


@pytest.fixture
def traces() -> Iterator[Receiver]:
    with receiver() as listening:
        yield listening


@pytest.fixture
def wanted(traces: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """The receiver, to which replicas of this process send."""
    for name, value in traces.environment.items():
        monkeypatch.setenv(name, value)
    return traces


@pytest.mark.slow
async def test_a_join_and_a_vote_are_traces_that_span_two_replicas(redis_server: RedisServer, traces: Receiver) -> None:
    async with replicas(redis_server.url(), 2, environment=traces.environment) as started:
        api = Api(started)
        made = await api.create(movies=[movie("m1")])
        host = await Socket.open(started[0].url)
        assert (await host.emit("join-session", made.code, {"token": made.host_token}))["ok"]
        await host.at_version(2)
        guest = await Socket.open(started[1].url)
        joined = await guest.emit("join-session", made.code, {"name": "Guest of the test"})
        await host.at_version(joined["version"])
        voted = await guest.emit("vote", {"movieID": "m1", "rating": 5})
        await host.at_version(voted["version"])
        await host.close()
        await guest.close()
        await api.close()
        await traces.until(lambda: len(traces.named("receive disconnect")) == 2)
    [guest_join] = [
        span for span in traces.named("receive join-session") if span.replica == other(traces, first_join(traces))
    ]
    [vote] = traces.named("receive vote")
    for event, script in ((guest_join, "join"), (vote, "vote")):
        trace = [span for span in traces.spans if span.trace == event.trace]
        [step] = [span for span in trace if span.name == f"EVALSHA {script}"]
        [publication] = [span for span in trace if span.name == "publish session"]
        assert step.parent == publication.parent == event.id
        assert event.replica == step.replica == publication.replica
        elsewhere = [span for span in trace if span.name == "deliver session" and span.replica != event.replica]
        assert [span.links[0] for span in elsewhere] == [publication.id]
        assert elsewhere[0].parent == publication.id
        assert elsewhere[0].attributes["join_session.sockets"] == 1
        # The announcement carries the change: nothing is read.
        assert not [span for span in trace if span.parent == elsewhere[0].id]
        assert event.attributes["join_session.result"] == "ok"
    assert_documented(traces.spans)
    for secret in (made.code, made.host_token, joined["token"], joined["participantID"], "Guest of the test"):
        assert secret not in traces.text


def first_join(traces: Receiver) -> Span:
    return min(traces.named("receive join-session"), key=lambda span: span.start)


def other(traces: Receiver, span: Span) -> str:
    [name] = {resource["service.instance.id"] for resource in traces.resources} - {span.replica}
    return str(name)


async def test_a_request_is_named_by_its_route_and_says_how_it_ended(
    redis_server: RedisServer, wanted: Receiver
) -> None:
    async with served_here(redis_server.url()) as started:
        api = Api(started)
        made = await api.create(movies=[movie("m1")])
        await api.join(made.code)
        await api.join("000000")
        await api.call("PUT", f"{made.path}/movies/m1/vote", token=made.host_token, json={"rating": 3})
        await api.call("GET", f"/nothing/{made.code}")
        await api.call("PROPFIND", made.path)
        await api.call("OPTIONS", made.path)
        await api.close()
        await wanted.until(lambda: len([span for span in wanted.spans if span.kind == "server"]) == 7)
    ended = {
        (span.name, span.attributes["http.response.status_code"], span.attributes["join_session.result"])
        for span in wanted.spans
        if span.kind == "server"
    }
    assert ended == {
        ("POST /api/session/create", 201, "ok"),
        ("POST /api/session/join", 200, "ok"),
        ("POST /api/session/join", 404, "session-not-found"),
        ("PUT /api/session/{session_id}/movies/{movie_id}/vote", 409, "not-joined"),
        ("GET", 404, "not-found"),
        ("HTTP", 405, "method-not-allowed"),
        ("OPTIONS /api/session/{session_id}", 204, "ok"),
    }
    assert not any(span.failed for span in wanted.spans)
    # What was refused has published nothing.
    assert not wanted.named("publish session")
    assert_documented(wanted.spans)
    assert made.code not in wanted.text


async def test_a_failure_of_ours_is_marked_in_the_step_and_in_the_request(
    redis_server: RedisServer, wanted: Receiver
) -> None:
    async with served_here(redis_server.url(), redis_timeout=2) as started:
        api = Api(started)
        made = await api.create()
        redis_server.pause()
        try:
            assert (await api.join(made.code)).status_code == 500
        finally:
            redis_server.resume()
        await api.close()
        await wanted.until(lambda: bool(wanted.named("POST /api/session/join")))
    [request] = wanted.named("POST /api/session/join")
    failed = [span for span in wanted.spans if span.failed]
    assert request in failed
    assert request.attributes["error.type"] == "join-failed"
    assert {span.attributes["error.type"] for span in failed if span.kind == "client"} == {"timeout"}
    assert_documented(wanted.spans)


async def test_a_client_s_trace_is_linked_and_never_the_parent(redis_server: RedisServer, wanted: Receiver) -> None:
    async with served_here(redis_server.url()) as started:
        api = Api(started)
        made = await api.create()
        headers = {"traceparent": TRACEPARENT, "tracestate": "name=Lovelace", "baggage": "name=Lovelace"}
        await api.join(made.code, headers=headers)
        await api.join(made.code, headers={"traceparent": "nonsense"})
        client = await Socket.open(started[0].url, {"traceparent": TRACEPARENT})
        await client.emit("join-session", made.code, {"traceparent": TRACEPARENT})
        await client.emit("vote", {"movieID": "m1", "rating": 5, "traceparent": ["?"]})
        await client.emit("no-such-event-Lovelace", {"traceparent": TRACEPARENT})
        await client.close()
        await api.close()
        await wanted.until(lambda: bool(wanted.named("receive disconnect")))
    links = {(span.name, span.links) for span in wanted.spans if word_for(span) in ("request", "event")}
    assert links == {
        ("POST /api/session/create", ()),
        ("POST /api/session/join", (CLIENT_SPAN,)),
        ("POST /api/session/join", ()),
        ("receive connect", (CLIENT_SPAN,)),
        ("receive join-session", (CLIENT_SPAN,)),
        ("receive vote", ()),
        ("receive unknown-event", (CLIENT_SPAN,)),
        ("receive disconnect", ()),
    }
    assert CLIENT_TRACE not in {span.trace for span in wanted.spans}
    assert "Lovelace" not in wanted.text


async def test_a_burst_of_changes_is_one_delivery_with_a_link_to_each(
    redis_server: RedisServer, wanted: Receiver
) -> None:
    async with served_here(redis_server.url(), 2) as started:
        api = Api(started)
        made = await api.create(movies=[movie(f"m{number}") for number in range(60)])
        watching, voting = [await Socket.open(replica.url) for replica in started]
        await watching.emit("join-session", made.code)
        await voting.emit("join-session", made.code)
        votes = [voting.emit("vote", {"movieID": f"m{number}", "rating": 5}) for number in range(60)]
        acks = await asyncio.gather(*votes)
        await watching.at_version(max(ack["version"] for ack in acks))
        await wanted.until(lambda: votes_linked(wanted, watching_replica(wanted)) == 60)
        await watching.close()
        await voting.close()
        await api.close()
    deliveries = [span for span in wanted.named("deliver session") if span.replica == watching_replica(wanted)]
    assert len([span for span in deliveries if span.attributes["join_session.sockets"]]) < 60
    assert_linked_once(deliveries)


def watching_replica(traces: Receiver) -> str:
    return first_join(traces).replica


def votes_linked(traces: Receiver, replica: str) -> int:
    votes = {span.trace for span in traces.named("receive vote")}
    published = {span.id for span in traces.named("publish session") if span.trace in votes}
    linked = {link for span in traces.named("deliver session") if span.replica == replica for link in span.links}
    return len(published & linked)


def assert_linked_once(deliveries: list[Span]) -> None:
    links = [link for span in deliveries for link in span.links]
    assert len(links) == len(set(links))


@pytest.mark.slow
async def test_a_replica_that_stops_sends_what_is_left(redis_server: RedisServer, traces: Receiver) -> None:
    environment = traces.environment | {"OTEL_BSP_SCHEDULE_DELAY": "60000"}
    async with replicas(redis_server.url(), environment=environment) as [replica]:
        api = Api([replica])
        await api.create()
        await api.close()
        assert not traces.spans
        assert await asyncio.to_thread(replica.stop) == 0
    assert traces.named("POST /api/session/create")


@pytest.mark.slow
async def test_a_receiver_that_hangs_delays_neither_requests_nor_the_end(
    redis_server: RedisServer, traces: Receiver
) -> None:
    small = {"OTEL_BSP_MAX_QUEUE_SIZE": "16", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8", "OTEL_EXPORTER_OTLP_TIMEOUT": "90"}
    traces.open.clear()
    async with replicas(redis_server.url(), environment=traces.environment | small, drain_timeout=0) as [replica]:
        api = Api([replica])
        made = await api.create()
        for _ in range(100):
            assert (await api.join(made.code)).status_code == 200
        await api.close()
        began = time.monotonic()
        assert await asyncio.to_thread(replica.stop) == 0
        # Left to itself the library waits for half a minute.
        assert time.monotonic() - began < 20
        log = replica.logs()
    assert not traces.spans
    assert "trace export timed out at shutdown" in {line["message"] for line in log}


@pytest.mark.slow
async def test_a_receiver_that_refuses_costs_one_line(redis_server: RedisServer, traces: Receiver) -> None:
    elsewhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{traces.url}/elsewhere", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    async with replicas(redis_server.url(), environment=traces.environment | elsewhere, log_level="debug") as [replica]:
        api = Api([replica])
        for batches in range(1, 4):
            await api.create()
            await traces.until_refused(batches)
        await api.close()
        assert await asyncio.to_thread(replica.stop) == 0
        lines = [line for line in replica.logs() if "receiver" in line["message"] or "otel" in line["logger"].lower()]
    assert [line["message"] for line in lines] == ["traces were lost: their receiver does not take them"]


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "True"}, False),
    ],
)
def test_traces_are_made_only_where_somebody_wants_them(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], wanted: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert traces_wanted() is wanted


async def test_what_the_sampler_leaves_out_is_not_passed_on_to_other_replicas(
    redis_server: RedisServer, wanted: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = RedisClient.connect(redis_server.url())
    passed_on: list[str] = []
    heard = asyncio.Event()

    class PassedOn:
        def announced(self, _code: str, announcement: Announcement) -> None:
            passed_on.append(announcement.trace)
            heard.set()

        def extended(self, _code: str, _expires_at: int) -> None:
            """Nobody is told of a change."""

        def missed(self, _codes: Iterable[str] | None) -> None:
            raise AssertionError("announcements were missed")

    announcements = Announcements(connection, KEYS, timeout=5, metrics=Metrics())
    announcements.listen(PassedOn())
    await announcements.start()
    for sampler in ("always_off", "always_on"):
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
        heard.clear()
        async with served_here(redis_server.url()) as started:
            api = Api(started)
            made = await api.create()
            await announcements.subscribe(made.code)
            await api.call("PATCH", made.path, token=made.host_token, json={"title": "Friday"})
            await asyncio.wait_for(heard.wait(), 10)
            await api.close()
    await announcements.close()
    await connection.close()
    without, sampled = passed_on
    assert without == ""
    [publication] = wanted.named("publish session")
    assert sampled == f"00-{publication.trace}-{publication.id}-01"


async def test_without_traces_nothing_of_them_runs(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("a span was made")

    monkeypatch.setattr("opentelemetry.trace.use_span", never)
    monkeypatch.setattr("opentelemetry.sdk.trace.Tracer.start_span", never)
    monkeypatch.setattr("app.observability.tracing.Tracing.__init__", never)
    async with served_here(redis_server.url()) as [replica]:
        client = await Socket.open(replica.url)
        api = Api([replica])
        made = await api.create()
        assert (await client.emit("join-session", made.code))["ok"]
        await client.at_version(2)
        await client.close()
        await api.close()
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("Otel")]
