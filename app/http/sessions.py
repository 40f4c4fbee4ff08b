"""The session API under ``/api/session``."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from quart import Blueprint, Response, request
from werkzeug.routing import BaseConverter

from app.http.addresses import ClientAddresses
from app.http.answers import answer
from app.http.bodies import bearer_token, idempotency_key, read_body, read_flag, read_payload, read_session_id
from app.sessions.admission import Client
from app.sessions.answers import SessionCreated, SessionFound, SessionState
from app.sessions.errors import SessionError
from app.sessions.model import Session
from app.sessions.payloads import (
    AddMovies,
    CreateSession,
    KickParticipant,
    MovieReference,
    NoArguments,
    UpdateSession,
    Vote,
    parse,
)
from app.sessions.service import Access, SessionService

__all__ = ["Limits", "SessionAPI", "SessionIDConverter"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes that a body may have, the second where movies are sent; the key that guards ``create``, if any."""

    body: int
    movies_body: int
    create_key: str | None


class SessionIDConverter(BaseConverter):
    """A session's code in a path; the names of the two fixed routes are none."""

    regex = r"(?!(?:join|create)$)[^/]+"
    # Werkzeug takes the slash in the expression for one that it may match.
    part_isolating = True


class SessionAPI:
    """The handlers, one a route."""

    def __init__(self, service: SessionService, addresses: ClientAddresses, limits: Limits) -> None:
        self._service = service
        self._addresses = addresses
        self._limits = limits

    def blueprint(self) -> Blueprint:
        routes = Blueprint("sessions", __name__, url_prefix="/api/session")
        session = "/<session_id:session_id>"
        movie = f"{session}/movies/<movie_id>"
        for method, path, handler in (
            ("POST", "/join", self.join),
            ("POST", "/create", self.create),
            ("GET", session, self.read),
            ("PATCH", session, self.update),
            ("DELETE", session, self.end),
            ("POST", f"{session}/movies", self.add_movies),
            ("DELETE", movie, self.remove_movie),
            ("PUT", f"{movie}/vote", self.vote),
            ("DELETE", f"{movie}/vote", self.withdraw_vote),
            ("DELETE", f"{session}/participants/<participant_id>", self.remove_participant),
        ):
            routes.add_url_rule(path, handler.__name__, handler, methods=[method])
        return routes

    async def join(self) -> Response:
        text = read_session_id(await read_body(self._limits.body))
        session = await self._service.look_up(text, self._client())
        body: SessionFound = {
            "sessionID": session.code,
            "message": "Session found. You can now connect via WebSocket.",
            "sessionData": session.data,
        }
        return answer(body, headers=_etag(session))

    async def create(self) -> Response:
        self._check_create_key()
        payload = await read_payload(CreateSession, self._limits.movies_body)
        created = await self._service.create(payload, self._client(), idempotency_key())
        body: SessionCreated = {
            "sessionID": created.session.code,
            "message": "Session created",
            "sessionData": created.session.data,
            "hostToken": created.host_token,
            "meta": created.session.meta,
        }
        location = f"/api/session/{created.session.code}"
        return answer(body, 201, {"Location": location, **_etag(created.session)})

    async def read(self, session_id: str) -> Response:
        session = await self._service.look_up(session_id, self._client())
        headers = _etag(session)
        if request.if_none_match.contains_weak(str(session.head)):
            unchanged = Response(status=304, headers=headers)
            del unchanged.headers["Content-Type"]
            return unchanged
        body: SessionState = {"sessionID": session.code, "sessionData": session.data, "meta": session.meta}
        return answer(body, headers=headers)

    async def update(self, session_id: str) -> Response:
        payload = await read_payload(UpdateSession, self._limits.body, mid=idempotency_key())
        return answer(await self._service.update_session(await self._access(session_id), payload))

    async def end(self, session_id: str) -> Response:
        payload = await read_payload(NoArguments, self._limits.body, mid=idempotency_key())
        return answer(await self._service.end_session(await self._access(session_id), payload.mid))

    async def add_movies(self, session_id: str) -> Response:
        payload = await read_payload(AddMovies, self._limits.movies_body, mid=idempotency_key())
        return answer(await self._service.add_movies(await self._access(session_id), payload))

    async def remove_movie(self, session_id: str, movie_id: str) -> Response:
        payload = await read_payload(MovieReference, self._limits.body, movieID=movie_id, mid=idempotency_key())
        return answer(await self._service.remove_movie(await self._access(session_id), payload))

    async def vote(self, session_id: str, movie_id: str) -> Response:
        payload = await read_payload(Vote, self._limits.body, movieID=movie_id, mid=idempotency_key())
        return answer(await self._service.vote(await self._access(session_id), payload))

    async def withdraw_vote(self, session_id: str, movie_id: str) -> Response:
        payload = await read_payload(MovieReference, self._limits.body, movieID=movie_id, mid=idempotency_key())
        return answer(await self._service.withdraw_vote(await self._access(session_id), payload))

    async def remove_participant(self, session_id: str, participant_id: str) -> Response:
        payload = await self._read_kick(participant_id)
        granted = await self._access(session_id)
        if granted.credential.kind == "participant" and granted.credential.subject == participant_id:
            return answer(await self._service.remove_self(granted, participant_id, payload.mid))
        return answer(await self._service.kick(granted, payload))

    def _check_create_key(self) -> None:
        key = self._limits.create_key
        if key is not None and not hmac.compare_digest((bearer_token() or "").encode(), key.encode()):
            raise SessionError("unauthorized")

    def _client(self) -> Client:
        return self._addresses.client(request.scope)

    async def _access(self, session_id: str) -> Access:
        return await self._service.access(session_id, bearer_token(), self._client())

    async def _read_kick(self, participant_id: str) -> KickParticipant:
        await read_body(self._limits.body)
        fields = {"participantID": participant_id, "ban": read_flag("ban"), "mid": idempotency_key()}
        return parse(KickParticipant, fields)


def _etag(session: Session) -> dict[str, str]:
    return {"ETag": f'"{session.head}"'}
