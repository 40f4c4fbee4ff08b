"""The public Quart application."""

from __future__ import annotations

from collections.abc import Sequence

from quart import Quart, Response, request

from app.http.addresses import ClientAddresses
from app.http.bodies import BODY_TIMEOUT_SECONDS
from app.http.browser_headers import browser_headers
from app.http.bucket_cookie import BucketCookie
from app.http.client_script import client_script_blueprint
from app.http.documents import documents_blueprint
from app.http.responses import install_error_answers
from app.http.sessions import BodyLimits, SessionAPI, SessionIDConverter
from app.http.web import PageSettings, web_blueprint
from app.origins import AllowedOrigins
from app.sessions.guard import KeyGuard
from app.sessions.service import SessionService

__all__ = ["create_app"]


def create_app(
    service: SessionService,
    addresses: ClientAddresses,
    limits: BodyLimits,
    *,
    creation_guard: KeyGuard | None = None,
    bucket_cookie: BucketCookie | None = None,
    allowed_origins: Sequence[str] = (),
    compression: bool = True,
    page: PageSettings | None = None,
) -> Quart:
    """Return the application that serves the session API, the API documents, the JavaScript client and the demo page.

    ``creation_guard``: checks the create key, if one is set. ``bucket_cookie``: set for who creates or joins a session.
    ``compression``: compresses large answers. ``page``: serves the demo page.
    """
    allowed = AllowedOrigins(allowed_origins)
    app = Quart("join-session", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = limits.movies_body
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT_SECONDS
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.converters["session_id"] = SessionIDConverter
    install_error_answers(app)
    app.register_blueprint(documents_blueprint())
    app.register_blueprint(client_script_blueprint())
    sessions = SessionAPI(service, addresses, limits, creation_guard, bucket_cookie, compression=compression)
    app.register_blueprint(sessions.blueprint())
    if page is not None:
        app.register_blueprint(web_blueprint(page))

    @app.after_request
    async def finish(response: Response) -> Response:
        if request.method == "OPTIONS" and response.status_code == 200:
            response.status_code = 204
            response.set_data(b"")
            response.headers.pop("Content-Type", None)
        allow, vary = response.headers.get("Allow", ""), response.headers.get("Vary")
        cookies = bucket_cookie is not None
        for name, value in browser_headers(allowed, request.headers.get, allow, vary, cookies=cookies).items():
            response.headers[name] = value
        return response

    return app
