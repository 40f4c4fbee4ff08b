"""Sessions in Redis: one method for each atomic step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from app.redis_client.client import Script
from app.redis_client.reply import Reply
from app.sessions.answer_fields import Clearing
from app.sessions.steps import (
    Attached,
    Attachment,
    Author,
    Commit,
    DecisionStored,
    Extended,
    HostTokenGeneration,
    MoviesStored,
    NewMovie,
    NewSession,
    Removal,
    SessionSettings,
    Swept,
)
from app.store import calls, replies
from app.store.batches import run_batch
from app.store.client_errors import client_errors
from app.store.reader import SessionReader
from app.store.steps import draw_lot

__all__ = ["RedisSessions"]

T = TypeVar("T")

# A step has ended by then.
_LOOK_AFTER_MILLISECONDS: Final = 5000


class RedisSessions(SessionReader):
    """Implements ``app.sessions.ports.SessionStore``."""

    # Creating

    async def create(self, instances: Mapping[str, str], session: NewSession) -> str | None:
        with client_errors(changing=False):
            holders = await run_batch(self._client, [("GET", self._keys.reservation(code)) for code in instances])
        held = {code: holder for code, holder in zip(instances, holders, strict=True) if holder is not None}
        made = [code for code, holder in held.items() if holder == instances[code].encode()]
        for code in made + [code for code in instances if code not in held]:
            call = calls.creation(instances[code], session)
            if session.timer is not None:
                await self._schedule_decision(code)
            if await self._steps.run(self._scripts.create, code, call, replies.created):
                return code
        return None

    # Changes by participants and operators

    async def authorize(self, code: str, author: Author) -> None:
        call = calls.authority(author, {})
        await self._steps.run(self._scripts.authorize, code, call, replies.nothing, changing=False)

    async def leave(self, code: str, author: Author, *, connection: str, recovery: str) -> Commit:
        arguments = {"connection": connection, "recovery": recovery}
        # The connection is not part of the request, so a repeat over another connection is a repeat, too.
        return await self._change(self._scripts.leave, code, author, arguments, replies.commit, compared={})

    async def add_movies(
        self, code: str, author: Author, movies: Sequence[NewMovie], *, max_movies: int, max_bytes: int
    ) -> MoviesStored:
        arguments = {"movies": calls.movies(movies), "max_movies": max_movies, "max_bytes": max_bytes}
        return await self._change(self._scripts.add_movies, code, author, arguments, replies.movies_stored)

    async def remove_movie(self, code: str, author: Author, movie: str) -> Commit:
        return await self._change(self._scripts.remove_movie, code, author, {"movie": movie}, replies.commit)

    async def vote(
        self, code: str, author: Author, movie: str, rating: int, *, max_movies: int, connection: str | None
    ) -> Commit:
        rated = {"movie": movie, "rating": rating, "max_movies": max_movies}
        arguments = {**rated, "connection": connection}
        # A repeat may come over another connection.
        return await self._change(self._scripts.vote, code, author, arguments, replies.commit, compared=rated)

    async def rename_participant(self, code: str, author: Author, participant: str | None, name: str) -> Commit:
        arguments = {"target": participant, "name": name}
        return await self._change(self._scripts.rename_participant, code, author, arguments, replies.commit)

    async def update_session(self, code: str, author: Author, settings: SessionSettings) -> Commit:
        if settings.timer or settings.decide_when == "all-rated":
            await self._schedule_decision(code)
        compared, *others = calls.compared_settings(settings)
        return await self._change(
            self._scripts.update_session,
            code,
            author,
            calls.settings(settings),
            replies.commit,
            compared=compared,
            others=others,
        )

    async def remove_participant(self, code: str, author: Author, participant: str, reason: Removal) -> Commit:
        arguments = {"target": participant, "reason": reason}
        return await self._change(self._scripts.remove_participant, code, author, arguments, replies.commit)

    async def transfer_host(self, code: str, author: Author, participant: str) -> Commit:
        return await self._change(self._scripts.transfer_host, code, author, {"target": participant}, replies.commit)

    async def rotate_host_token(self, code: str, author: Author) -> HostTokenGeneration:
        return await self._change(self._scripts.rotate_host_token, code, author, {}, replies.host_token_generation)

    async def decide(self, code: str, author: Author, movie: str | None) -> DecisionStored:
        call = {"movie": movie, "lot": draw_lot()}
        return await self._change(
            self._scripts.decide, code, author, call, replies.decision_stored, compared={"movie": movie}
        )

    async def decide_due(self, code: str) -> None:
        """Make the decision if its time has come."""
        await self._steps.run(self._scripts.decide_due, code, {"lot": draw_lot()}, replies.nothing)

    async def reopen(self, code: str, author: Author, clear: Clearing | None) -> Commit:
        return await self._change(self._scripts.reopen, code, author, {"clear": clear}, replies.commit)

    async def _schedule_decision(self, code: str) -> None:
        """Have the session looked at soon, before a step sets the time of its decision: this replica may die after it.

        Who looks at it schedules the decision.
        """
        await self._steps.due.schedule(code, self.now() + _LOOK_AFTER_MILLISECONDS)

    async def end_session(self, code: str, author: Author) -> Commit:
        commit = await self._change(self._scripts.end_session, code, author, {}, replies.commit)
        self._steps.unlist(code)
        return commit

    async def _change(
        self,
        script: Script,
        code: str,
        author: Author,
        arguments: Mapping[str, object],
        read: Callable[[list[Reply]], T],
        *,
        compared: Mapping[str, object] | None = None,
        others: Sequence[Mapping[str, object]] = (),
    ) -> T:
        """Run a step that checks the author.

        Repeats must have the same ``compared``, by default all arguments, or one of ``others``.
        """
        compared = arguments if compared is None else compared
        return await self._steps.run(script, code, {**calls.authority(author, compared, others), **arguments}, read)

    # Presence

    async def attach(self, code: str, attachment: Attachment) -> Attached:
        read = partial(replies.attached, code, self._mirror(code))
        script = self._scripts.observe if attachment.observing else self._scripts.join
        return await self._steps.run(script, code, calls.attachment(attachment), read)

    async def detach(self, code: str, connections: Mapping[str, str | None], *, grace: int) -> int:
        gone = [[connection, recovery or ""] for connection, recovery in connections.items()]
        return await self._steps.run(self._scripts.detach, code, {"connections": gone, "grace": grace}, replies.due)

    async def stop_observing(self, code: str, connection: str, recovery: str) -> Commit:
        gone = [[connection, recovery]]
        call = {"connections": gone, "grace": 0}
        return Commit(await self._steps.run(self._scripts.detach, code, call, replies.detached_version), self.now())

    async def reap(self, code: str, replica: str, *, living: Sequence[str] | None = None, grace: int) -> int:
        """Detach the connections of a replica, all or all but ``living``.

        Returns when to look for participants to remove, in Unix milliseconds, 0 if all have other connections.
        """
        call = {"replica": replica, "grace": grace, "living": None if living is None else list(living)}
        return await self._steps.run(self._scripts.reap, code, call, replies.due)

    async def sweep(self, code: str, *, grace: int) -> Swept:
        """Remove the participants whose grace time (milliseconds) is over."""
        return await self._steps.run(self._scripts.sweep, code, {"grace": grace}, replies.swept)

    async def expire(self, code: str) -> int:
        """End a session whose time is over; return when one expires that lives on, else 0."""
        return await self._steps.run(self._scripts.expire, code, {}, replies.due)

    async def touch(self, code: str, *, least: int) -> Extended:
        """Extend a session that somebody is in, by at least so many milliseconds."""
        return await self._steps.run(self._scripts.touch, code, {"least": least}, replies.extended)
