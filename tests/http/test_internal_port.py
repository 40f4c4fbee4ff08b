"""The internal port: probes and metrics, which the public one does not have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from tests.harness.here import Here
from tests.harness.ports import free_port
from tests.harness.service import DIGITS, Replica, running_replicas


@pytest.fixture
def lonely_replica() -> Iterator[Replica]:
    """A replica whose Redis is not there."""
    with running_replicas(f"redis://127.0.0.1:{free_port()}", unlimited_addresses="", **DIGITS) as (replica,):
        yield replica


@pytest_asyncio.fixture(loop_scope="session")
async def internal(service: list[Here]) -> AsyncIterator[httpx.AsyncClient]:
    """The internal port of the replica that the tests of this module share."""
    async with httpx.AsyncClient(base_url=service[0].internal_url, trust_env=False) as client:
        yield client


@pytest.mark.asyncio(loop_scope="session")
async def test_probes_answer_on_the_internal_port(internal: httpx.AsyncClient) -> None:
    health = await internal.get("/healthz")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    ready = await internal.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "redis": "up"})


@pytest.mark.asyncio(loop_scope="session")
async def test_metrics_are_exposed_on_the_internal_port(internal: httpx.AsyncClient) -> None:
    answer = await internal.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE join_session_" in answer.text


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("path", ["/", "/api/session/123456", "/nothing"])
async def test_what_is_not_internal_is_not_found_there(internal: httpx.AsyncClient, path: str) -> None:
    answer = await internal.get(path)
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
