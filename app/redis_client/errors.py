"""What can go wrong between us and Redis.

StoreError
├── StoreUnavailable   Redis cannot serve now; ``sent`` says whether the command may have been executed
│   └── Redirected     another node of the cluster serves this slot (followed inside the client)
├── CommandFailed      the command as such is wrong: a wrong type, for example; retrying will not help
│   └── ScriptFailed   one of our scripts has a bug
└── UnexpectedReply    Redis answered what a Redis with our data would not

Whatever else is raised is a bug of ours, not an outage, and none of the store's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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

# The first word of an error reply -> the label of the outage. Everything here is refused before it changes anything;
# also in scripts, where Redis looks at memory, disk, role and replicas no later than at the first write.
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
    """The base of all errors of the store."""


class StoreUnavailable(StoreError):
    """Redis did not serve a command.

    ``sent`` False: it was certainly not executed. True: the outcome is unknown. ``reason`` is a label fit for metrics:
    refused, timeout, lost, protocol, closed, maxclients, moved, or for Redis's own refusals loading, busy, readonly,
    masterdown, clusterdown, tryagain, full, misconf, noreplicas, denied.
    """

    def __init__(self, reason: str, detail: str = "", *, sent: bool) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.sent = sent

    @property
    def worth_retrying(self) -> bool:
        """Whether the same command may succeed a moment later and cannot have been executed already."""
        return not self.sent and self.reason in _PASSING


class Redirected(StoreUnavailable):
    """Another node serves the slot, or (``asking``) the slot is moving to it; None where Redis does not name it."""

    def __init__(self, node: Address | None, slot: int, *, asking: bool) -> None:
        super().__init__("moved", f"slot {slot} to {node}", sent=False)
        self.node = node
        self.slot = slot
        self.asking = asking


class CommandFailed(StoreError):
    """Redis answered with an error of the command itself; ``code`` is its first word: ERR, WRONGTYPE, NOSCRIPT."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class ScriptFailed(CommandFailed):
    """A script of ours ended with an error of its own: a bug, not an outage."""


class UnexpectedReply(StoreError):
    """A reply cannot be read: another's data, or no Redis. The text is the kind of error, for Python's repeat data."""


@contextmanager
def reading_reply() -> Iterator[None]:
    """Within, nothing is done but to read a reply, so that what goes wrong is the reply's fault."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise UnexpectedReply(type(error).__name__) from error


def is_reply(error: BaseException) -> TypeGuard[RedisError]:
    """Whether the server answered with this error, and the connection is as good as before."""
    return isinstance(error, ResponseError) or (isinstance(error, RedisError) and error.status_code is not None)


def error_of_reply(error: RedisError) -> StoreError:
    """Turn an error that Redis answered with into the one to raise."""
    if isinstance(error, AskError):
        # A node that does not know its own name leaves it out.
        node = Address(error.host, error.port) if error.host not in ("", "?") else None
        return Redirected(node, error.slot_id, asking=not isinstance(error, MovedError))
    # redis-py takes the code off the texts that it has a class for.
    text = f"{error.status_code} {error}" if error.status_code else str(error)
    code, _, rest = text.partition(" ")
    if rest.startswith("max number of clients"):
        return StoreUnavailable("maxclients", text, sent=False)
    # A script is refused a key or channel only when it gets there, so it may have written before. Redis 7.0 has no code
    # of its own for this.
    if rest.startswith(("ACL failure in script", "The user executing the script can't")):
        return StoreUnavailable("denied", text, sent=True)
    if code in _OUTAGES:
        return StoreUnavailable(_OUTAGES[code], text, sent=False)
    if code == "ERR" and "user_script" in rest:
        # Some servers repeat the arguments.
        return ScriptFailed(text.partition(", with args")[0])
    return CommandFailed(text)
