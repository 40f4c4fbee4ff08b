"""``POST /api/session/join``: from the body of a request to the answer, without a framework."""

from __future__ import annotations

import orjson

from app.http.answers import Answer, json_answer
from app.http.bodies import read_session_id
from app.http.bucket_cookie import BucketCookie, bucket_header
from app.sessions.admission import Client
from app.sessions.head import Head
from app.sessions.service import SessionService

__all__ = ["answer_join", "etag"]


async def answer_join(
    service: SessionService, body: bytes, client: Client, token: str | None, cookie: BucketCookie | None
) -> Answer:
    """Look up the session of a request. Raise ``SessionError`` if there is none."""
    found = await service.finder.find(read_session_id(body), client, token)
    code = found.meta["sessionID"]
    answered = {
        "sessionID": code,
        "message": "Session found. You can now connect via WebSocket.",
        "sessionData": orjson.Fragment(found.shown_to_strangers),
    }
    return json_answer(answered, headers=etag(found.head) | bucket_header(cookie, code))


def etag(head: Head) -> dict[str, str]:
    """Return the header for a version of a session."""
    return {"etag": f'"{head}"'}
