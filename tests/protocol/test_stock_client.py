"""The stock JavaScript client against the engine: what it takes for granted holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.node import Client, NodeClients, node_clients
from tests.harness.waiting import until

from .harness import Recorder, recorder

# One Node process for all.
pytestmark = pytest.mark.asyncio(loop_scope="module")

TRANSPORTS = pytest.mark.parametrize(
    "transports",
    [["polling", "websocket"], ["polling"], ["websocket"]],
    ids=["default", "polling", "websocket"],
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[NodeClients]:
    async with node_clients(documented=False) as node:
        yield node


async def connected(node: NodeClients, record: Recorder, transports: list[str], **options: Any) -> Client:
    client = await node.connect(f"http://{record.client.address}", transports=transports, **options)
    if transports == ["polling", "websocket"]:
        await client.until(lambda event: event.name == ":upgrade")
    return client


@TRANSPORTS
async def test_a_thousand_emits_before_the_connection_all_arrive_in_order(
    node: NodeClients, transports: list[str]
) -> None:
    async with recorder(events_per_second=100) as record:
        client = await node.connect(
            f"http://{record.client.address}", transports=transports, autoConnect=False, wait=False
        )
        for number in range(1000):
            await client.emit("hello", number)
        await client.open()
        await until(lambda: record.count("hello") == 1000)
        assert record.calls[1:] == [("hello", number) for number in range(1000)]


@TRANSPORTS
async def test_acknowledgements_and_events_come_in_order(node: NodeClients, transports: list[str]) -> None:
    async with recorder() as record:
        client = await connected(node, record, transports)
        assert await client.emit("hello", {"a": "é"}, ack=True) == {"a": "é"}
        assert await client.emit("unknown", ack=True) is None
        for number in range(100):
            record.server.deliver([str(client.id)], record.server.encode("n", number))
        for number in range(100):
            assert (await client.next("n")).data == number


@TRANSPORTS
async def test_heartbeats_keep_a_client(node: NodeClients, transports: list[str]) -> None:
    async with recorder(ping_interval=0.1, ping_timeout=0.2) as record:
        client = await connected(node, record, transports)
        await asyncio.sleep(1)
        assert await client.emit("hello", 1, ack=True) == 1
        assert client.named("disconnect") == []


@TRANSPORTS
async def test_a_client_whose_transport_is_closed_comes_back_at_once(node: NodeClients, transports: list[str]) -> None:
    async with recorder() as record:
        client = await connected(node, record, transports, reconnectionDelay=50)
        record.server.close_socket(str(client.id))
        assert (await client.next("disconnect")).data in ("transport close", "transport error")
        await until(lambda: record.count("connect") == 2)
        assert ("disconnect", "server disconnect") in record.calls


@TRANSPORTS
async def test_a_client_that_is_disconnected_stays_away(node: NodeClients, transports: list[str]) -> None:
    async with recorder() as record:
        client = await connected(node, record, transports, reconnectionDelay=50)
        await record.server.disconnect(str(client.id))
        assert (await client.next("disconnect")).data == "io server disconnect"
        # The client closes its transport itself.
        await until(lambda: record.server.open_count == 0)
        assert record.count("connect") == 1


@TRANSPORTS
async def test_a_client_recovers_with_the_pid_and_the_offset_it_saw(node: NodeClients, transports: list[str]) -> None:
    async def connect(sid: str, environ: Any, auth: Any) -> Any:
        record.calls.append(("connect", auth))
        return {"pid": (auth or {}).get("pid", "p1")}

    async with recorder() as record:
        record.server.on("connect", connect)
        client = await connected(node, record, transports, reconnectionDelay=50, auth={"token": "t"})
        assert not client.recovered
        record.server.deliver([str(client.id)], record.server.encode("update", {}, "7-12"))
        await client.next("update")
        await client.drop()
        await until(lambda: record.count("connect") == 2)
        await client.next("connect")
        assert client.recovered
        assert [call[1] for call in record.calls if call[0] == "connect"] == [
            {"token": "t"},
            {"token": "t", "pid": "p1", "offset": "7-12"},
        ]


async def test_an_unknown_namespace_tells_why(node: NodeClients) -> None:
    async with recorder() as record:
        client = await node.connect(f"http://{record.client.address}/nowhere", wait=False)
        assert (await client.next("connect_error")).data == "Invalid namespace"
