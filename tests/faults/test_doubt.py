"""Where Redis did something and its answer was lost: nobody is left behind, and nobody comes back who has left."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.world import World
from tests.harness.node import Client, Event, NodeClients

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def in_doubt(hasty: World, client: Client, event: str, *args: Any) -> dict[str, Any]:
    """The ack of an event that Redis has executed while its answer does not come."""
    hasty.links[0].freeze(answers_only=True)
    try:
        ack: dict[str, Any] = await client.emit(event, *args, ack=True)
    finally:
        hasty.links[0].thaw()
    assert not ack["ok"]
    return ack


async def names(client: Client, expected: dict[str, bool]) -> None:
    """Waits until just these take part, by name: connected or not."""

    def shown(_event: Event) -> bool:
        updates = client.named("session-update")
        people = updates[-1].data["participants"] if updates else []
        return {person["name"]: person["connected"] for person in people} == expected

    await client.until(shown)


async def token_of(client: Client, code: str) -> str:
    """The token of somebody who has left: by it joining is the first that Redis is asked for."""
    joined = await client.emit("join-session", code, ack=True)
    await client.emit("leave-session", ack=True)
    token: str = joined["token"]
    return token


async def test_who_goes_after_joining_in_doubt_leaves_no_ghost(hasty: World, node: NodeClients) -> None:
    made = await hasty.api.create()
    ann, bob = [await node.connect(hasty.urls[0], transports=["websocket"]) for _ in range(2)]
    await ann.emit("join-session", made.code, {"name": "Ann"}, ack=True)
    token = await token_of(bob, made.code)
    ack = await in_doubt(hasty, bob, "join-session", made.code, {"name": "Bob", "token": token})
    assert ack["code"] == "join-failed"
    await names(ann, {"Ann": True, "Bob": True})
    await bob.disconnect()
    await names(ann, {"Ann": True, "Bob": False})
    await names(ann, {"Ann": True})


async def test_who_joins_again_after_joining_in_doubt_is_there_once(hasty: World, node: NodeClients) -> None:
    made = await hasty.api.create()
    ann, bob = [await node.connect(hasty.urls[0], transports=["websocket"]) for _ in range(2)]
    await ann.emit("join-session", made.code, {"name": "Ann"}, ack=True)
    token = await token_of(bob, made.code)
    await in_doubt(hasty, bob, "join-session", made.code, {"name": "Bob", "token": token})
    await names(ann, {"Ann": True, "Bob": True})
    again = await bob.emit("join-session", made.code, {"name": "Bob"}, ack=True)
    read = await hasty.api.read(made.code)
    assert [person["name"] for person in read["sessionData"]["participants"]] == ["Ann", "Bob"]
    assert read["sessionData"]["participants"][1]["id"] == again["participantID"]


async def test_who_leaves_in_doubt_does_not_come_back(hasty: World, node: NodeClients) -> None:
    made = await hasty.api.create()
    ann, bob = [await node.connect(hasty.urls[0], transports=["websocket"]) for _ in range(2)]
    await ann.emit("join-session", made.code, {"name": "Ann"}, ack=True)
    # Once for certain first: a script that Redis does not know yet is not executed at the first attempt.
    await bob.emit("join-session", made.code, ack=True)
    await bob.emit("leave-session", ack=True)
    await bob.emit("join-session", made.code, {"name": "Bob"}, ack=True)
    await names(ann, {"Ann": True, "Bob": True})
    ack = await in_doubt(hasty, bob, "leave-session", {"mid": "once"})
    assert ack["code"] == "outcome-unknown"
    await names(ann, {"Ann": True})
    before = (await hasty.api.read(made.code))["meta"]["version"]
    again = await bob.emit("leave-session", {"mid": "once"}, ack=True)
    assert (again["ok"], again["version"]) == (True, before)
    # Nothing has happened meanwhile: what happens next is the next version.
    done = await ann.emit("add-movie", {"id": "m1", "title": "M"}, ack=True)
    assert done["version"] == before + 1
    read = await hasty.api.read(made.code)
    assert [person["name"] for person in read["sessionData"]["participants"]] == ["Ann"]
