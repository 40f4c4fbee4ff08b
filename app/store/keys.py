"""The names of all keys and channels in Redis.

A session's keys share the hash tag ``{code}``, so they are in one slot of a cluster. Its channel is named like its
first key. All names begin with the deployment's prefix and a colon, ``js:`` by default. Access control lists use the
prefix, and deployments with different prefixes can share a Redis. Scripts receive all names as arguments.

====================== ======== =============================================================================
``js:{C}``             hash     the session (``app/store/session_hash.py``); exists as long as the session
``js:{C}:votes``       hash     ratings by participant; exists as long as the session
``js:{C}:connections`` hash     participants by connection; exists as long as the session
``js:{C}:replies``     hash     stored replies by idempotency key; exists as long as the session
``js:{C}:former``      zset     departed participants, in the order in which they are forgotten
``js:{C}:code``        string   reserves the code, for the session's life and the time after it
``js:{C}:absent``      zset     departed participants with ratings, the longest absent first
``js:{C}:repliers``    zset     callers with stored replies, by the expiry of the oldest reply
``js:{C}:outbox``      zset     events that wait to be sent to the receiver of webhooks, in order; outlives the session
``js:recovery:P``      string   the participant of recovery id P; exists as long as the code is reserved
``js:created:H``       string   the session created with an idempotency key; exists for ``lifetime``
``js:sessions``        zset     code -> time of expiry, for all live sessions and those still to be ended
``js:due``             zset     code -> time to check for participants whose grace time is over
``js:outboxes``        zset     code -> time to send the next event of its outbox
``js:events``          zset     events in all outboxes -> their time; their bytes
``js:replicas``        zset     replica -> end of its lease
``js:replica:R``       string   details of replica R for the others; exists as long as its lease
``js:replica:R:codes`` set      sessions with connections at replica R; until it is reaped
``js:misses:A``        string   failed look-ups of an address (hashed) in a minute; of all: ``all``
``js:looks:{M}``       zset     look-ups of an address in progress -> latest end; M is ``js:misses:A``, so that
                                both keys are in one slot
``js:made:A``          hash     sessions created by an address (hashed); expires ``max_lifetime`` after the last
``js:creates:A``       string   sessions created by an address (hashed) in a minute
``js:wrong-keys:A``    string   wrong keys and tokens of an address (hashed) in a minute
``js:wrong-passcodes:G`` string wrong passcodes of an address or session (hashed) in a minute; those under way are
                                in ``js:looks:{js:wrong-passcodes:G}``
``js:passcodes:G``     string   passcodes given to a session (hashed) in a minute
``js:secret``          string   the secret that signs tokens, if none is configured
``js:marker``          string   a random value: if it is gone, Redis has lost all data
====================== ======== =============================================================================
"""

from __future__ import annotations

from typing import Final

__all__ = ["Keys"]

_PARTS: Final = ("", ":votes", ":connections", ":replies", ":code", ":absent", ":former", ":repliers", ":outbox")


class Keys:
    """The names of a deployment's keys. ``prefix`` consists of lower-case letters, digits and ``-``."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.sessions: Final = f"{prefix}:sessions"
        self.due: Final = f"{prefix}:due"
        self.outboxes: Final = f"{prefix}:outboxes"
        self.events: Final = f"{prefix}:events"
        self.replicas: Final = f"{prefix}:replicas"
        self.secret: Final = f"{prefix}:secret"
        self.marker: Final = f"{prefix}:marker"

    def session(self, code: str) -> str:
        return f"{self._prefix}:{{{code}}}"

    def votes(self, code: str) -> str:
        return f"{self.session(code)}:votes"

    def connections(self, code: str) -> str:
        return f"{self.session(code)}:connections"

    def reservation(self, code: str) -> str:
        return f"{self.session(code)}:code"

    def outbox(self, code: str) -> str:
        return f"{self.session(code)}:outbox"

    def session_keys(self, code: str) -> list[str]:
        """Return all keys of one session, in the order expected by the scripts."""
        first = self.session(code)
        return [first + part for part in _PARTS]

    def channel(self, code: str) -> str:
        return self.session(code)

    def code_of(self, channel: str) -> str:
        """Return the session's code for a channel."""
        return channel[len(self._prefix) + 2 : -1]

    def recovery(self, recovery_id: str) -> str:
        return f"{self._prefix}:recovery:{recovery_id}"

    def created(self, digest: str) -> str:
        return f"{self._prefix}:created:{digest}"

    def misses(self, address: str) -> str:
        return f"{self._prefix}:misses:{address}"

    def look_ups(self, address: str) -> list[str]:
        """Return the keys, in one slot, that count an address's failed look-ups and those in progress."""
        misses = self.misses(address)
        return [misses, f"{self._prefix}:looks:{{{misses}}}"]

    def creates(self, address: str) -> str:
        return f"{self._prefix}:creates:{address}"

    def wrong_keys(self, address: str) -> str:
        return f"{self._prefix}:wrong-keys:{address}"

    def guesses(self, whose: str) -> list[str]:
        """Return the keys, in one slot, that count wrong passcodes and those under way."""
        wrong = f"{self._prefix}:wrong-passcodes:{whose}"
        return [wrong, f"{self._prefix}:looks:{{{wrong}}}"]

    def passcodes(self, session: str) -> str:
        return f"{self._prefix}:passcodes:{session}"

    def made(self, address: str) -> str:
        return f"{self._prefix}:made:{address}"

    def replica(self, replica_id: str) -> str:
        return f"{self._prefix}:replica:{replica_id}"

    def replica_codes(self, replica_id: str) -> str:
        return f"{self._prefix}:replica:{replica_id}:codes"
