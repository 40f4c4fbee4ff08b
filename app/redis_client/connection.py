"""Connections of redis-py, which connects, does TLS, logs in with HELLO and AUTH, and parses replies.

``Link`` writes commands to the socket directly: redis-py's own method waits for the socket and takes five times as
long. Only this module uses private attributes of redis-py; ``tests/redis_client/test_connection.py`` checks that they
still exist.
"""

from __future__ import annotations

from typing import Any, Final

from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.redis_client.errors import CommandFailed, StoreError, StoreUnavailable, error_of_reply, is_reply
from app.redis_client.reply import Reply
from app.redis_client.url import Address, Login

__all__ = ["abort", "connect", "is_closing", "read_replies", "write"]

# Only HELLO and SELECT are sent: the documented user may not run other connection commands. Nothing is retried, and
# only our own deadlines apply.
_OPTIONS: Final[dict[str, Any]] = {
    "protocol": 3,
    "driver_info": None,
    "maint_notifications_config": None,
    "retry": None,
    "socket_timeout": None,
    "socket_connect_timeout": None,
    # Large replies are read in pieces of this size.
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
    """Write data to the socket, which buffers what it cannot send at once."""
    connection._writer.write(data)  # type: ignore[union-attr]


def is_closing(connection: AbstractConnection) -> bool:
    """Return whether the socket is closing, or the server has closed its side."""
    writer, reader = connection._writer, connection._reader
    return writer is None or writer.is_closing() or reader is None or reader.at_eof()


async def read_replies(connection: AbstractConnection) -> list[Reply | StoreError]:
    """Wait for a reply or push; return it and those that have arrived with it.

    An error that the server returned is a ``StoreError`` in the list. Raises ``StoreUnavailable`` if the connection is
    lost or the data is not a reply of Redis.
    """
    replies = [await _read_reply(connection)]
    # redis-py's own method costs as much for each reply as everything else that is done with it.
    reader = connection._parser._reader  # type: ignore[attr-defined]
    while reader.has_data():
        try:
            reply = reader.gets(False)
        except (RedisError, ValueError, MemoryError):
            # The reader keeps the error, which is raised after the replies before it were handled.
            break
        if reply is NOT_ENOUGH_DATA:
            break
        replies.append(error_of_reply(reply) if isinstance(reply, RedisError) else reply)
    return replies


async def _read_reply(connection: AbstractConnection) -> Reply | StoreError:
    try:
        # What the connection's own method does beside this costs as much again.
        reply: Reply | ResponseError = await connection._parser.read_response(  # type: ignore[attr-defined]
            disable_decoding=True, push_request=True
        )
    except (RedisError, OSError, ValueError, MemoryError) as error:
        if is_reply(error):
            return error_of_reply(error)
        if isinstance(error, RedisConnectionError | OSError):
            raise StoreUnavailable("lost", "the connection broke", sent=True) from error
        raise StoreUnavailable("protocol", f"not the reply of a Redis: {error}", sent=True) from error
    return error_of_reply(reply) if isinstance(reply, ResponseError) else reply


def abort(connection: AbstractConnection) -> None:
    """Close the socket at once; unsent data is dropped."""
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


async def _return_push(push: list[Reply]) -> list[Reply]:
    # Replaces redis-py's handler, which formats each message for its debug log and handles some pushes itself.
    return push


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
