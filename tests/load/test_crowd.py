"""What the clients of a load share, and what they do not."""

from __future__ import annotations

from typing import Any

import orjson

from app.client.crowd import Crowd
from app.client.plan import Plan, Run


def packet(event: str, content: Any, version: int, **meta: Any) -> bytes:
    told = [event, content, {"epoch": "e", "version": version, **meta}, f"e-{version}"]
    return b"42" + orjson.dumps(told)


def update(**person: Any) -> bytes:
    data = {"movies": [{"id": "m1", "count": 0}], "participants": [{"id": "p1", **person}]}
    return packet("session-update", data, 1)


def patch(version: int, path: str, value: Any) -> bytes:
    operations = [{"op": "replace", "path": path, "value": value}]
    return packet("session-patch", operations, version, **{"from": version - 1})


async def test_clients_of_replicas_that_do_not_tell_the_same_have_copies_of_their_own() -> None:
    """The previous release does not tell how much somebody has rated. The same patch applies to both states."""
    plan = Plan(urls=("http://localhost",), sessions=1, clients=2, duration=0, patches=True)
    crowd = Crowd(Run(plan), 0, "123456", "token")
    vote, all_rated = patch(2, "/movies/0/count", 1), patch(3, "/participants/0/rated", 1)
    of_previous, of_this = (crowd.patch(crowd.read(each), vote) for each in (update(), update(rated=0)))
    assert of_previous.state == of_this.state
    assert crowd.patch(of_this, all_rated).copy.data["participants"] == [{"id": "p1", "rated": 1}]
    assert of_previous.copy.data["participants"] == [{"id": "p1"}]


async def test_a_packet_is_parsed_once_for_all_who_hold_the_same_state() -> None:
    plan = Plan(urls=("http://localhost",), sessions=1, clients=2, duration=0, patches=True)
    crowd = Crowd(Run(plan), 0, "123456", "token")
    whole, vote = update(rated=0), patch(2, "/movies/0/count", 1)
    assert crowd.read(whole) is crowd.read(whole)
    assert crowd.patch(crowd.read(whole), vote) is crowd.patch(crowd.read(whole), vote)
