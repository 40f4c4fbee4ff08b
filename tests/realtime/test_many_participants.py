"""Sessions of many people: updates and responses list some of them and count all; the list has pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from tests.harness.here import served_here
from tests.harness.people import Api, Made
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket, open_sockets

pytestmark = pytest.mark.asyncio(loop_scope="session")

LISTED: Final = 3
PEOPLE: Final = 8
TOKEN: Final = "the-operators-own-token"


@dataclass(frozen=True)
class Crowd:
    """A session of the host, two who take patches, and others."""

    api: Api
    made: Made
    sockets: list[Socket]
    acks: list[dict[str, Any]]

    @property
    def ids(self) -> list[str]:
        return [ack["participantID"] for ack in self.acks]

    async def page(self, cursor: str | None = None, token: str | None = None, **options: Any) -> Any:
        query = {} if cursor is None else {"cursor": cursor}
        path, token = f"{self.made.path}/participants", token or self.acks[-1]["token"]
        return await self.api.call("GET", path, params=query, token=token, **options)

    async def pages(self) -> list[list[str]]:
        pages: list[list[str]] = []
        cursor = None
        while not pages or cursor is not None:
            answer = (await self.page(cursor)).json()
            pages.append([person["id"] for person in answer["participants"]])
            cursor = answer["next"]
        return pages

    async def assert_all_alike(self) -> dict[str, Any]:
        """By updates, by patches, and over HTTP by both routes; return the state."""
        state = await self.api.read(self.made.code)
        for socket in self.sockets:
            await socket.at_version(state["meta"]["version"])
            assert socket.update == state["sessionData"]
            assert socket.meta["people"] == state["meta"]["people"]
        assert (await self.api.join(self.made.code)).json()["sessionData"] == state["sessionData"]
        return state


@asynccontextmanager
async def crowd(redis: RedisServer, replicas: int = 2, **settings: Any) -> AsyncIterator[Crowd]:
    async with served_here(redis.url(), replicas, listed_participants=LISTED, **settings) as started:
        api = Api(started)
        made = await api.create()
        sockets, acks = [], []
        for number in range(PEOPLE):
            socket = await Socket.open(started[number % replicas].url)
            ack = await socket.emit("join-session", made.code, options_of(number, made))
            await socket.at_version(ack["version"])
            sockets.append(socket)
            acks.append(ack)
        yield Crowd(api, made, sockets, acks)
        for socket in sockets:
            await socket.close()
        await api.close()


def options_of(number: int, made: Made) -> dict[str, Any]:
    patches = {"patches": number in (1, 6)}
    return {"token": made.host_token, **patches} if number == 0 else patches


async def test_the_host_and_the_first_are_listed_and_all_are_counted(redis_server: RedisServer) -> None:
    async with crowd(redis_server) as session:
        state = await session.assert_all_alike()
        assert [person["id"] for person in state["sessionData"]["participants"]] == session.ids[:LISTED]
        assert state["meta"]["people"] == PEOPLE

        ack = await session.sockets[0].emit("transfer-host", {"participantID": session.ids[5]})
        assert ack["ok"], ack
        shown = (await session.assert_all_alike())["sessionData"]["participants"]
        assert [(person["id"], person["role"]) for person in shown] == [
            (session.ids[0], "member"),
            (session.ids[1], "member"),
            (session.ids[5], "host"),
        ]

        await session.sockets[1].emit("leave-session")
        await session.sockets.pop(1).close()
        state = await session.assert_all_alike()
        assert [person["id"] for person in state["sessionData"]["participants"]] == [
            *(session.ids[0], session.ids[2], session.ids[5])
        ]
        assert state["meta"]["people"] == PEOPLE - 1


async def test_whoever_is_not_listed_is_only_counted_in_a_patch(redis_server: RedisServer) -> None:
    async with crowd(redis_server, replicas=1) as session:
        await session.assert_all_alike()
        patched, leaving = session.sockets[1], session.sockets[7]
        ack = await leaving.emit("leave-session")
        await patched.at_version(ack["version"])
        assert patched.patches[-1].startswith('42["session-patch",[],{')
        assert patched.meta["people"] == PEOPLE - 1


async def test_everybody_is_on_one_page_in_the_order_of_joining(redis_server: RedisServer) -> None:
    async with crowd(redis_server) as session:
        assert await session.pages() == [session.ids[:3], session.ids[3:6], session.ids[6:]]
        first = (await session.page()).json()
        assert first["participants"] == (await session.api.read(session.made.code))["sessionData"]["participants"]
        # Who leaves and who joins between two pages moves nobody to another one.
        await session.sockets[0].emit("leave-session")
        second = (await session.page(first["next"])).json()
        assert [person["id"] for person in second["participants"]] == session.ids[3:6]
        assert (await session.page("999999")).json() == {"participants": [], "next": None}


async def test_a_page_that_has_not_changed_is_304(redis_server: RedisServer) -> None:
    async with crowd(redis_server) as session:
        etag = (await session.page("3")).headers["ETag"]
        again = await session.page("3", headers={"If-None-Match": etag})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
        await session.sockets[0].emit("update-session", {"title": "Friday"})
        assert (await session.page("3", headers={"If-None-Match": etag})).status_code == 200


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "٣", "1" * 16])
async def test_a_wrong_cursor_is_refused_to_participants_and_nothing_is_said_to_others(
    redis_server: RedisServer, cursor: str
) -> None:
    async with crowd(redis_server) as session:
        refused = await session.page(cursor)
        assert refused.status_code == 400
        assert refused.json() == {
            "message": "Cursor must be the `next` of an earlier page",
            "code": "invalid-payload",
            "field": "cursor",
        }
        elsewhere = await session.api.create()
        stranger = await session.page(cursor, token=elsewhere.host_token)
        assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthorized")


async def test_operators_see_everybody(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), 1, listed_participants=2, operator_token=TOKEN) as [here]:
        api = Api([here])
        made = await api.create()
        async with open_sockets([here.url], 5) as sockets:
            ids = [(await socket.emit("join-session", made.code))["participantID"] for socket in sockets]
            assert len((await api.read(made.code))["sessionData"]["participants"]) == 2
            async with httpx.AsyncClient(base_url=here.internal_url, trust_env=False) as operator:
                headers = {"Authorization": f"Bearer {TOKEN}"}
                seen = (await operator.get(f"/operator/sessions/{made.code}", headers=headers)).json()
            assert [person["id"] for person in seen["sessionData"]["participants"]] == ids
            assert seen["meta"]["people"] == 5
        await api.close()
