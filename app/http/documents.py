"""The documents of the API: ``/openapi.json``, ``/asyncapi.json`` and, for people, ``/docs``."""

from __future__ import annotations

from typing import Final

import orjson
from quart import Blueprint, Response

from app.documents.asyncapi import asyncapi
from app.documents.openapi import openapi
from app.documents.page import PAGE_POLICY, page

__all__ = ["documents_blueprint"]

# They change with a release only.
_CACHED: Final = {"Cache-Control": "public, max-age=300"}


def documents_blueprint() -> Blueprint:
    """The routes; each document is made when it is first asked for."""
    routes = Blueprint("documents", __name__)

    @routes.get("/openapi.json")
    async def openapi_document() -> Response:
        return Response(orjson.dumps(openapi()), content_type="application/json", headers=_CACHED)

    @routes.get("/asyncapi.json")
    async def asyncapi_document() -> Response:
        return Response(orjson.dumps(asyncapi()), content_type="application/json", headers=_CACHED)

    @routes.get("/docs")
    async def documentation() -> Response:
        headers = {**_CACHED, "Content-Security-Policy": PAGE_POLICY, "Referrer-Policy": "no-referrer"}
        return Response(page(), content_type="text/html; charset=utf-8", headers=headers)

    return routes
