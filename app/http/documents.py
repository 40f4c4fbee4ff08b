"""Routes of the API's documents: ``/openapi.json``, ``/asyncapi.json`` and the HTML page ``/docs``."""

from __future__ import annotations

from typing import Final

import orjson
from quart import Blueprint, Response

__all__ = ["documents_blueprint"]

# The documents change only with a release.
_CACHED: Final = {"Cache-Control": "public, max-age=300"}


def documents_blueprint() -> Blueprint:
    """Return the routes. Each document is generated at its first request."""
    routes = Blueprint("documents", __name__)

    @routes.get("/openapi.json")
    async def openapi_document() -> Response:
        from app.documents.openapi import openapi

        return Response(orjson.dumps(openapi()), content_type="application/json", headers=_CACHED)

    @routes.get("/asyncapi.json")
    async def asyncapi_document() -> Response:
        from app.documents.asyncapi import asyncapi

        return Response(orjson.dumps(asyncapi()), content_type="application/json", headers=_CACHED)

    @routes.get("/docs")
    async def documentation() -> Response:
        from app.documents.page import PAGE_POLICY, page

        headers = {**_CACHED, "Content-Security-Policy": PAGE_POLICY, "Referrer-Policy": "no-referrer"}
        return Response(page(), content_type="text/html; charset=utf-8", headers=headers)

    return routes
