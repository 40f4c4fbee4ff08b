"""The internal port: probes and metrics, which the public one does not have."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.harness.ports import free_port
from tests.harness.service import DIGITS, Replica, running_replicas


@pytest.fixture
def lonely_replica() -> Iterator[Replica]:
    """A replica whose Redis is not there."""
    with running_replicas(f"redis://127.0.0.1:{free_port()}", unlimited_addresses="", **DIGITS) as (replica,):
        yield replica


def test_probes_answer_on_the_internal_port(service: list[Replica]) -> None:
    for replica in service:
        health = httpx.get(f"{replica.internal_url}/healthz", trust_env=False)
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        ready = httpx.get(f"{replica.internal_url}/readyz", trust_env=False)
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "redis": "up"})


def test_metrics_are_exposed_on_the_internal_port(service: list[Replica]) -> None:
    answer = httpx.get(f"{service[0].internal_url}/metrics", trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE join_session_" in answer.text


@pytest.mark.parametrize("path", ["/", "/api/session/123456", "/nothing"])
def test_what_is_not_internal_is_not_found_there(service: list[Replica], path: str) -> None:
    answer = httpx.get(f"{service[0].internal_url}{path}", trust_env=False)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not found", "code": "not-found"})


def test_a_replica_that_has_never_reached_redis_is_not_ready_and_refuses_in_json(lonely_replica: Replica) -> None:
    ready = httpx.get(f"{lonely_replica.internal_url}/readyz", trust_env=False)
    assert (ready.status_code, ready.json()) == (503, {"status": "starting", "redis": "away"})
    joined = httpx.post(
        f"{lonely_replica.url}/api/session/join", json={"sessionID": "123456"}, trust_env=False, timeout=3
    )
    assert (joined.status_code, joined.content) == (500, b'{"message":"Failed to join session"}')
    assert joined.headers["X-Error-Code"] == "join-failed"
    created = httpx.post(f"{lonely_replica.url}/api/session/create", trust_env=False, timeout=3)
    assert (created.status_code, created.json()["code"]) == (503, "unavailable")
