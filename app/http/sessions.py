"""The session API under ``/api/session``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import orjson
from quart import Blueprint, Response, request
from werkzeug.routing import BaseConverter

from app.http.addresses import ClientAddresses
from app.http.answers import Answer, compressed, csv_answer, json_answer
from app.http.bodies import bearer_token, idempotency_key, parse_body, read_body, read_flag
from app.http.bucket_cookie import BucketCookie, bucket_header
from app.http.join import answer_join, etag
from app.http.responses import answer, response_of
from app.http.routes import rule_of, variable_of
from app.sessions.access import Access
from app.sessions.admission import Client
from app.sessions.guard import KeyGuard
from app.sessions.head import Head
from app.sessions.model import Snapshot, meta_at
from app.sessions.operations import ROUTES, Change, Route, UseCase
from app.sessions.payloads import MIN_CREATION_KEY, CreateSession, KickParticipant, ListParticipants, Mutation, parse
from app.sessions.permissions import Action
from app.sessions.result import result_of_session, to_csv
from app.sessions.service import SessionService
from app.sessions.timestamps import timestamp

__all__ = ["BodyLimits", "SessionAPI", "SessionIDConverter"]

Handler = Callable[..., Awaitable[Response]]
P = TypeVar("P", bound=Mutation)


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The maximum sizes of bodies in bytes: ``movies_body`` for bodies with movies, else ``body``."""

    body: int
    movies_body: int


class SessionIDConverter(BaseConverter):
    """A session's code in a path. The names of the two fixed routes do not match."""

    regex = r"(?!(?:join|create)$)[^/]+"
    # Werkzeug would otherwise assume that the expression matches a slash.
    part_isolating = True


class SessionAPI:
    """The handlers: one for all changes, and one for each other route."""

    def __init__(
        self,
        service: SessionService,
        addresses: ClientAddresses,
        limits: BodyLimits,
        creation_guard: KeyGuard | None,
        bucket_cookie: BucketCookie | None,
        *,
        compression: bool,
    ) -> None:
        self._service = service
        self._addresses = addresses
        self._limits = limits
        self._creation_guard = creation_guard
        self._bucket_cookie = bucket_cookie
        self._compression = compression

    def blueprint(self) -> Blueprint:
        """Return a rule for each route of the operations."""
        by_themselves: dict[str, Handler] = {
            "joinSession": self.join,
            "createSession": self.create,
            "readSession": self.read,
            "listParticipants": self.participants,
            "readResult": self.result,
            "removeParticipant": self.remove_participant,
        }
        routes = Blueprint("sessions", __name__)
        for route, operation in ROUTES.items():
            if isinstance(operation, Change) and operation.use_case and route.name not in by_themselves:
                handler = self._changing(route, operation, operation.use_case)
            else:
                handler = by_themselves[route.name]
            routes.add_url_rule(rule_of(route.path), route.name, handler, methods=[route.method])
        return routes

    async def join(self) -> Response:
        body = await read_body(self._limits.body)
        client, token = self._client(), bearer_token()
        return self._compressed(await answer_join(self._service, body, client, token, self._bucket_cookie))

    async def create(self) -> Response:
        body = await read_body(self._limits.movies_body)
        client = self._client()
        if self._creation_guard is not None:
            await self._creation_guard.check(bearer_token(), client)
        await self._service.allow_creation(client)
        # Clients behind one address share these keys, and the response has the host token, so keys must not be
        # guessable.
        key = idempotency_key(shortest=MIN_CREATION_KEY)
        created = await self._service.create(parse_body(CreateSession, body), client, key)
        answered = {
            "sessionID": created.session.code,
            "message": "Session created",
            "sessionData": orjson.Fragment(created.session.data),
            "hostToken": created.host_token,
            # A repeat is answered alike.
            "meta": meta_at(created.session.meta, timestamp(created.session.created_at)),
        }
        code = created.session.code
        headers = etag(created.session.head) | bucket_header(self._bucket_cookie, code)
        return answer(answered, 201, {"Location": f"/api/session/{code}", **headers})

    async def read(self, session_id: str) -> Response:
        client, token, seen = self._client(), bearer_token(), request.if_none_match
        if not seen:
            return self._compressed(self._state(await self._service.finder.look_up(session_id, client, token)))
        found = await self._service.finder.look_up_changed(
            session_id, client, token, lambda head: seen.contains_weak(str(head))
        )
        return _unchanged(found) if isinstance(found, Head) else self._compressed(self._state(found))

    async def participants(self, session_id: str) -> Response:
        access = await self._access(session_id)
        async with self._service.checked(access, Action.LIST_PARTICIPANTS):
            query = parse(ListParticipants, request.args.to_dict())
            session = await self._service.read(access)
        if request.if_none_match.contains_weak(str(session.head)):
            return _unchanged(session.head)
        return self._compressed(json_answer(session.page(query.after), headers=etag(session.head)))

    async def result(self, session_id: str) -> Response:
        session = await self._service.finder.look_up_whole(session_id, self._client(), bearer_token())
        result, headers = result_of_session(session), etag(session.head) | {"vary": "Accept"}
        if _wants_csv():
            return self._compressed(csv_answer(to_csv(result), f"session-{session.code}", headers))
        return self._compressed(json_answer(result, headers=headers))

    async def remove_participant(self, session_id: str, participant_id: str) -> Response:
        await read_body(self._limits.body)
        access = await self._access(session_id)
        leaves = access.credential.kind == "participant" and access.credential.subject == participant_id
        async with self._service.checked(access, Action.LEAVE if leaves else Action.KICK):
            fields = {"participantID": participant_id, "ban": read_flag("ban"), "mid": idempotency_key()}
            payload = parse(KickParticipant, fields)
        if leaves:
            return answer(await self._service.remove_self(access, participant_id, payload.mid))
        return answer(await self._service.kick(access, payload))

    def _changing(self, route: Route, change: Change[P], use_case: UseCase[P]) -> Handler:
        """Return the handler of a change. An invalid body is reported only to callers with the permission."""
        limit = self._limits.movies_body if "movies" in change.payload.model_fields else self._limits.body

        async def handle(**parameters: str) -> Response:
            body = await read_body(limit)
            elsewhere = {name: parameters[variable_of(name)] for name in route.parameters}
            access = await self._access(elsewhere.pop("sessionID"))
            elsewhere |= {name: request.args[name] for name in route.query if name in request.args}
            async with self._service.checked(access, change.action):
                payload = parse_body(change.payload, body, **elsewhere, mid=idempotency_key())
                return answer(await use_case(self._service, access, payload), route.status)

        return handle

    def _compressed(self, answer: Answer) -> Response:
        if self._compression:
            answer = compressed(answer, request.headers.get("accept-encoding"))
        return response_of(answer)

    def _state(self, found: Snapshot) -> Answer:
        data = orjson.Fragment(found.data)
        meta = meta_at(found.meta, self._service.now())
        return json_answer(
            {"sessionID": meta["sessionID"], "sessionData": data, "meta": meta}, headers=etag(found.head)
        )

    def _client(self) -> Client:
        return self._addresses.client(request.scope)

    async def _access(self, session_id: str) -> Access:
        return await self._service.access(session_id, bearer_token(), self._client())


def _wants_csv() -> bool:
    """Return whether the client prefers CSV; by the query where it cannot set headers, as in a link."""
    preferred = request.accept_mimetypes.best_match(("application/json", "text/csv"))
    return request.args.get("format", preferred) in ("csv", "text/csv")


def _unchanged(head: Head) -> Response:
    answered = Response(status=304, headers=etag(head))
    del answered.headers["Content-Type"]
    return answered
