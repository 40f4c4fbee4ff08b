"""Creates sessions."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import orjson

from app.sessions.admission import Client
from app.sessions.codes import CodeSpace
from app.sessions.errors import SessionError
from app.sessions.model import Session
from app.sessions.passcodes import Passcodes
from app.sessions.payloads import CreateSession
from app.sessions.ports import Creators, SessionStore
from app.sessions.rules import Rules, milliseconds
from app.sessions.steps import NewSession
from app.sessions.tokens import TokenSigner

__all__ = ["Created", "SessionCreation"]

# The movies given at creation to the live sessions of one address.
_MAX_MOVIES_BYTES: Final = 4 * 2**20
# The value of ``Retry-After``.
_RETRY_AFTER_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Created:
    """A new session and its host token."""

    session: Session
    host_token: str


class SessionCreation:
    """Creates sessions under free codes."""

    def __init__(
        self,
        store: SessionStore,
        creators: Creators,
        codes: CodeSpace,
        signer: TokenSigner,
        rules: Rules,
        *,
        new_id: Callable[[], str],
        passcodes: Passcodes,
    ) -> None:
        self._store = store
        self._passcodes = passcodes
        self._creators = creators
        self._codes = codes
        self._signer = signer
        self._rules = rules
        self._new_id = new_id
        self._making: set[asyncio.Task[Created]] = set()

    async def create(self, payload: CreateSession, client: Client, key: str | None = None) -> Created:
        """Create a session; with an idempotency key return the same session again."""
        rules = self._rules
        unjoined = rules.lifetime_unjoined(payload.ttl_seconds)
        decides_in = rules.allowed_decision_time(payload.decide_in_seconds)
        session = NewSession(
            epoch=self._new_id(),
            lifetime=milliseconds(rules.allowed_lifetime(payload.ttl_seconds) or rules.lifetime),
            unjoined=None if unjoined is None else milliseconds(unjoined),
            max_lifetime=milliseconds(rules.max_lifetime),
            quarantine=milliseconds(rules.code_rest),
            capacity=rules.allowed_capacity(payload.capacity) or rules.capacity,
            departed_ratings=payload.leaver_ratings or rules.leaver_ratings,
            decide_when=payload.decide_when or "host",
            decide_delay=milliseconds(rules.decide_delay),
            timer=None if decides_in is None else milliseconds(decides_in),
            reveal=payload.reveal or "live",
            title=payload.title or None,
            movies=rules.allowed_movies(payload.movies),
        )
        if payload.passcode is not None:
            session = replace(session, passcode=await self._passcodes.hashed(payload.passcode))
        seed = self._new_id()
        if key is not None:
            return await self._create_once(payload, seed, session, client, key)
        return await self._make(seed, session, client)

    async def _create_once(
        self, payload: CreateSession, seed: str, session: NewSession, client: Client, key: str
    ) -> Created:
        """Create a session by the plan stored for the key, so that any repeat can complete it."""
        digest = hashlib.sha256(f"{client.address} {key}".encode()).hexdigest()[:32]
        wanted, *others = self._fingerprints(payload, digest)
        plan: dict[str, str] = {"instance": seed, "epoch": session.epoch, "wanted": wanted}
        plan = orjson.loads(await self._creators.claim_plan(digest, orjson.dumps(plan).decode()))
        if plan["wanted"] not in (wanted, *others):
            raise SessionError("idempotency-mismatch")
        if "code" in plan:
            return await self._created(plan["code"], plan["instance"])
        created = await self._make(plan["instance"], replace(session, epoch=plan["epoch"]), client)
        plan |= {"code": created.session.code, "instance": created.session.instance}
        await self._creators.replace_plan(digest, orjson.dumps(plan).decode())
        return created

    def _fingerprints(self, payload: CreateSession, scope: str) -> list[str]:
        """Return hashes of what is asked for, of the passcode its digests; the first as this replica stores it."""
        asked = payload.model_dump_json(exclude_none=True, exclude={"passcode"})
        digests = [""] if payload.passcode is None else self._signer.digests(f"{scope} {payload.passcode}")
        return [hashlib.sha256(f"{asked}{digest}".encode()).hexdigest()[:32] for digest in digests]

    async def _make(self, seed: str, session: NewSession, client: Client) -> Created:
        """Create the session, also if the client disconnects meanwhile: its place stays taken in any case."""
        size = sum(len(movie.details.encode()) for movie in session.movies)
        await self._claim_room(client, seed, size)
        making = asyncio.get_running_loop().create_task(self._make_counted(seed, size, session, client))
        self._making.add(making)
        making.add_done_callback(self._made)
        return await asyncio.shield(making)

    def _made(self, making: asyncio.Task[Created]) -> None:
        self._making.discard(making)
        if not making.cancelled():
            # The client may have disconnected, and then no caller waits for the error.
            making.exception()

    async def _make_counted(self, seed: str, size: int, session: NewSession, client: Client) -> Created:
        for batch in self._codes.candidates(seed):
            instances = {code: self._signer.instance(seed, code) for code in batch}
            if code := await self._store.create(instances, session):
                if client.unlimited:
                    return await self._created(code, instances[code])
                made = self._creators.made(client.address, seed, size, code)
                return (await asyncio.gather(self._created(code, instances[code]), made))[0]
        raise SessionError("codes-exhausted")

    async def _created(self, code: str, instance: str) -> Created:
        try:
            session = await self._store.read(code)
        except SessionError as error:
            # The session exists, so the error must not say that nothing was done.
            raise SessionError("outcome-unknown") from error
        if session is None or session.instance != instance:
            raise SessionError("session-not-found")
        return Created(session, self._signer.host(instance, 1))

    async def _claim_room(self, client: Client, seed: str, size: int) -> None:
        """Refuse a session if the deployment or the client's address has no room for it."""
        if client.unlimited:
            return
        rules = self._rules
        most = {"most": rules.max_sessions_per_address, "most_bytes": _MAX_MOVIES_BYTES}
        live, granted = await asyncio.gather(
            self._store.count(), self._creators.claim(client.address, seed, size, **most)
        )
        if live >= rules.max_sessions:
            raise SessionError("limit-reached", "As many sessions are open as this service can hold")
        if not granted:
            raise SessionError(
                "too-many-requests", "Too many sessions of this address are open", retry_after=_RETRY_AFTER_SECONDS
            )
