"""The JavaScript client at ``/client.js``, for pages without a build: ``import { joinSession } from "/client.js"``."""

from __future__ import annotations

import functools
from typing import Final

from quart import Blueprint, Response

from app.http.static_files import WEB_FOLDER, StaticFile, file_response, static_file

__all__ = ["CLIENT_SCRIPT", "client_script_blueprint"]

CLIENT_SCRIPT: Final = "vendor/client.js"
"""Its file in ``app/web``, which ``make client-js`` builds from ``clients/js``."""


def client_script_blueprint() -> Blueprint:
    """Return the route. Browsers ask each time whether the file is still the same, as with Socket.IO's own."""
    routes = Blueprint("client_script", __name__)

    @functools.cache
    def file() -> StaticFile:
        return static_file((WEB_FOLDER / CLIENT_SCRIPT).read_bytes(), ".js")

    @routes.get("/client.js")
    async def client_script() -> Response:
        return file_response(file(), {"Cache-Control": "no-cache"})

    return routes
