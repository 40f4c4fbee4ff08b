"""Many people at once, and a session that has not room for all."""

from __future__ import annotations

import asyncio

from tests.harness.node import node_clients
from tests.harness.people import Api, People
from tests.harness.sockets import Socket, open_sockets
from tests.harness.world import RACES, World, hosts

CROWD = 480
STOCK_CLIENTS = 20
ROOM = 10


@RACES
async def test_of_five_hundred_that_join_at_once_exactly_as_many_get_in_as_there_is_room(
    world: World, api: Api
) -> None:
    async with open_sockets(world.urls, CROWD) as sockets, node_clients() as node:
        people = People(node, world.replicas)
        clients = [await people.connect(replica=number % 3) for number in range(STOCK_CLIENTS)]
        for _ in range(world.repeats):
            made = await api.create(capacity=ROOM)
            acks = await asyncio.gather(
                *(socket.emit("join-session", made.code) for socket in sockets),
                *(client.emit("join-session", made.code, ack=True, timeout=20) for client in clients),
            )
            let_in = [ack for ack in acks if ack["ok"]]
            assert len(let_in) == ROOM
            assert {ack["code"] for ack in acks if not ack["ok"]} == {"session-full"}
            for replica in range(3):
                data = (await api.read(made.code, replica=replica))["sessionData"]
                assert {person["id"] for person in data["participants"]} == {ack["participantID"] for ack in let_in}
                assert len(hosts(data)) == 1
            newest = max(ack["version"] for ack in let_in)
            inside = [socket for socket, ack in zip(sockets, acks, strict=False) if ack["ok"]]
            await asyncio.gather(*(sees_everybody(socket, newest) for socket in inside))


async def sees_everybody(socket: Socket, version: int) -> None:
    assert len((await socket.at_version(version))["participants"]) == ROOM


@RACES
async def test_a_place_that_becomes_free_is_taken_once(world: World, api: Api) -> None:
    async with open_sockets(world.urls, 30) as sockets:
        for _ in range(world.repeats):
            made = await api.create(capacity=1)
            holder, *others = sockets
            assert (await holder.emit("join-session", made.code))["ok"]
            leaving, *acks = await asyncio.gather(
                holder.emit("leave-session"), *(socket.emit("join-session", made.code) for socket in others)
            )
            assert leaving["ok"]
            late = [await socket.emit("join-session", made.code) for socket in others]
            assert sum(ack["ok"] for ack in acks) <= 1
            assert len({ack["participantID"] for ack in (*acks, *late) if ack["ok"]}) == 1
            sockets = [*others, holder]
