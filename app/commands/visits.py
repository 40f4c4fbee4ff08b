"""Single changes of a session, for scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from app.commands.failures import Failure

if TYPE_CHECKING:
    from app.client.participant import Participant

__all__ = ["Change", "visit"]

Change = Callable[["Participant", list[dict[str, Any]]], Awaitable[dict[str, Any]]]
"""Makes a change, given the session's movies; returns the acknowledgement."""


def visit(url: str, code: str, identity: dict[str, str | None], change: Change) -> dict[str, Any]:
    """Join, make a change and disconnect; return the acknowledgement and the participant's token.

    The participant does not leave, so that ratings stay. Raises Failure.
    """
    from app.client.participant import CannotJoinError

    try:
        answer = asyncio.run(_visit(url, code, identity, change))
    except CannotJoinError as error:
        raise Failure(str(error), error.code) from error
    except TimeoutError as error:
        raise Failure("The service does not answer; the change may have been made", "outcome-unknown") from error
    if not answer["ok"]:
        raise Failure(answer["message"], answer["code"], answer.get("field"))
    return answer


async def _visit(url: str, code: str, identity: dict[str, str | None], change: Change) -> dict[str, Any]:
    from app.client.participant import Participant

    participant = Participant(url, code, **identity)
    movies: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()

    async def make() -> dict[str, Any]:
        return await change(participant, await movies)

    making, staying = asyncio.create_task(make()), asyncio.create_task(_stay(participant, movies))
    try:
        await asyncio.wait({making, staying}, return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            await staying
        answer = await making
    finally:
        making.cancel()
        staying.cancel()
        await asyncio.gather(making, staying, return_exceptions=True)
    return answer | {"participantID": participant.id, "token": participant.token} if answer["ok"] else answer


async def _stay(participant: Participant, movies: asyncio.Future[list[dict[str, Any]]]) -> None:
    """Keep the participant connected. Raises Failure where there is no session or no service any more."""
    async with aclosing(participant.frames(leaves=False)) as frames:
        async for frame in frames:
            if frame.event == "unreachable":
                raise Failure(f"The service cannot be reached: {frame.arguments[0]}", "unreachable")
            if frame.event == "session-update" and not movies.done():
                movies.set_result(frame.arguments[0]["movies"])
    raise Failure("The session has ended", "session-not-found")
