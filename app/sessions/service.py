"""The use cases, one method each, for both transports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

from app.sessions.access import Access, Joined
from app.sessions.admission import Admission, Client
from app.sessions.answers import Decided, Done, HostTokenRotated, MoviesAdded
from app.sessions.codes import CodeSpace
from app.sessions.creation import Created, SessionCreation
from app.sessions.errors import SessionError
from app.sessions.finder import SessionFinder, code_of, is_known
from app.sessions.model import Session
from app.sessions.passcodes import Passcodes
from app.sessions.payloads import (
    AddMovies,
    CreateSession,
    Decide,
    JoinOptions,
    KickParticipant,
    MovieReference,
    NoArguments,
    RenameParticipant,
    Reopen,
    TransferHost,
    UpdateSession,
    Vote,
)
from app.sessions.permissions import Action
from app.sessions.ports import Budgets, Creators, SessionStore
from app.sessions.rules import Rules, milliseconds
from app.sessions.steps import Attachment, Commit, ContinuedMembership, NewPasscode, Person, Removal, SessionSettings
from app.sessions.timestamps import timestamp
from app.sessions.tokens import Credential, TokenSigner

__all__ = ["SessionService"]

Replied = TypeVar("Replied")

_TRIES: Final = 3


class SessionService:
    """The use cases of participants. The methods raise ``SessionError``."""

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
        self._passcodes = Passcodes(store, budgets)
        self.finder: Final = SessionFinder(store, self._admission, codes, signer)
        self._creation = SessionCreation(
            store, creators, codes, signer, rules, new_id=new_id, passcodes=self._passcodes
        )

    def now(self) -> str:
        """Return the time by the store's clock, in the form of the wire."""
        return timestamp(self._store.now())

    async def create(self, payload: CreateSession, client: Client, key: str | None = None) -> Created:
        """Create a session under a free code; with an idempotency key return the same session again."""
        return await self._creation.create(payload, client, key)

    async def read(self, access: Access) -> Session:
        """Return the session to one of its participants."""
        person = Person(access.credential, Action.LIST_PARTICIPANTS)
        await self._step(access, self._store.authorize(access.code, person))
        session = await self._store.read(access.code)
        if session is None:
            raise SessionError("session-not-found")
        return session

    async def access(self, text: str, token: str | None, client: Client) -> Access:
        """Return the access that a token gives to the session that ``text`` names."""
        code = await self.admit(text, client, token)
        credential = self._verified(token)
        if credential is None:
            raise SessionError("unauthorized")
        return Access(code, credential, client)

    async def admit(self, text: str, client: Client, token: str | None = None, *, present_in: str | None = None) -> str:
        """Return the code that ``text`` names, of an existing session; a token has to belong to that session.

        A failed look-up, also by a wrong token, counts against the client's rate limit. With a valid token, or when the
        client is ``present_in`` the session, no look-up is made: the next step fails if the session does not exist.
        """
        code = code_of(self._codes, text)
        credential = self._verified(token)
        if code == present_in or is_known(self._signer, credential, code):
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
        """Run the block, which parses and executes a request; check the permission only if the request is invalid.

        A caller without permission gets that error rather than the details of an invalid request. A valid request costs
        nothing: the atomic step checks the permission.
        """
        try:
            yield
        except SessionError as error:
            if error.status == 400:
                await self._authorize(access, action)
            raise

    async def allow_creation(self, client: Client) -> None:
        """Count a session that is about to be created against the client's rate limit."""
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
        with_session: bool = False,
    ) -> Joined:
        """Attach a connection to a participant of the session: a new one, or the one of the token; or to none.

        ``known_as``: the connection's current participant in this session. ``recovery``: the id with which a later
        connection can continue this one. ``with_session``: whether to return the session. An invalid code or token
        counts as a failed look-up.
        """
        credential = known_as
        try:
            if options.token:
                credential = self._signer.verify(options.token)
                if credential is None:
                    raise SessionError("unauthorized")
            attach = partial(
                self.attach,
                code,
                credential,
                options.name,
                connection=connection,
                recovery=recovery,
                with_session=with_session,
                observing=options.observe,
            )
            return await self._passing(attach, code, options.passcode, client)
        except SessionError as error:
            await self._admission.note(error, client, code)
            raise

    async def _passing(
        self, attach: Callable[..., Awaitable[Joined]], code: str, passcode: str | None, client: Client
    ) -> Joined:
        """Attach a connection, with the passcode if that is needed; the session may get another one meanwhile."""
        proved = None
        for _ in range(_TRIES):
            try:
                return await attach(proved=proved)
            except SessionError as error:
                if error.code != "passcode-required" or not passcode:
                    raise
            proved = await self._passcodes.proved(code, passcode, client)
        raise SessionError("unavailable")

    async def attach(
        self,
        code: str,
        credential: Credential | None,
        name: str | None = None,
        *,
        connection: str,
        recovery: str,
        recovering: bool = False,
        continued: ContinuedMembership | None = None,
        with_session: bool = False,
        observing: bool = False,
        proved: str | None = None,
    ) -> Joined:
        """Attach a connection like ``join``, for a code and a credential that are known to be valid.

        ``recovering``: raise ``not-joined`` if the recovery id is void. ``continued``: raise ``not-joined`` if that
        membership has ended by leaving or removal; it continues in a locked session as well. ``observing``: attach it
        to no participant. ``proved``: the hash of the passcode that was shown.
        """
        attached = await self._store.attach(
            code,
            Attachment(
                connection=connection,
                recovery=recovery,
                newcomer=self._new_id(),
                second_connection=self._rules.second_connection,
                credential=credential,
                name=name or None,
                recovering=recovering,
                continued=continued,
                lease_renewed_at=self._renewed_at(),
                with_session=with_session,
                observing=observing,
                proved=proved,
            ),
        )
        if observing:
            observer = Credential("observer", attached.instance, attached.participant)
            return Joined(Access(code, observer), "", attached)
        credential = Credential("participant", attached.instance, attached.participant)
        token = self._signer.participant(attached.instance, attached.participant)
        return Joined(Access(code, credential, connection=connection), token, attached)

    async def detach(self, code: str, connections: Mapping[str, str | None]) -> int:
        """Detach lost connections; their participants may return within the grace time.

        Each connection is given with its recovery id, if that becomes void. Return when the grace time ends, in Unix
        milliseconds of the store's clock, 0 if all participants have other connections.
        """
        return await self._store.detach(code, connections, grace=milliseconds(self._rules.grace))

    async def leave(self, access: Access, connection: str, recovery: str, mid: str | None = None) -> Done:
        """Remove the participant of a connection, unless it has another connection; an observer just goes."""
        if access.credential.kind == "observer":
            return await self._done(access, self._store.stop_observing(access.code, connection, recovery))
        person = Person(access.credential, Action.LEAVE, mid)
        return await self._done(
            access, self._store.leave(access.code, person, connection=connection, recovery=recovery)
        )

    async def add_movies(self, access: Access, payload: AddMovies) -> MoviesAdded:
        """Add movies, all or none. The ack tells which were ``added`` and which were ``present`` already."""
        rules = self._rules
        person = Person(access.credential, Action.ADD_MOVIES, payload.mid)
        movies = rules.allowed_movies(payload.movies)
        limits = {"max_movies": rules.max_movies, "max_bytes": rules.max_movies_bytes}
        stored = await self._step(access, self._store.add_movies(access.code, person, movies, **limits))
        return {**stored.done, "added": stored.added, "present": stored.present}

    async def remove_movie(self, access: Access, payload: MovieReference) -> Done:
        person = Person(access.credential, Action.REMOVE_MOVIE, payload.mid)
        return await self._done(access, self._store.remove_movie(access.code, person, payload.movie_id))

    async def vote(self, access: Access, payload: Vote) -> Done:
        return await self._vote(access, Action.VOTE, payload.movie_id, payload.rating, payload.mid)

    async def withdraw_vote(self, access: Access, payload: MovieReference) -> Done:
        return await self._vote(access, Action.WITHDRAW_VOTE, payload.movie_id, 0, payload.mid)

    async def rename_participant(self, access: Access, payload: RenameParticipant) -> Done:
        person = Person(access.credential, Action.RENAME_PARTICIPANT, payload.mid)
        oneself = access.credential.subject if access.credential.kind == "participant" else None
        # With and without the id it is the same change, so that it can be repeated over the other transport.
        target = payload.participant_id or oneself
        return await self._done(access, self._store.rename_participant(access.code, person, target, payload.name))

    async def update_session(self, access: Access, payload: UpdateSession) -> Done:
        person = Person(access.credential, Action.UPDATE_SESSION, payload.mid)
        lifetime = self._rules.allowed_lifetime(payload.ttl_seconds)
        decides_in = self._rules.allowed_decision_time(payload.decide_in_seconds) or 0
        settings = SessionSettings(
            title=(payload.title or "") if "title" in payload.model_fields_set else None,
            capacity=self._rules.allowed_capacity(payload.capacity),
            locked=payload.locked,
            lifetime=None if lifetime is None else milliseconds(lifetime),
            timer=round(decides_in * 1000) if "decide_in_seconds" in payload.model_fields_set else None,
            decide_when=payload.decide_when,
            decide_delay=milliseconds(self._rules.decide_delay) if payload.decide_when else None,
            reveal=payload.reveal,
            passcode=await self._new_passcode(access, payload),
        )
        return await self._done(access, self._store.update_session(access.code, person, settings))

    async def _new_passcode(self, access: Access, payload: UpdateSession) -> NewPasscode | None:
        """Hash a passcode for its session; who may not change it is refused before that costs anything."""
        if "passcode" not in payload.model_fields_set:
            return None
        if payload.passcode is None:
            return NewPasscode("")
        person = Person(access.credential, Action.UPDATE_SESSION)
        await self._step(access, self._store.authorize(access.code, person))
        digests = self._signer.digests(f"{access.credential.instance} {payload.passcode}")
        return NewPasscode(await self._passcodes.hashed_for(access.code, payload.passcode), digests)

    async def kick(self, access: Access, payload: KickParticipant) -> Done:
        person = Person(access.credential, Action.KICK, payload.mid)
        reason: Removal = "banned" if payload.ban else "kicked"
        return await self._done(
            access, self._store.remove_participant(access.code, person, payload.participant_id, reason)
        )

    async def remove_self(self, access: Access, participant: str, mid: str | None = None) -> Done:
        """Remove a participant with all its connections, at its own request."""
        person = Person(access.credential, Action.LEAVE, mid)
        return await self._done(access, self._store.remove_participant(access.code, person, participant, "left"))

    async def transfer_host(self, access: Access, payload: TransferHost) -> Done:
        person = Person(access.credential, Action.TRANSFER_HOST, payload.mid)
        return await self._done(access, self._store.transfer_host(access.code, person, payload.participant_id))

    async def rotate_host_token(self, access: Access, payload: NoArguments) -> HostTokenRotated:
        """Make a new host token for its holder. Nothing is stored: a repeat computes the same token."""
        person = Person(access.credential, Action.ROTATE_HOST_TOKEN, payload.mid)
        rotated = await self._step(access, self._store.rotate_host_token(access.code, person))
        host_token = self._signer.host(access.credential.instance, rotated.generation)
        return {**rotated.done, "hostToken": host_token}

    async def decide(self, access: Access, payload: Decide) -> Decided:
        person = Person(access.credential, Action.DECIDE, payload.mid)
        stored = await self._step(access, self._store.decide(access.code, person, payload.movie_id))
        return {**stored.done, "decision": stored.decision.shown}

    async def reopen(self, access: Access, payload: Reopen) -> Done:
        """Take the decision back: the voting goes on."""
        person = Person(access.credential, Action.REOPEN, payload.mid)
        return await self._done(access, self._store.reopen(access.code, person, payload.clear))

    async def end_session(self, access: Access, payload: NoArguments) -> Done:
        person = Person(access.credential, Action.END_SESSION, payload.mid)
        return await self._done(access, self._store.end_session(access.code, person))

    async def _vote(self, access: Access, action: Action, movie: str, rating: int, mid: str | None) -> Done:
        person = Person(access.credential, action, mid)
        return await self._done(
            access,
            self._store.vote(
                access.code, person, movie, rating, max_movies=self._rules.max_movies, connection=access.connection
            ),
        )

    async def _authorize(self, access: Access, action: Action) -> None:
        person = Person(access.credential, action)
        try:
            await self._step(access, self._store.authorize(access.code, person))
        except SessionError as error:
            # A caller who is not in the session gets the error of the request.
            if error.code != "not-joined":
                raise

    async def _done(self, access: Access, step: Awaitable[Commit]) -> Done:
        return (await self._step(access, step)).done

    async def _step(self, access: Access, step: Awaitable[Replied]) -> Replied:
        """Return the result of a step. A missing session or foreign token counts as a failed look-up."""
        try:
            return await step
        except SessionError as error:
            if access.client is not None:
                await self._admission.note(error, access.client, access.code)
            raise

    def _verified(self, token: str | None) -> Credential | None:
        return self._signer.verify(token) if token else None
