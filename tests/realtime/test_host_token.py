"""The creator's host token: good for the session's life, whoever was promoted in between."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from tests.harness.here import Here
from tests.harness.people import Api
from tests.harness.sockets import Socket, open_sockets
from tests.harness.waiting import until


async def roles(api: Api, code: str) -> dict[str, str]:
    people = (await api.read(code))["sessionData"]["participants"]
    return {person["id"]: person["role"] for person in people}


async def a_stranger_promoted(
    stack: AsyncExitStack, replica: Here, api: Api
) -> tuple[Any, dict[str, Any], tuple[Socket, str], tuple[Socket, str]]:
    """A session whose creator has been gone for longer than the grace time; a host by that, and another member."""
    made = await api.create()
    creator, *others = await stack.enter_async_context(open_sockets([replica.url], 3))
    joined = await creator.emit("join-session", made.code, {"token": made.host_token})
    ids = [(await other.emit("join-session", made.code))["participantID"] for other in others]
    await creator.drop()

    async def promoted() -> bool:
        return (await roles(api, made.code)) == {ids[0]: "host", ids[1]: "member"}

    await until(promoted, "somebody else is host")
    return made, joined, (others[0], ids[0]), (others[1], ids[1])


async def test_the_host_token_makes_its_holder_host_again_whoever_was_promoted_in_between(
    brief: Here, brief_api: Api
) -> None:
    async with AsyncExitStack() as stack:
        made, joined, (first, first_id), (_, second_id) = await a_stranger_promoted(stack, brief, brief_api)
        # Who was promoted hands over, too, and that does not touch the token.
        assert (await first.emit("transfer-host", {"participantID": second_id}))["ok"]
        assert await roles(brief_api, made.code) == {first_id: "member", second_id: "host"}
        (back,) = await stack.enter_async_context(open_sockets([brief.url], 1))
        ack = await back.emit("join-session", made.code, {"token": made.host_token})
        assert (ack.get("code"), ack.get("participantID")) == (None, joined["participantID"])
        assert (await roles(brief_api, made.code))[joined["participantID"]] == "host"
        answer = await brief_api.call("PATCH", made.path, token=made.host_token, json={"title": "Mine"})
        assert answer.status_code == 200


async def test_whoever_holds_the_host_token_cannot_be_kicked_or_banned(brief: Here, brief_api: Api) -> None:
    async with AsyncExitStack() as stack:
        made, joined, (host, _), _ = await a_stranger_promoted(stack, brief, brief_api)
        (back,) = await stack.enter_async_context(open_sockets([brief.url], 1))
        assert (await back.emit("join-session", made.code, {"token": joined["token"]}))["ok"]
        assert (await roles(brief_api, made.code))[joined["participantID"]] == "member"
        for ban in (False, True):
            kick = {"participantID": joined["participantID"], "ban": ban}
            assert (await host.emit("kick-participant", kick)).get("code") == "forbidden"
        answer = await brief_api.call(
            "DELETE", f"{made.path}/participants/{joined['participantID']}", token=made.host_token
        )
        assert answer.status_code == 200, "oneself by the token is to leave"


async def test_rotating_gives_the_holder_a_new_host_token_and_voids_the_old_one(brief: Here, brief_api: Api) -> None:
    made = await brief_api.create()
    async with open_sockets([brief.url], 3) as (creator, again, member):
        assert (await creator.emit("join-session", made.code, {"token": made.host_token}))["ok"]
        assert (await member.emit("join-session", made.code))["ok"]
        ack = await creator.emit("rotate-host-token", {"mid": "once"})
        assert ack["ok"], ack
        # The one who lost the acknowledgement repeats it by another connection.
        assert (await again.emit("join-session", made.code, {"token": ack["hostToken"]}))["ok"]
        assert await again.emit("rotate-host-token", {"mid": "once"}) == ack
        for token, status in ((made.host_token, 401), (ack["hostToken"], 200)):
            answer = await brief_api.call("PATCH", made.path, token=token, json={"locked": False})
            assert answer.status_code == status
        other = await again.emit("rotate-host-token")
        assert other["hostToken"] != ack["hostToken"]
        assert (await member.emit("rotate-host-token"))["code"] == "forbidden"


async def test_who_was_promoted_holds_no_host_token_to_rotate(brief: Here, brief_api: Api) -> None:
    async with AsyncExitStack() as stack:
        made, _joined, (host, host_id), _ = await a_stranger_promoted(stack, brief, brief_api)
        assert (await host.emit("rotate-host-token"))["code"] == "forbidden"
        (back,) = await stack.enter_async_context(open_sockets([brief.url], 1))
        await back.emit("join-session", made.code, {"token": made.host_token})
        assert (await back.emit("transfer-host", {"participantID": host_id}))["ok"]
        assert (await host.emit("rotate-host-token"))["code"] == "forbidden"
        assert (await back.emit("join-session", made.code, {"token": made.host_token}))["code"] == "unauthorized"
