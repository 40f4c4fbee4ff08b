"""Making sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.sessions.admission import Client
from app.sessions.calls import given, milliseconds
from app.sessions.codes import CodeSpace
from app.sessions.errors import SessionError
from app.sessions.model import Session
from app.sessions.payloads import CreateSession
from app.sessions.ports import SessionStore
from app.sessions.rules import Rules
from app.sessions.tokens import TokenSigner

__all__ = ["Created", "SessionCreation"]


@dataclass(frozen=True, slots=True)
class Created:
    session: Session
    host_token: str


class SessionCreation:
    """Makes sessions under codes that are free."""

    def __init__(
        self,
        store: SessionStore,
        codes: CodeSpace,
        signer: TokenSigner,
        rules: Rules,
        *,
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._codes = codes
        self._signer = signer
        self._rules = rules
        self._new_id = new_id

    async def create(self, payload: CreateSession, client: Client, key: str | None = None) -> Created:
        """Makes a session under a free code; with an idempotency key the same one again."""
        rules = self._rules
        call: dict[str, Any] = {
            "instance": self._new_id(),
            "epoch": self._new_id(),
            "lifetime": milliseconds(rules.allowed_lifetime(payload.ttl_seconds) or rules.lifetime),
            "max_lifetime": milliseconds(rules.max_lifetime),
            "rest": milliseconds(rules.code_rest),
            "capacity": rules.allowed_capacity(payload.capacity) or rules.capacity,
            "leavers": payload.leaver_ratings or rules.leaver_ratings,
            "title": payload.title or None,
            "movies": rules.allowed_movies(payload.movies),
        }
        if key is not None:
            return await self._create_once(payload, call, client, key)
        await self._check_room(client)
        return await self._created(*await self._reserve(call["instance"], call))

    async def _create_once(self, payload: CreateSession, call: dict[str, Any], client: Client, key: str) -> Created:
        """All repeats of a creation follow the plan that the first of them has claimed, so any of them completes it."""
        wanted = hashlib.sha256(payload.model_dump_json(exclude_none=True).encode()).hexdigest()[:32]
        digest = hashlib.sha256(f"{client.address} {key}".encode()).hexdigest()[:32]
        await self._check_room(client)
        plan: dict[str, str] = {"instance": call["instance"], "epoch": call["epoch"], "wanted": wanted}
        plan = orjson.loads(await self._store.claim_creation(digest, orjson.dumps(plan).decode()))
        if plan["wanted"] != wanted:
            raise SessionError("idempotency-mismatch")
        if "code" not in plan:
            plan["code"], plan["instance"] = await self._reserve(plan["instance"], call | {"epoch": plan["epoch"]})
            await self._store.remember_creation(digest, orjson.dumps(plan).decode())
        return await self._created(plan["code"], plan["instance"])

    async def _reserve(self, seed: str, call: Mapping[str, Any]) -> tuple[str, str]:
        """Makes the session; its code and its instance."""
        for batch in self._codes.candidates(seed):
            instances = {code: self._signer.instance(seed, code) for code in batch}
            if code := await self._store.create(instances, given(call)):
                return code, instances[code]
        raise SessionError("codes-exhausted")

    async def _created(self, code: str, instance: str) -> Created:
        try:
            session = await self._store.read(code)
        except SessionError as error:
            # It has been made; nobody is told that nothing was done.
            raise SessionError("outcome-unknown") from error
        if session is None or session.instance != instance:
            raise SessionError("session-not-found")
        return Created(session, self._signer.host(instance, 1))

    async def _check_room(self, client: Client) -> None:
        if not client.unlimited and await self._store.count() >= self._rules.max_sessions:
            raise SessionError("limit-reached", "As many sessions are open as this service can hold")
