"""The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1.html)."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Final

from app import __version__
from app.documents.examples import RouteExample, examples
from app.documents.schemas import Schema, body_of, named, reference, roles, schemas, used_in
from app.sessions.answers import Result
from app.sessions.errors import CATALOGUE
from app.sessions.operations import ROUTES, Operation, Route
from app.sessions.payloads import CURSOR, MIN_CREATION_KEY
from app.sessions.permissions import Grant

__all__ = ["openapi"]

_DESCRIPTION: Final = (
    "People join a shared session by its code and rate movies together. Bodies are JSON, whatever their type. "
    "Another method than those shown is answered 405 with `Allow`, `OPTIONS` 204, an unknown path 404. "
    "What happens in a session is told over Socket.IO: see `/asyncapi.json`."
)
_ID_PATTERN: Final = r"^[^/]+$"
_PARAMETERS: Final[dict[str, Schema]] = {
    "sessionID": {
        "in": "path",
        "required": True,
        "description": "The session's code.",
        "schema": {"type": "string", "pattern": _ID_PATTERN},
    },
    "movieID": {
        "in": "path",
        "required": True,
        "description": "The id that the movie was added with.",
        "schema": {"type": "string", "pattern": _ID_PATTERN},
    },
    "participantID": {
        "in": "path",
        "required": True,
        "description": "The id in `sessionData`.",
        "schema": {"type": "string", "pattern": _ID_PATTERN},
    },
    "Idempotency-Key": {
        "in": "header",
        "description": "Repeated with the same key, the change is made once and answered alike.",
        "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,128}$"},
    },
    "Creation-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Repeated with the same key from the same address, one session is made and answered alike.",
        "schema": {"type": "string", "pattern": rf"^[\x21-\x7e]{{{MIN_CREATION_KEY},128}}$"},
    },
    "If-None-Match": {
        "in": "header",
        "description": "The `ETag` of a former answer.",
        "schema": {"type": "string"},
    },
    "cursor": {
        "in": "query",
        "description": "The `next` of the page before.",
        "schema": {"type": "string", "pattern": CURSOR},
    },
    "clear": {
        "in": "query",
        "description": "What goes: the ratings, or the movies with them.",
        "schema": {"type": "string", "enum": ["ratings", "movies"]},
    },
    "format": {
        "in": "query",
        "description": "The format, where the client cannot set `Accept`.",
        "schema": {"type": "string", "enum": ["json", "csv"]},
    },
    "ban": {
        "in": "query",
        "description": "Whether the participant's token becomes void, too.",
        "schema": {"type": "boolean", "default": False},
    },
}
_HEADERS: Final[dict[str, Schema]] = {
    "ETag": {"description": '`"<epoch>-<version>"`', "required": True, "schema": {"type": "string"}},
    "Location": {"description": "Where to read it.", "required": True, "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
    "Set-Cookie": {
        "description": "The session's bucket, where load balancers use it; see `JOIN_SESSION_AFFINITY_BUCKET_COOKIE`.",
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}},
}


@functools.cache
def openapi() -> Schema:
    """Return the document of the HTTP API. It is shared: do not modify it."""
    paths: Schema = {}
    for route, operation in ROUTES.items():
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "join-session",
            "version": __version__,
            "summary": "Join a shared movie-rating session",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": "sessions", "description": "The life of a session, and what people do in it."}],
        "paths": paths,
        "components": {
            "schemas": used_in(paths),
            "parameters": {name: _parameter(name, shown) for name, shown in _PARAMETERS.items()},
            "examples": {code: {"value": body} for code, body in examples()["errors"].items()},
            "headers": _HEADERS,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The `hostToken` of `create`, or the `token` of the `join-session` acknowledgement.",
                }
            },
        },
    }


def _operation(route: Route, operation: Operation) -> Schema:
    shown: Schema = {
        "operationId": route.name,
        "tags": ["sessions"],
        "summary": route.summary or operation.summary,
        "security": _security(route, operation),
        "parameters": [
            {"$ref": f"#/components/parameters/{name}"} for name in (*route.parameters, *route.query, *route.headers)
        ],
    }
    allowed = roles(operation, route)
    if allowed:
        shown |= {"description": _who_may(allowed["x-roles"]), **allowed}
    seen = examples()["routes"][route.name]
    body = body_of(operation, route)
    if body is not None:
        content = _json(body, {form: {"value": value} for form, value in seen["bodies"].items()})
        shown["requestBody"] = {"required": "create" not in route.name, "content": content}
    shown["responses"] = _success(route, operation.answer, seen) | _failures(route)
    return shown


def _who_may(roles: dict[str, Grant]) -> str:
    """Say it for readers of generated code, who do not see ``x-roles``."""
    who = {"host": "the host", "member": "members", "stranger": "strangers"}
    limits = {"any": "", "own": " on what is their own"}
    return f"Allowed: {', '.join(f'{who[role]}{limits[grant]}' for role, grant in roles.items() if grant != 'none')}."


def _security(route: Route, operation: Operation) -> list[Schema]:
    if "unauthorized" not in route.errors:
        return []
    needed = operation.action is not None and operation.action.permission.stranger == "none"
    return [{"token": []}] if needed else [{}, {"token": []}]


def _success(route: Route, answer: Any, seen: RouteExample) -> Schema:
    response: Schema = {"description": schemas()[answer.__name__]["description"]}
    headers = {201: ["ETag", "Location"], 200: [] if "ok" in answer.__annotations__ else ["ETag"]}[route.status]
    if route.name in ("joinSession", "createSession"):
        headers.append("Set-Cookie")
    if headers:
        response["headers"] = _headers(headers)
    content = _json(reference(answer), {"recorded": {"value": seen["answer"]}})
    if answer is Result:
        content["text/csv"] = {"schema": {"type": "string"}, "examples": {"recorded": {"value": seen["csv"]}}}
    responses: Schema = {str(route.status): {**response, "content": content}}
    if "If-None-Match" in route.headers:
        responses["304"] = {"description": "The session is as it was.", "headers": _headers(["ETag"])}
    return responses


def _failures(route: Route) -> Schema:
    by_status: dict[int, list[str]] = {}
    for code in sorted(route.errors, key=lambda code: CATALOGUE[code].status):
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    return {str(status): _failure(route, status, codes) for status, codes in by_status.items()}


def _failure(route: Route, status: int, codes: list[str]) -> Schema:
    headers = _headers(["WWW-Authenticate"] if status == 401 else ["Retry-After"] if status in (429, 503) else [])
    headers["X-Error-Code"] = {"required": True, "schema": {"type": "string", "enum": codes}}
    # Errors of `joinSession` have no code in their body. Generators take no further properties beside a reference.
    schema, seen = named("ErrorBody"), {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    if route.name == "joinSession":
        schema, seen = named("JoinFailure"), {code: {"value": examples()["join_errors"][code]} for code in codes}
    description = "; ".join(f"`{code}`: {CATALOGUE[code].message}" for code in codes)
    return {"description": description, "headers": headers, "content": _json(schema, seen)}


def _headers(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _json(schema: Schema, shown: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema, "examples": shown}}


def _parameter(name: str, shown: Schema) -> Schema:
    """Return a parameter, with the example that is in a recorded path."""
    parameter = {"name": name, **shown}
    for route in ROUTES:
        target = examples()["routes"][route.name]["target"].partition("?")[0]
        if name in route.parameters:
            parts = zip(route.path.split("/"), target.split("/"), strict=True)
            return {**parameter, "example": next(part for parameter, part in parts if parameter == f"{{{name}}}")}
    return parameter
