"""The names of all keys and channels in Redis.

A session's keys share the hash tag ``{code}``, so they are in one slot of a cluster; its channel has the name of its
first key. Everything begins with ``js:``, for access control lists.

====================== ======== =============================================================================
``js:{C}``             hash     the session (``app/store/sessions.py``); lives as long as the session
``js:{C}:votes``       hash     who rated what; as long
``js:{C}:connections`` hash     whose connection is whose; as long
``js:{C}:replies``     hash     replies to repeat, by idempotency key; as long
``js:{C}:former``      zset     who has gone from it, in the order in which they are forgotten; as long
``js:{C}:code``        string   keeps the code taken; as long, and while the code rests
``js:{C}:absent``      zset     who has left ratings behind, the longest absent first; as long as the session
``js:{C}:repliers``    zset     who has replies, by when the oldest has expired; as long as the session
``js:recovery:P``      string   which participant the recovery id P continues; as long as the code is taken
``js:created:H``       string   which session an idempotency key has created; ``lifetime``
``js:sessions``        zset     code -> time of expiry of all live sessions, for counting and listing
``js:due``             zset     code -> when to look for participants whose grace time is over
``js:replicas``        zset     replica -> end of its lease
``js:replica:R``       string   what the others need to know of replica R; as long as its lease
``js:replica:R:codes`` set      sessions that have connections at replica R; until it is reaped
``js:misses:A``        string   failed look-ups of one address (hashed) within a minute, ``all`` for all
``js:looks:{M}``       zset     look-ups of one address under way -> when they are over; M: ``js:misses:A``, whose slot
                                it shares
``js:made:A``          hash     live sessions created by one address (hashed); ``max_lifetime`` after the last of them
``js:creates:A``       string   sessions created by one address (hashed) within a minute
``js:wrong-keys:A``    string   wrong keys and operators' tokens of one address (hashed) within a minute
``js:secret``          string   signs tokens where the deployment sets no secret
====================== ======== =============================================================================
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "DUE",
    "REPLICAS",
    "SECRET",
    "SESSIONS",
    "channel",
    "code_of",
    "connections",
    "created",
    "creates",
    "look_ups",
    "made",
    "misses",
    "recovery",
    "replica",
    "replica_codes",
    "reservation",
    "session",
    "session_keys",
    "wrong_keys",
]

SESSIONS: Final = "js:sessions"
DUE: Final = "js:due"
REPLICAS: Final = "js:replicas"
SECRET: Final = "js:secret"  # noqa: S105 - the name of a key

_PARTS: Final = ("votes", "connections", "replies", "code", "absent", "former", "repliers")


def session(code: str) -> str:
    return f"js:{{{code}}}"


def connections(code: str) -> str:
    return f"{session(code)}:connections"


def reservation(code: str) -> str:
    return f"{session(code)}:code"


def session_keys(code: str) -> list[str]:
    """All keys of one session, in the order in which the scripts take them."""
    first = session(code)
    return [first, *(f"{first}:{part}" for part in _PARTS)]


def channel(code: str) -> str:
    return session(code)


def code_of(channel_name: str) -> str:
    return channel_name[len("js:{") : -1]


def recovery(recovery_id: str) -> str:
    return f"js:recovery:{recovery_id}"


def created(digest: str) -> str:
    return f"js:created:{digest}"


def misses(address: str) -> str:
    return f"js:misses:{address}"


def look_ups(address: str) -> list[str]:
    """The keys that count an address's look-ups, in one slot: those that failed, and those under way."""
    return [misses(address), f"js:looks:{{{misses(address)}}}"]


def creates(address: str) -> str:
    return f"js:creates:{address}"


def wrong_keys(address: str) -> str:
    return f"js:wrong-keys:{address}"


def made(address: str) -> str:
    return f"js:made:{address}"


def replica(replica_id: str) -> str:
    return f"js:replica:{replica_id}"


def replica_codes(replica_id: str) -> str:
    return f"js:replica:{replica_id}:codes"
