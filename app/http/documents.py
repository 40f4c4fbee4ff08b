"""The documents of the API: ``/openapi.json``, ``/asyncapi.json`` and, for people, ``/docs``."""

from __future__ import annotations

from typing import Final

import orjson
from quart import Blueprint, Response

__all__ = ["documents_blueprint"]

# They change with a release only.
_CACHED: Final = {"Cache-Control": "public, max-age=300"}


def documents_blueprint() -> Blueprint:
    """The routes; each document is made when it is first asked for, and what makes it is imported then.

    Few ask a replica for one, and a start is to take no longer for it.
    """
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
