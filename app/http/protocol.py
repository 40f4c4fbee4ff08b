"""HTTP as uvicorn reads it, with bounds on a request's head and with errors of the kind that all others are."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HttpProtocol"]

_MAX_HEAD: Final = 65_536
_HEAD_TIMEOUT: Final = 10.0


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn has no limit on the bytes of a request's head, nor on the time that it takes to come."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reads_head = True
        self._head_bytes = 0
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._reads_head:
            self._head_is_here()
            return
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "payload-too-large", "Request header too large")
        elif self._head_deadline is None:
            self._expect_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reads_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._reads_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, "invalid-payload", "Invalid HTTP request")

    def _expect_head(self) -> None:
        self._head_deadline = self.loop.call_later(_HEAD_TIMEOUT, self._head_is_late)

    def _head_is_here(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _head_is_late(self) -> None:
        self._head_deadline = None
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "request-timeout", "Request timed out")

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        body = orjson.dumps({"message": message, "code": code})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-error-code: {code}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
