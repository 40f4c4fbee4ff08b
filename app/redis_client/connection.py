"""Connections of redis-py: it connects, does TLS, logs in with HELLO and AUTH, and parses replies.

Commands are written to the socket directly, by ``Link``: redis-py's own way to send one waits for the socket, and takes
five times as long. What redis-py keeps private is used in this module only; ``tests/redis_client/test_connection.py``
holds what we rely on.
"""

from __future__ import annotations

import math
from typing import Any, Final

from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.redis_client.errors import CommandFailed, StoreError, StoreUnavailable, error_of_reply, is_reply
from app.redis_client.url import Address, Login

__all__ = ["abort", "connect", "is_closing", "read_replies", "write"]

# Nothing but HELLO and SELECT is sent to the server, which documents a user without any other command; nothing is
# repeated and nothing times out but by our own deadlines.
_OPTIONS: Final[dict[str, Any]] = {
    "protocol": 3,
    "driver_info": None,
    "maint_notifications_config": None,
    "retry": None,
    "socket_timeout": None,
    "socket_connect_timeout": None,
    # Large replies come in pieces of this many bytes.
    "socket_read_size": 262_144,
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
    connection._parser.handle_push_response = _return_push  # type: ignore[attr-defined]
    return connection


def write(connection: AbstractConnection, data: bytes) -> None:
    """Hand data to the socket, which buffers what it cannot take at once."""
    connection._writer.write(data)  # type: ignore[union-attr]


def is_closing(connection: AbstractConnection) -> bool:
    """Whether the socket takes no more data, or the server has closed its side."""
    writer, reader = connection._writer, connection._reader
    return writer is None or writer.is_closing() or reader is None or reader.at_eof()


async def read_replies(connection: AbstractConnection) -> list[Any]:
    """Wait for a reply or push; return it and those that have arrived with it.

    An error that the server answers with is a ``StoreError``. Raises ``StoreUnavailable`` when the connection is lost
    or what comes is no reply of a Redis.
    """
    replies = [await _read_reply(connection)]
    # What redis-py's own way costs for each is as much as all else that a reply costs.
    reader = connection._parser._reader  # type: ignore[attr-defined]
    while reader.has_data():
        try:
            reply = reader.gets(False)
        except (RedisError, ValueError, MemoryError):
            # The reader repeats it, and then it is raised behind the replies before.
            break
        if reply is NOT_ENOUGH_DATA:
            break
        replies.append(error_of_reply(reply) if isinstance(reply, RedisError) else reply)
    return replies


async def _read_reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(
            disable_decoding=True, timeout=math.inf, disconnect_on_error=False, push_request=True
        )
    except (RedisError, OSError, ValueError, MemoryError) as error:
        if is_reply(error):
            return error_of_reply(error)
        if isinstance(error, RedisConnectionError | OSError):
            raise StoreUnavailable("lost", "the connection broke", sent=True) from error
        raise StoreUnavailable("protocol", f"not the reply of a Redis: {error}", sent=True) from error


def abort(connection: AbstractConnection) -> None:
    """Close the socket at once; what it has not sent yet is dropped."""
    if connection._writer is not None:
        connection._writer.transport.abort()
    connection._close()  # type: ignore[no-untyped-call]


def _connection_to(address: Address, login: Login) -> AbstractConnection:
    options = {"username": login.username, "password": login.password, "db": login.db, **_OPTIONS}
    if not address.port:
        return UnixDomainSocketConnection(path=address.host, **options)
    if login.tls is None:
        return Connection(host=address.host, port=address.port, **options)
    connection = SSLConnection(host=address.host, port=address.port, **options)
    connection.ssl_context.context = login.tls
    return connection


async def _return_push(push: list[Any]) -> list[Any]:
    # In place of redis-py's, which formats each message for its debug log, and takes some pushes for itself.
    return push


def _outage(error: Exception, address: Address) -> StoreUnavailable:
    # Over a unix socket redis-py logs in while it connects, and wraps what goes wrong then.
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
    # Not the text: some servers repeat the arguments of a command they do not know, the password among them.
    code = failure.code if isinstance(failure, CommandFailed) else "no code"
    hint = "is it Redis 7.0 or later, and is the login right?"
    return StoreUnavailable("denied", f"{address}: login refused ({code}); {hint}", sent=False)
