"""The operators' API under ``/operator`` of the internal port."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
from quart import Blueprint, Response, request

from app.http.addresses import ClientAddresses, is_address, subscriber
from app.http.bodies import bearer_token, read_flag
from app.http.responses import answer
from app.sessions.administration import LONGEST_PAGE, Administration
from app.sessions.guard import KeyGuard
from app.sessions.model import meta_at
from app.sessions.validation import invalid

__all__ = ["OperatorsAPI", "ReplicaControls"]

_PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class ReplicaControls:
    """The replica that serves the operators' API, and its view of the others.

    ``drain`` starts moving its clients to the other replicas and returns their number.
    """

    id: str
    state: Callable[[], dict[str, Any]]
    limits: dict[str, Any]
    living: Callable[[], Awaitable[dict[str, dict[str, str]]]]
    drain: Callable[[], int]


class OperatorsAPI:
    """The handlers, one for each route. Every request needs the operators' token.

    ``addresses`` determines the client address for which wrong tokens are counted.
    """

    def __init__(
        self, administration: Administration, replica: ReplicaControls, token: KeyGuard, addresses: ClientAddresses
    ) -> None:
        self._administration = administration
        self._replica = replica
        self._token = token
        self._addresses = addresses

    def blueprint(self) -> Blueprint:
        routes = Blueprint("operators", __name__, url_prefix="/operator")
        routes.before_request(self._check_token)
        session = "/sessions/<session_id>"
        for method, path, handler in (
            ("GET", "/sessions", self.sessions),
            ("GET", session, self.session),
            ("DELETE", session, self.end),
            ("DELETE", f"{session}/participants/<participant_id>", self.kick),
            ("GET", "/replicas", self.replicas),
            ("POST", "/drain", self.drain),
            ("GET", "/limits", self.limits),
            ("DELETE", "/limits/<path:address>", self.forgive),
        ):
            routes.add_url_rule(path, handler.__name__, handler, methods=[method])
        return routes

    async def sessions(self) -> Response:
        return answer(await self._administration.sessions(request.args.get("cursor"), _limit()))

    async def session(self, session_id: str) -> Response:
        session = await self._administration.session(session_id)
        data = orjson.Fragment(session.data)
        body = {
            "sessionID": session.code,
            "sessionData": data,
            "meta": meta_at(session.meta, self._administration.now()),
        }
        return answer(body)

    async def end(self, session_id: str) -> Response:
        return answer(await self._administration.end(session_id))

    async def kick(self, session_id: str, participant_id: str) -> Response:
        return answer(await self._administration.kick(session_id, participant_id, ban=read_flag("ban")))

    async def replicas(self) -> Response:
        living = await self._replica.living()
        here = {"id": self._replica.id, **self._replica.state()}
        replicas = [{"id": name, "address": living[name].get("address", "")} for name in sorted(living)]
        return answer({"asked": here, "replicas": replicas})

    async def drain(self) -> Response:
        return answer({"id": self._replica.id, "clients": self._replica.drain()}, 202)

    async def limits(self) -> Response:
        limits = self._replica.limits
        connections = {"used": self._replica.state()["connections"], "limit": limits["maxConnections"]}
        return answer({"limits": limits, "usage": {**await self._administration.usage(), "connections": connections}})

    async def forgive(self, address: str) -> Response:
        if not is_address(address):
            raise invalid("address", "must be an IP address")
        await self._administration.forgive(subscriber(address))
        return answer({"ok": True})

    async def _check_token(self) -> None:
        await self._token.check(bearer_token(), self._addresses.client(request.scope))


def _limit() -> int:
    text = request.args.get("limit", str(_PAGE))
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= LONGEST_PAGE:
        raise invalid("limit", f"must be from 1 to {LONGEST_PAGE}")
    return int(text)
