"""Work that a replica repeats for ever, and work on several sessions at once. Failures are expected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from app.backoff import Backoff
from app.observability.logging import log_bug
from app.sessions.errors import SessionError
from app.store.due import DueList

__all__ = ["each", "forever", "look_after_due"]

_MIN_PAUSE_SECONDS: Final = 0.1
_MAX_PAUSE_SECONDS: Final = 0.5
_MAX_CONCURRENT: Final = 20

_logger = logging.getLogger(__name__)


async def forever(step: Callable[[], Awaitable[None]], interval: float) -> None:
    """Take a step at every interval, sooner after one that has failed."""
    backoff = Backoff(_MIN_PAUSE_SECONDS, min(interval, _MAX_PAUSE_SECONDS))
    while True:
        pause = interval
        try:
            await step()
            backoff.reset()
        except SessionError:
            pause = backoff.next()
        except Exception as error:
            # A bug in the handling of one session must not stop the lease or the sweep of all.
            log_bug(_logger, "background task failed", error)
        await asyncio.sleep(pause)


async def look_after_due(due_list: DueList, claimed: float, look_after: Callable[[str], Awaitable[int]]) -> None:
    """Look after the sessions of a list that are due, claimed for so many seconds.

    ``look_after`` returns when a session is due again (0: not any more). Those that failed become due when the claim
    expires; if all have failed, the first error is raised.
    """
    due = await due_list.claim(claimed)

    async def do(code: str) -> None:
        await due_list.settle(code, due.claim, await look_after(code))

    failures = await each(due.codes, do)
    if failures and len(failures) == len(due.codes):
        raise next(iter(failures.values()))


async def each(codes: Sequence[str], work: Callable[[str], Awaitable[None]]) -> dict[str, SessionError]:
    """Run ``work`` for each session, several at a time; return the sessions for which it failed."""
    turns = asyncio.Semaphore(_MAX_CONCURRENT)
    failures: dict[str, SessionError] = {}

    async def do(code: str) -> None:
        async with turns:
            try:
                await work(code)
            except SessionError as error:
                failures[code] = error
            except Exception as error:
                log_bug(_logger, "looking after a session has failed", error)
                failures[code] = SessionError("internal-error")

    await asyncio.gather(*(do(code) for code in codes))
    return failures
