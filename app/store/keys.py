"""The names of all keys and channels in Redis.

A session's keys share the hash tag ``{code}``, so they are in one slot of a cluster; its channel has the name of its
first key. Everything begins with the deployment's prefix and a colon, ``js:`` by default, for access control lists and
so that deployments can share a Redis. Scripts get every name from here.

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

__all__ = ["Keys"]

_PARTS: Final = ("", ":votes", ":connections", ":replies", ":code", ":absent", ":former", ":repliers")


class Keys:
    """The names of one deployment's keys; ``prefix`` consists of small letters, digits and ``-``."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.sessions: Final = f"{prefix}:sessions"
        self.due: Final = f"{prefix}:due"
        self.replicas: Final = f"{prefix}:replicas"
        self.secret: Final = f"{prefix}:secret"

    def session(self, code: str) -> str:
        return f"{self._prefix}:{{{code}}}"

    def connections(self, code: str) -> str:
        return f"{self.session(code)}:connections"

    def reservation(self, code: str) -> str:
        return f"{self.session(code)}:code"

    def session_keys(self, code: str) -> list[str]:
        """All keys of one session, in the order in which the scripts take them."""
        first = self.session(code)
        return [first + part for part in _PARTS]

    def channel(self, code: str) -> str:
        return self.session(code)

    def code_of(self, channel: str) -> str:
        """The session's code; the reverse of ``channel``."""
        return channel[len(self._prefix) + 2 : -1]

    def recovery(self, recovery_id: str) -> str:
        return f"{self._prefix}:recovery:{recovery_id}"

    def created(self, digest: str) -> str:
        return f"{self._prefix}:created:{digest}"

    def misses(self, address: str) -> str:
        return f"{self._prefix}:misses:{address}"

    def look_ups(self, address: str) -> list[str]:
        """The keys that count an address's look-ups, in one slot: those that failed, and those under way."""
        misses = self.misses(address)
        return [misses, f"{self._prefix}:looks:{{{misses}}}"]

    def creates(self, address: str) -> str:
        return f"{self._prefix}:creates:{address}"

    def wrong_keys(self, address: str) -> str:
        return f"{self._prefix}:wrong-keys:{address}"

    def made(self, address: str) -> str:
        return f"{self._prefix}:made:{address}"

    def replica(self, replica_id: str) -> str:
        return f"{self._prefix}:replica:{replica_id}"

    def replica_codes(self, replica_id: str) -> str:
        return f"{self._prefix}:replica:{replica_id}:codes"
