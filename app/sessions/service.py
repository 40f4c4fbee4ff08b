"""The use cases: one method each, for both transports."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from app.sessions.admission import Admission, Client
from app.sessions.answers import Done, HostTokenRotated, MoviesAdded
from app.sessions.calls import decoded, fingerprint, given, milliseconds, who
from app.sessions.codes import CodeSpace
from app.sessions.creation import Created, SessionCreation
from app.sessions.errors import SessionError
from app.sessions.model import Head, Snapshot
from app.sessions.payloads import (
    AddMovies,
    CreateSession,
    JoinOptions,
    KickParticipant,
    MovieReference,
    TransferHost,
    UpdateSession,
    Vote,
)
from app.sessions.permissions import PERMISSIONS, Action
from app.sessions.ports import Budgets, Creators, SessionStore
from app.sessions.rules import Rules
from app.sessions.tokens import Credential, TokenSigner

__all__ = ["Access", "Joined", "Membership", "SessionService", "random_id"]

Found = TypeVar("Found", bound=Snapshot | Head)

_ID_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Access:
    """A genuine credential, to be used on the session under a code.

    ``client``: whose failed look-up it is when the session is not there or not the credential's; None for the
    credential of somebody who is in the session.
    """

    code: str
    credential: Credential
    client: Client | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """``stay`` names the time since the participant joined; after a removal and a return it is another one.

    ``free_at``: when the session's code is free again, in Unix milliseconds; ``votes`` are the participant's own, by
    movie.
    """

    access: Access
    participant: str
    stay: int
    free_at: int
    name: str
    head: Head
    token: str
    votes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Membership:
    """One that is to go on: ``stay`` as in ``Joined``; the epoch in which its connection was attached, and the name of
    its participant, as far as they are known."""

    stay: int
    epoch: str | None = None
    name: str | None = None


class SessionService:
    """Sessions, as people use them. Every method raises ``SessionError`` for what cannot be done."""

    def __init__(
        self,
        store: SessionStore,
        budgets: Budgets,
        creators: Creators,
        codes: CodeSpace,
        signer: TokenSigner,
        rules: Rules,
        *,
        new_id: Callable[[], str],
        renewed_at: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._store = store
        self._admission = Admission(budgets, rules)
        self._codes = codes
        self._signer = signer
        self._rules = rules
        self._new_id = new_id
        self._renewed_at = renewed_at
        self._creation = SessionCreation(store, creators, codes, signer, rules, new_id=new_id)

    async def create(self, payload: CreateSession, client: Client, key: str | None = None) -> Created:
        """Makes a session under a free code; with an idempotency key the same one again."""
        return await self._creation.create(payload, client, key)

    async def look_up(self, text: str, client: Client, token: str | None = None) -> Snapshot:
        """The session that a person means by ``text``; a failed look-up is counted against the client's budget."""
        return await self._find(text, client, token, self._store.snapshot)

    async def look_up_changed(
        self, text: str, client: Client, token: str | None, seen: Callable[[Head], bool]
    ) -> Snapshot | Head:
        """The session, or only where it stands if whoever asks has ``seen`` it there, which costs next to nothing."""

        async def read(code: str) -> Snapshot | Head | None:
            head = await self._store.head(code)
            return head if head is None or seen(head) else await self._store.snapshot(code)

        return await self._find(text, client, token, read)

    async def _find(
        self, text: str, client: Client, token: str | None, read: Callable[[str], Awaitable[Found | None]]
    ) -> Found:
        code = self._code(text)
        credential = self._verified(token)
        if credential is not None and self._is_known(credential, code):
            found = await read(code)
            if found is not None and await self._instance_of(found, code) == credential.instance:
                return found
            # The token is that of an earlier session under this code, with which nothing is to be found out.
        async with self._admission.look_up(client, code) as look_up:
            found = await look_up.answer(lambda: read(code))
            if found is None:
                raise SessionError("session-not-found")
        return found

    async def _instance_of(self, found: Snapshot | Head, code: str) -> str | None:
        return found.instance if isinstance(found, Snapshot) else await self._store.instance(code)

    async def access(self, text: str, token: str | None, client: Client) -> Access:
        """What a token allows in the session that ``text`` means."""
        code = await self.admit(text, client, token)
        credential = self._verified(token)
        if credential is None:
            raise SessionError("unauthorized")
        return Access(code, credential, client)

    async def admit(self, text: str, client: Client, token: str | None = None, *, present_in: str | None = None) -> str:
        """The code that ``text`` means, of a session that is there and to which the token belongs, if one is shown.

        A look-up that fails, also by the token, is counted against the client's budget. Who shows a good token, or is
        ``present_in`` that session, needs none: the next step tells whether the session is there.
        """
        code = self._code(text)
        credential = self._verified(token)
        if code == present_in or self._is_known(credential, code):
            return code
        async with self._admission.look_up(client, code) as look_up:
            instance = await look_up.answer(lambda: self._store.instance(code))
            if instance is None:
                raise SessionError("session-not-found")
            if token is not None and (credential is None or credential.instance != instance):
                raise SessionError("unauthorized")
        return code

    @asynccontextmanager
    async def checked(self, access: Access, action: Action) -> AsyncIterator[None]:
        """For reading a request and for doing what it asks: one that is wrong tells whoever may not do this at all no
        more than that. One that is right costs nothing: the step that does it checks who asks."""
        try:
            yield
        except SessionError as error:
            if error.status == 400:
                await self._authorize(access, action)
            raise

    async def allow_creation(self, client: Client) -> None:
        """Counts a session that is about to be created on the client's budget."""
        await self._admission.creation(client)

    async def join(
        self,
        code: str,
        options: JoinOptions,
        client: Client,
        *,
        connection: str,
        recovery: str,
        known_as: Credential | None = None,
    ) -> Joined:
        """Attaches a connection to a participant of the session: a new one, or the one of the token.

        ``known_as``: who the connection already is in this session. ``recovery``: the id by which the connection can
        be continued by a later one. A code or token that is not good counts as a failed look-up.
        """
        credential = known_as
        try:
            if options.token:
                credential = self._signer.verify(options.token)
                if credential is None:
                    raise SessionError("unauthorized")
            return await self.attach(code, credential, options.name, connection=connection, recovery=recovery)
        except SessionError as error:
            await self._admission.note(error, client, code)
            raise

    async def attach(
        self,
        code: str,
        credential: Credential | None,
        name: str | None = None,
        *,
        connection: str,
        recovery: str,
        recovering: bool = False,
        continued: Membership | None = None,
    ) -> Joined:
        """As ``join``, for a code and a credential that are known to be good.

        ``recovering``: raises ``not-joined`` when the recovery id is void. ``continued``: raises ``not-joined`` when
        that membership has ended by leaving or being told to go; a lock does not keep it out.
        """
        call: dict[str, Any] = {
            "newcomer": self._new_id(),
            "name": name or None,
            "connection": connection,
            "recovery": recovery,
            "recovering": recovering or None,
            "stay": continued.stay if continued else None,
            "joined_in": continued.epoch if continued else None,
            "known_name": continued.name if continued else None,
            "policy": self._rules.second_connection,
            "leased": self._renewed_at(),
            **who(credential),
        }
        version, *texts, stay, free_at, cast, known_as = await self._store.change("join", code, given(call))
        epoch, instance, participant = decoded(texts)
        return Joined(
            access=Access(code, Credential("participant", instance, participant)),
            participant=participant,
            stay=stay,
            free_at=free_at,
            name=known_as.decode(),
            head=Head(epoch, version),
            token=self._signer.participant(instance, participant),
            votes={movie.decode(): rating for movie, rating in zip(cast[::2], cast[1::2], strict=True)},
        )

    async def detach(self, code: str, connections: Mapping[str, str | None]) -> int:
        """Connections are gone; their participants may come back within the grace time. Each is named with its
        recovery id, if that continues nobody any more.

        Returns when that is over, in Unix milliseconds by the store's clock, 0 when nobody is away by it.
        """
        gone = [[connection, recovery or ""] for connection, recovery in connections.items()]
        call = {"connections": gone, "grace": milliseconds(self._rules.grace)}
        _, due = await self._store.change("detach", code, call)
        return int(due)

    async def leave(self, access: Access, connection: str, recovery: str, mid: str | None = None) -> Done:
        """The participant of a connection leaves, unless it is there by another connection, too."""
        arguments = {"connection": connection, "recovery": recovery}
        # Which connection it is does not come from the client: by another one a repeat is a repeat, too.
        return await self._change(access, Action.LEAVE, "leave", arguments, mid, sent={})

    async def add_movies(self, access: Access, payload: AddMovies) -> MoviesAdded:
        """Adds movies, all or none. The ack says which were ``added`` and which were ``present`` already."""
        rules = self._rules
        arguments = {
            "movies": rules.allowed_movies(payload.movies),
            "max_movies": rules.max_movies,
            "max_bytes": rules.max_movies_bytes,
        }
        version, added, present = await self._run(access, Action.ADD_MOVIES, "add-movies", arguments, payload.mid)
        return {"ok": True, "version": version, "added": decoded(added), "present": decoded(present)}

    async def remove_movie(self, access: Access, payload: MovieReference) -> Done:
        arguments = {"movie": payload.movie_id}
        return await self._change(access, Action.REMOVE_MOVIE, "remove-movie", arguments, payload.mid)

    async def vote(self, access: Access, payload: Vote) -> Done:
        return await self._vote(access, Action.VOTE, payload.movie_id, payload.rating, payload.mid)

    async def withdraw_vote(self, access: Access, payload: MovieReference) -> Done:
        return await self._vote(access, Action.WITHDRAW_VOTE, payload.movie_id, 0, payload.mid)

    async def update_session(self, access: Access, payload: UpdateSession) -> Done:
        lifetime = self._rules.allowed_lifetime(payload.ttl_seconds)
        arguments = {
            "title": (payload.title or "") if "title" in payload.model_fields_set else None,
            "capacity": self._rules.allowed_capacity(payload.capacity),
            "locked": None if payload.locked is None else int(payload.locked),
            "lifetime": None if lifetime is None else milliseconds(lifetime),
        }
        return await self._change(access, Action.UPDATE_SESSION, "update-session", arguments, payload.mid)

    async def kick(self, access: Access, payload: KickParticipant) -> Done:
        arguments = {"target": payload.participant_id, "reason": "banned" if payload.ban else "kicked"}
        return await self._change(access, Action.KICK, "remove-participant", arguments, payload.mid)

    async def remove_self(self, access: Access, participant: str, mid: str | None = None) -> Done:
        """A participant leaves with all its connections."""
        arguments = {"target": participant, "reason": "left"}
        return await self._change(access, Action.LEAVE, "remove-participant", arguments, mid)

    async def transfer_host(self, access: Access, payload: TransferHost) -> Done:
        arguments = {"target": payload.participant_id}
        return await self._change(access, Action.TRANSFER_HOST, "transfer-host", arguments, payload.mid)

    async def rotate_host_token(self, access: Access, mid: str | None = None) -> HostTokenRotated:
        """A new host token for the one who holds it. Nothing is stored: a repeat makes the same token again."""
        version, generation = await self._run(access, Action.ROTATE_HOST_TOKEN, "rotate-host-token", {}, mid)
        host_token = self._signer.host(access.credential.instance, generation)
        return {"ok": True, "version": version, "hostToken": host_token}

    async def end_session(self, access: Access, mid: str | None = None) -> Done:
        return await self._change(access, Action.END_SESSION, "end-session", {}, mid)

    async def _vote(self, access: Access, action: Action, movie: str, rating: int, mid: str | None) -> Done:
        arguments = {"movie": movie, "rating": rating, "max_movies": self._rules.max_movies}
        return await self._change(access, action, "vote", arguments, mid)

    async def _change(
        self,
        access: Access,
        action: Action,
        script: str,
        arguments: Mapping[str, Any],
        mid: str | None,
        sent: Mapping[str, Any] | None = None,
    ) -> Done:
        version, *_ = await self._run(access, action, script, arguments, mid, sent)
        return {"ok": True, "version": version}

    async def _authorize(self, access: Access, action: Action) -> None:
        try:
            await self._run(access, action, "authorize", {}, None)
        except SessionError as error:
            # Where a session stands is looked at after what is asked for.
            if error.code != "not-joined":
                raise

    async def _run(
        self,
        access: Access,
        action: Action,
        script: str,
        arguments: Mapping[str, Any],
        mid: str | None,
        sent: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """One step; ``sent`` is what a repeat must have in common with it, if that is not all ``arguments``."""
        permission = PERMISSIONS[action]
        call: dict[str, Any] = {
            **who(access.credential),
            "grants": {"host": permission.host, "member": permission.member},
            **arguments,
        }
        if mid is not None:
            call |= {"key": mid, "fingerprint": fingerprint(action, arguments if sent is None else sent)}
        try:
            return await self._store.change(script, access.code, given(call))
        except SessionError as error:
            if access.client is not None:
                await self._admission.note(error, access.client, access.code)
            raise

    def _code(self, text: str) -> str:
        code = self._codes.parse(text)
        if code is None:
            raise SessionError("session-not-found")
        return code

    def _verified(self, token: str | None) -> Credential | None:
        return self._signer.verify(token) if token else None

    def _is_known(self, credential: Credential | None, code: str) -> bool:
        """Whether a token shows that its holder knows the code already, so that nothing is to be found out with it."""
        return credential is not None and self._signer.carries(credential, code)


def random_id() -> str:
    """An id with 75 random bits, of digits and small letters, as tokens and keys expect."""
    bits = secrets.randbits(75)
    return "".join([_ID_ALPHABET[bits >> shift & 31] for shift in range(0, 75, 5)])
