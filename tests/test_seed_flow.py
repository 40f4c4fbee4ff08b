"""The flow that pages were written by first, compiled strictly and unmodified, in Node and in a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.harness.chromium import Page, PageError, chromium
from tests.harness.haproxy import one_origin
from tests.harness.node import JS, compile_typescript, node_clients, run_js
from tests.harness.people import TRANSPORTS, Api
from tests.harness.service import UNKNOWN, Replica

NOT_FOUND: Final = "Session not found or has expired"

over_each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.fixture
async def api(service: list[Replica]) -> AsyncIterator[Api]:
    opened = Api(service)
    yield opened
    await opened.close()


@pytest.fixture(scope="module", autouse=True)
def build() -> Path:
    """The folder of the compiled flow."""
    return compile_typescript()


async def run_flow(addresses: str, code: str, transport: str) -> dict[str, Any]:
    done = await run_js(JS / "seed-run.mjs", addresses, code, transport)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def assert_joined(result: dict[str, Any], code: str, data: dict[str, Any], transport: str) -> None:
    assert result["resolved"] == data
    joined, update = result["events"]
    assert joined == ["joined-session", {"sessionID": code}]
    assert update[0] == "session-update"
    assert (update[1]["createdAt"], update[1]["movies"]) == (data["createdAt"], [])
    assert [person["connected"] for person in update[1]["participants"]] == [True]
    assert result["transport"] == transport or transport == "default"


@over_each_transport
async def test_the_flow_joins_a_session(service: list[Replica], api: Api, transport: str) -> None:
    made = await api.create()
    result = await run_flow(service[0].url, made.code, transport)
    assert_joined(result, made.code, made.data, transport)


@over_each_transport
async def test_the_flow_joins_a_session_of_other_replicas(service: list[Replica], api: Api, transport: str) -> None:
    made = await api.create(replica=0)
    result = await run_flow(f"{service[1].url},{service[2].url}", made.code, transport)
    assert_joined(result, made.code, made.data, transport)


@over_each_transport
async def test_the_flow_rejects_an_unknown_session(service: list[Replica], api: Api, transport: str) -> None:
    assert await run_flow(service[0].url, UNKNOWN, transport) == {"rejected": NOT_FOUND}


async def test_a_client_sees_within_a_second_who_joins_by_another_replica(service: list[Replica], api: Api) -> None:
    made = await api.create(replica=0)
    async with node_clients() as node:
        first = await node.run_flow(service[1].url, made.code)
        await first.next("session-update")
        second = await node.run_flow(service[2].url, made.code)
        joined = await second.next("joined-session")
        update = await first.next("session-update")
        assert [person["connected"] for person in update.data["participants"]] == [True, True]
        assert update.at - joined.at < 1


@pytest.mark.timeout(120)
async def test_the_flow_runs_unmodified_in_a_browser(service: list[Replica], api: Api, build: Path) -> None:
    files = {
        "/": JS / "seed-page.html",
        "/seed-flow.js": build / "seed-flow.js",
        "/socket.io.esm.min.js": JS / "node_modules" / "socket.io-client" / "dist" / "socket.io.esm.min.js",
    }
    made = await api.create()
    ports = [replica.port for replica in service]
    async with one_origin(files, ports) as origin, chromium() as browser:
        page = await browser.open(origin)

        with pytest.raises(PageError, match=f"^Error: {NOT_FOUND}$"):
            await join(page, UNKNOWN)
        assert page.errors == ["Failed to load resource: the server responded with a status of 404 (Not Found)"]
        page.errors.clear()

        assert await join(page, made.code) == made.data
        assert await page.said("Joined session:") == ["Joined session:", made.code]
        assert len((await next_state(page))["participants"]) == 1
        await page.until(lambda: "2probe" in page.sent and "3probe" in page.received and "5" in page.sent)

        other = await browser.open(origin)
        await join(other, made.code)
        async with asyncio.timeout(10):
            assert await other.said("Joined session:") == ["Joined session:", made.code]
            assert len((await next_state(page))["participants"]) == 2
        assert page.received[-1].startswith('42["session-update",')
        assert page.errors == other.errors == []


async def join(page: Page, code: str) -> Any:
    return await page.evaluate(f"joinSession('{code}').then(({{ sessionData }}) => sessionData)")


async def next_state(page: Page) -> Any:
    return (await page.said("Session updated:"))[1]
