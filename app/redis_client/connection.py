"""Connections of redis-py, which connects, does TLS and logs in with HELLO and AUTH.

After that, commands are written to the socket directly, and replies are passed on as they arrive. redis-py's own
methods wait for the socket and take five times as long. Only this module uses private attributes of redis-py;
``tests/redis_client/test_connection.py`` checks that they still exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

import hiredis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.redis_client.errors import CommandFailed, StoreError, StoreUnavailable, error_of_reply, is_reply
from app.redis_client.reply import Reply
from app.redis_client.url import Address, Login

__all__ = ["abort", "connect", "is_closing", "receive", "write"]

# Only HELLO and SELECT are sent: the documented user may not run other connection commands. Nothing is retried, and
# only our own deadlines apply.
_OPTIONS: Final[dict[str, Any]] = {
    "protocol": 3,
    "driver_info": None,
    "maint_notifications_config": None,
    "retry": None,
    "socket_timeout": None,
    "socket_connect_timeout": None,
}


async def connect(address: Address, login: Login) -> AbstractConnection:
    """Return an open connection that is logged in; raises ``StoreUnavailable``, never with ``sent``."""
    connection = _connection_to(address, login)
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except Exception as error:
        abort(connection)
        raise _outage(error, address) from error
    except BaseException:
        abort(connection)
        raise
    return connection


def write(connection: AbstractConnection, data: bytes) -> None:
    """Write data to the socket, which buffers what it cannot send at once."""
    connection._writer.write(data)  # type: ignore[union-attr]


def is_closing(connection: AbstractConnection) -> bool:
    """Return whether the socket is closing."""
    return connection._writer is None or connection._writer.is_closing()


def receive(
    connection: AbstractConnection,
    received: Callable[[Reply | StoreError], None],
    lost: Callable[[str, str], None],
) -> None:
    """Call ``received`` with each reply and push from now on, an error that the server returned being a ``StoreError``.

    Call ``lost``, perhaps repeatedly, with the reason and detail of a ``StoreUnavailable`` if the connection is lost or
    the data is not a reply of Redis. Both are called by the event loop, in a context of their own.
    """
    incoming = _Incoming(connection._parser._reader, received, lost)  # type: ignore[attr-defined]
    connection._writer.transport.set_protocol(incoming)  # type: ignore[union-attr]
    # What came with the last answer to the login was read from the socket before.
    asyncio.get_running_loop().call_soon(incoming.data_received, b"")
    if connection._reader is None or connection._reader.at_eof():
        asyncio.get_running_loop().call_soon(incoming.connection_lost, None)


def abort(connection: AbstractConnection) -> None:
    """Close the socket at once; unsent data is dropped."""
    if connection._writer is not None:
        connection._writer.transport.abort()
    connection._close()  # type: ignore[no-untyped-call]


class _Incoming(asyncio.Protocol):
    """Parses what the server sends. ``reader``: hiredis's, as redis-py has set it up."""

    def __init__(
        self,
        reader: hiredis.Reader,
        received: Callable[[Reply | StoreError], None],
        lost: Callable[[str, str], None],
    ) -> None:
        self._reader = reader
        self._received = received
        self._lost = lost
        # The connection outlives the request that happens to open it.
        self._context = Context()

    def data_received(self, data: bytes) -> None:
        self._context.run(self._parse, data)

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._context.run(self._lost, "lost", "the connection broke")

    def _parse(self, data: bytes) -> None:
        self._reader.feed(data)
        while True:
            try:
                reply = self._reader.gets(False)
            except (RedisError, ValueError, MemoryError) as error:
                self._lost("protocol", f"not the reply of a Redis: {error}")
                return
            if reply is NOT_ENOUGH_DATA:
                return
            self._received(error_of_reply(reply) if isinstance(reply, RedisError) else reply)


def _connection_to(address: Address, login: Login) -> AbstractConnection:
    options = {"username": login.username, "password": login.password, "db": login.db, **_OPTIONS}
    if not address.port:
        return UnixDomainSocketConnection(path=address.host, **options)
    if login.tls is None:
        return Connection(host=address.host, port=address.port, **options)
    connection = SSLConnection(host=address.host, port=address.port, **options)
    connection.ssl_context.context = login.tls
    return connection


def _outage(error: Exception, address: Address) -> StoreUnavailable:
    # For a unix socket redis-py logs in while it connects, and wraps the errors.
    cause = error.__cause__ if isinstance(error.__cause__, RedisError) else error
    if is_reply(cause):
        return _refusal(error_of_reply(cause), address)
    match cause, cause.__context__:
        case RedisTimeoutError(), _:
            return StoreUnavailable("timeout", f"{address} does not answer", sent=False)
        case RedisConnectionError(), OSError() as failure:
            return StoreUnavailable("refused", f"{address}: {failure.strerror or failure}", sent=False)
        case RedisConnectionError(), _:
            return StoreUnavailable("lost", f"{address}: {cause}", sent=False)
    return StoreUnavailable("protocol", f"{address}: not the reply of a Redis", sent=False)


def _refusal(failure: StoreError, address: Address) -> StoreUnavailable:
    if isinstance(failure, StoreUnavailable):
        return StoreUnavailable(failure.reason, f"{address}: {failure}", sent=False)
    # Without the text of the error: some servers repeat the arguments of an unknown command, the password included.
    code = failure.code if isinstance(failure, CommandFailed) else "no code"
    hint = "is it Redis 7.0 or later, and is the login right?"
    return StoreUnavailable("denied", f"{address}: login refused ({code}); {hint}", sent=False)
