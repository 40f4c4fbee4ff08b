"""Helpers for requests, responses and WebSockets in ASGI."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Final
from urllib.parse import parse_qsl

from app.socketio_server import refusals
from app.socketio_server.admission import header
from app.socketio_server.frames import ProtocolError
from app.socketio_server.interfaces import Message, Receive, Scope, Send
from app.socketio_server.libraries import abort
from app.socketio_server.refusals import Refusal

__all__ = [
    "FINAL_RESPONSE_TIMEOUT",
    "accept",
    "check_version",
    "end_websocket",
    "forget_headers",
    "names_session",
    "polling_packet",
    "preflight",
    "read_body",
    "read_query",
    "received",
    "refuse",
    "respond",
]

# Seconds to write what is queued when a WebSocket ends, and again for the peer's close frame.
FINAL_RESPONSE_TIMEOUT: Final = 1.0


def read_query(scope: Scope) -> dict[str, str]:
    """Return the query; of repeated parameters the first counts. Raises ``Refusal``."""
    try:
        pairs = parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=64)
    except ValueError:
        raise refusals.bad_request() from None
    return dict(reversed(pairs))


def names_session(scope: Scope) -> bool:
    """Return whether a request has a session id."""
    return b"sid=" in scope["query_string"]


def check_version(query: dict[str, str]) -> None:
    """Raise ``Refusal`` unless the client uses revision 4 of Engine.IO."""
    if query.get("EIO") != "4":
        raise refusals.unsupported_version()


def preflight(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers of a response to a CORS preflight, except those for the origin."""
    asked = header(scope, b"access-control-request-headers")
    headers = [(b"access-control-allow-methods", b"GET, POST"), (b"access-control-max-age", b"600")]
    return headers if asked is None else [*headers, (b"access-control-allow-headers", asked.encode("latin-1"))]


def polling_packet(packet: str) -> str | bytes:
    """Return a packet of a polling payload, with binary packets decoded. Raises ``ProtocolError``."""
    if not packet.startswith("b"):
        return packet
    try:
        return base64.b64decode(packet[1:], validate=True)
    except (ValueError, binascii.Error):
        raise ProtocolError("invalid frame") from None


def received(message: Message) -> str | bytes | None:
    """Return the content of a WebSocket message, None at its end."""
    if message["type"] != "websocket.receive":
        return None
    text: str | None = message.get("text")
    return text if text is not None else message.get("bytes")


async def read_body(receive: Receive, limit: int) -> str | None:
    """Return the body of a request, or None if the client did not send all of it. Raises ``ProtocolError``."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > limit:
            raise ProtocolError("too large")
        if not message.get("more_body", False):
            break
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ProtocolError("invalid frame") from None


async def respond(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Send a complete HTTP response, by default as text."""
    if not any(name == b"content-type" for name, _ in headers):
        headers = [*headers, (b"content-type", b"text/plain; charset=UTF-8")]
    headers = [*headers, (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse(
    scope: Scope, receive: Receive, send: Send, refusal: Refusal, headers: list[tuple[bytes, bytes]]
) -> None:
    """Answer a request or a WebSocket handshake with an error."""
    headers = [*headers, *refusal.headers, (b"content-type", b"application/json")]
    if scope["type"] == "http":
        await respond(send, refusal.status, refusal.body, headers)
        return
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": refusal.body})


async def accept(receive: Receive, send: Send) -> None:
    """Accept a WebSocket."""
    await receive()
    await send({"type": "websocket.accept"})


def forget_headers(scope: Scope) -> None:
    """Free headers that an open WebSocket does not need; the server keeps its scope."""
    scope["headers"] = []


async def end_websocket(send: Send, code: int) -> None:
    """Send a close frame, unless the peer is gone or does not read."""
    try:
        async with asyncio.timeout(FINAL_RESPONSE_TIMEOUT):
            await send({"type": "websocket.close", "code": code})
    except TimeoutError:
        abort(send)
    except Exception:
        # ASGI servers raise different exceptions for a peer that is gone.
        return
