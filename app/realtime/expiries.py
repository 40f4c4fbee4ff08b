"""Ends the sessions whose time is over, so that it happens once, also where nobody is connected."""

from __future__ import annotations

from typing import Final

from app.realtime.rounds import each, forever
from app.store.due import DueList
from app.store.sessions import RedisSessions

__all__ = ["end_expired"]

_INTERVAL_SECONDS: Final = 0.5
_CLAIM_SECONDS: Final = 10.0


async def end_expired(live: DueList, store: RedisSessions) -> None:
    """End, forever, the sessions of the deployment whose time is over; list those again that live longer.

    Redis deletes their keys by time. This is the step that says so.
    """

    async def end_some() -> None:
        due = await live.claim(_CLAIM_SECONDS)

        async def end(code: str) -> None:
            await live.settle(code, due.claim, await store.expire(code))

        # Sessions that failed become due again when the claim expires.
        failures = await each(due.codes, end)
        if failures and len(failures) == len(due.codes):
            raise next(iter(failures.values()))

    await forever(end_some, _INTERVAL_SECONDS)
