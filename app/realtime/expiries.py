"""Ends the sessions whose time is over, so that it happens once, also where nobody is connected."""

from __future__ import annotations

from functools import partial
from typing import Final

from app.realtime.rounds import forever, look_after_due
from app.store.due import DueList
from app.store.sessions import RedisSessions

__all__ = ["end_expired"]

_INTERVAL_SECONDS: Final = 0.5
_CLAIM_SECONDS: Final = 10.0


async def end_expired(live: DueList, store: RedisSessions) -> None:
    """End, forever, the sessions of the deployment whose time is over; list those again that live longer.

    Redis deletes their keys by time. This is the step that says so.
    """
    await forever(partial(look_after_due, live, _CLAIM_SECONDS, store.expire), _INTERVAL_SECONDS)
