"""Errors of the Redis client.

StoreError
├── StoreUnavailable   Redis cannot serve now; ``sent`` says whether the command may have been executed
│   └── Redirected     another node of the cluster serves this slot (handled inside the client)
├── CommandFailed      the command itself is wrong, for example for the type of a key; retrying will not help
│   └── ScriptFailed   a Lua script has a bug
└── UnexpectedReply    Redis returned data that this service did not write

Any other exception is a bug of the service, not an outage.
"""

from __future__ import annotations

from typing import Final, TypeGuard

from redis.exceptions import AskError, MovedError, RedisError, ResponseError

from app.redis_client.url import Address

__all__ = [
    "CommandFailed",
    "Redirected",
    "ScriptFailed",
    "StoreError",
    "StoreUnavailable",
    "UnexpectedReply",
    "error_of_reply",
    "is_reply",
    "reading_reply",
]

# The first word of an error reply -> the reason. Redis refuses all of these before it changes anything, also in
# scripts: there it checks memory, disk, role and replicas at the first write at the latest.
_OUTAGES: Final = {
    "LOADING": "loading",
    "BUSY": "busy",
    "MASTERDOWN": "masterdown",
    "CLUSTERDOWN": "clusterdown",
    "READONLY": "readonly",
    "TRYAGAIN": "tryagain",
    "OOM": "full",
    "MISCONF": "misconf",
    "NOREPLICAS": "noreplicas",
    "NOAUTH": "denied",
    "WRONGPASS": "denied",
    "NOPERM": "denied",
}

_PASSING: Final = frozenset(
    {"refused", "timeout", "lost", "loading", "busy", "masterdown", "clusterdown", "readonly", "tryagain", "moved"}
)


class StoreError(Exception):
    """The base class of the errors of the Redis client."""


class StoreUnavailable(StoreError):
    """Redis did not execute a command, or it is unknown whether it did.

    ``sent`` False: it was certainly not executed. True: the outcome is unknown. ``reason`` is usable as a metric label:
    refused, timeout, lost, protocol, closed, maxclients, moved, or for errors returned by Redis loading, busy,
    readonly, masterdown, clusterdown, tryagain, full, misconf, noreplicas, denied.
    """

    def __init__(self, reason: str, detail: str = "", *, sent: bool) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.sent = sent

    @property
    def worth_retrying(self) -> bool:
        """Whether the command was certainly not executed and may succeed a moment later."""
        return not self.sent and self.reason in _PASSING


class Redirected(StoreUnavailable):
    """Another node serves the slot, or (``asking``) the slot is moving there.

    ``node`` is None if Redis does not name it.
    """

    def __init__(self, node: Address | None, slot: int, *, asking: bool) -> None:
        super().__init__("moved", f"slot {slot} to {node}", sent=False)
        self.node = node
        self.slot = slot
        self.asking = asking


class CommandFailed(StoreError):
    """Redis returned an error for the command itself; ``code`` is its first word: ERR, WRONGTYPE, NOSCRIPT."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class ScriptFailed(CommandFailed):
    """A Lua script failed: a bug, not an outage."""


class UnexpectedReply(StoreError):
    """A reply has an unexpected form: it is data of another program, or the server is not Redis.

    The text is the type of the error only, since messages of Python's errors may contain the data.
    """


class reading_reply:  # noqa: N801 - a context manager
    """Turn errors in the block into ``UnexpectedReply``. The block must only parse a reply."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ValueError | TypeError | LookupError | AttributeError):
            raise UnexpectedReply(type(error).__name__) from error


def is_reply(error: BaseException) -> TypeGuard[RedisError]:
    """Return whether the server returned this error, so that the connection is still usable."""
    return isinstance(error, ResponseError) or (isinstance(error, RedisError) and error.status_code is not None)


def error_of_reply(error: RedisError) -> StoreError:
    """Convert an error that Redis returned into the one to raise."""
    if isinstance(error, AskError):
        # A node that does not know its own host name omits it.
        node = Address(error.host, error.port) if error.host not in ("", "?") else None
        return Redirected(node, error.slot_id, asking=not isinstance(error, MovedError))
    # redis-py removes the code from errors for which it has a class.
    text = f"{error.status_code} {error}" if error.status_code else str(error)
    code, _, rest = text.partition(" ")
    if rest.startswith("max number of clients"):
        return StoreUnavailable("maxclients", text, sent=False)
    # Access to a key or channel is checked when the script uses it, so the script may have written before. Redis 7.0
    # has no error code for this.
    if rest.startswith(("ACL failure in script", "The user executing the script can't")):
        return StoreUnavailable("denied", text, sent=True)
    if code in _OUTAGES:
        return StoreUnavailable(_OUTAGES[code], text, sent=False)
    if code == "ERR" and "user_script" in rest:
        # Some servers append the arguments.
        return ScriptFailed(text.partition(", with args")[0])
    return CommandFailed(text)
