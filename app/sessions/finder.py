"""Finds sessions by their codes, for readers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.sessions.admission import Admission, Client
from app.sessions.codes import CodeSpace
from app.sessions.errors import SessionError
from app.sessions.head import Head
from app.sessions.model import Session, Snapshot
from app.sessions.permissions import Action
from app.sessions.ports import SessionStore
from app.sessions.steps import Person
from app.sessions.tokens import Credential, TokenSigner

__all__ = ["SessionFinder", "code_of", "is_known"]

Found = TypeVar("Found", bound=Session | Snapshot | Head)


class SessionFinder:
    """The use cases of those who read. A failed look-up counts against the client's rate limit."""

    def __init__(self, store: SessionStore, admission: Admission, codes: CodeSpace, signer: TokenSigner) -> None:
        self._store = store
        self._admission = admission
        self._codes = codes
        self._signer = signer

    def find(self, text: str, client: Client, token: str | None = None) -> Awaitable[Snapshot]:
        """Return the session that ``text`` names, to anybody."""
        return self._find(text, client, token, self._store.snapshot)

    async def look_up(self, text: str, client: Client, token: str | None = None) -> Snapshot:
        """Return the session that ``text`` names; one with a passcode only to its host and participants."""
        return await self._guarded(text, client, token, self._store.snapshot)

    async def look_up_whole(self, text: str, client: Client, token: str | None = None) -> Session:
        """Return the session like ``look_up``, with what its result is made of."""
        return await self._guarded(text, client, token, self._store.read)

    async def look_up_changed(
        self, text: str, client: Client, token: str | None, seen: Callable[[Head], bool]
    ) -> Snapshot | Head:
        """Return the session, or only its head if the caller has ``seen`` that version, which is cheap."""

        async def read(code: str) -> Snapshot | Head | None:
            head = await self._store.head(code)
            return head if head is None or seen(head) else await self._store.snapshot(code)

        return await self._guarded(text, client, token, read)

    async def _guarded(
        self, text: str, client: Client, token: str | None, read: Callable[[str], Awaitable[Found | None]]
    ) -> Found:
        passcode: str | None = None

        async def read_both(code: str) -> Found | None:
            nonlocal passcode
            found, passcode = await asyncio.gather(read(code), self._store.passcode(code))
            return found

        found = await self._find(text, client, token, read_both)
        if passcode is not None:
            await self._check(code_of(self._codes, text), client, token)
        return found

    async def _check(self, code: str, client: Client, token: str | None) -> None:
        """Raise ``SessionError`` unless the token is the host's, or that of somebody in the session."""
        try:
            if token is None:
                raise SessionError("passcode-required")
            credential = self._verified(token)
            if credential is None:
                raise SessionError("unauthorized")
            await self._store.authorize(code, Person(credential, Action.READ))
        except SessionError as error:
            await self._admission.note(error, client, code)
            raise

    async def _find(
        self, text: str, client: Client, token: str | None, read: Callable[[str], Awaitable[Found | None]]
    ) -> Found:
        code = code_of(self._codes, text)
        credential = self._verified(token)
        if credential is not None and is_known(self._signer, credential, code):
            found = await read(code)
            if found is not None and await self._instance_of(found, code) == credential.instance:
                return found
            # The token belongs to an earlier session under this code, so this is counted as a look-up.
        if client.unlimited:
            return _existing(await read(code))
        async with self._admission.look_up(client, code) as look_up:
            return _existing(await look_up.answer(lambda: read(code)))

    async def _instance_of(self, found: Session | Snapshot | Head, code: str) -> str | None:
        return await self._store.instance(code) if isinstance(found, Head) else found.instance

    def _verified(self, token: str | None) -> Credential | None:
        return self._signer.verify(token) if token else None


def code_of(codes: CodeSpace, text: str) -> str:
    """Return the code that ``text`` names; raise ``session-not-found`` if it cannot be one."""
    code = codes.parse(text)
    if code is None:
        raise SessionError("session-not-found")
    return code


def is_known(signer: TokenSigner, credential: Credential | None, code: str) -> bool:
    """Return whether the token's holder knows the code already, so that a look-up reveals nothing."""
    return credential is not None and signer.carries(credential, code)


def _existing(found: Found | None) -> Found:
    if found is None:
        raise SessionError("session-not-found")
    return found
