"""What a deployment of a given size needs: replicas, Redis shards, memory, bytes. The model of docs/scaling.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = [
    "FIRST_PAUSE_SECONDS",
    "LAST_PAUSE_SECONDS",
    "MEASURED",
    "Constants",
    "Estimate",
    "Load",
    "estimate",
    "redis_calls_of_a_change",
    "replicas_of_a_session",
    "share_of_first_changes",
]


@dataclass(frozen=True, slots=True)
class Constants:
    """What ``python -m bench.capacity measure`` measures. Times are those that a process spends on a processor."""

    replica_us: float
    """A replica without people, a second."""
    session_us: float
    """A session that has people at a replica, a second, if nothing happens."""
    heartbeat_us: float
    """A heartbeat of a connection."""
    join_us: float
    """Connecting and joining, of those who come back to sessions of ``join_size`` after their replica was killed."""
    join_person_us: float
    """The same for each further person of the session, who is shown that somebody has joined."""
    change_us: float
    """A change, at the replica that receives it."""
    announcement_us: float
    """A change, at each replica with members of the session, which encodes an update."""
    announcement_person_us: float
    """The same, for each person that a whole update lists."""
    delivery_us: float
    """An update that is written to a socket."""
    patch_announcement_us: float
    patch_delivery_us: float
    """The same with patches in place of whole updates."""
    update_bytes: float
    update_person_bytes: float
    """A compressed whole update; and for each person that it lists."""
    patch_bytes: float
    replica_bytes: float
    person_bytes: float
    session_bytes: float
    """Memory of a replica: without people, for each connected person, and for each session with people there."""
    restored_us: float
    redis_restored_us: float
    """Reading a session again after its subscription was lost: at each replica with members of it, and in Redis."""
    redis_change_us: float
    redis_wake_us: float
    redis_announcement_us: float
    """Redis, for a change; for one that comes while there is nothing else to do; for each replica that hears of it."""
    redis_replica_us: float
    """Redis, for a replica without people, a second."""
    redis_change_calls: float
    redis_first_change_calls: float
    """Calls for a change, and for one that moves the expiry of all keys of its session: the first in two seconds."""
    redis_replica_calls: float
    """Calls a second of a replica without people."""
    redis_session_calls: float
    """Calls a second for a session that has people at a replica, if nothing happens."""
    redis_session_bytes: float
    redis_person_bytes: float
    """Memory of Redis for a session with a dozen movies, and for each person in it."""
    redis_received_bytes: float
    redis_reply_bytes: float
    redis_announced_bytes: float
    """What Redis receives for a change, what it replies, and what it sends to each replica with members."""

    def announcement(self, size: float, *, patches: bool) -> float:
        """Return the microseconds of a change at each replica with members of a session of ``size`` people."""
        if patches:
            return self.patch_announcement_us
        return self.announcement_us + self.announcement_person_us * _listed(size)

    def delivery(self, *, patches: bool) -> float:
        """Return the microseconds of an update for each socket."""
        return self.patch_delivery_us if patches else self.delivery_us

    def join(self, size: float) -> float:
        """Return the microseconds of connecting again and joining a session of ``size`` people."""
        return self.join_us + self.join_person_us * size


MEASURED: Final = Constants(
    replica_us=5_660,
    session_us=2.07,
    heartbeat_us=57.8,
    join_us=1_330,
    join_person_us=17.7,
    change_us=696,
    announcement_us=417,
    announcement_person_us=0,
    delivery_us=27.3,
    patch_announcement_us=328,
    patch_delivery_us=34.2,
    update_bytes=2_700,
    update_person_bytes=21.2,
    patch_bytes=209,
    replica_bytes=55_700_000,
    person_bytes=18_700,
    session_bytes=67_200,
    restored_us=115,
    redis_restored_us=22.4,
    redis_change_us=47.2,
    redis_wake_us=264,
    redis_announcement_us=24.8,
    redis_replica_us=1_880,
    redis_change_calls=12,
    redis_first_change_calls=6.18,
    redis_replica_calls=19.5,
    redis_session_calls=0.0196,
    redis_session_bytes=7_450,
    redis_person_bytes=704,
    redis_received_bytes=470,
    redis_reply_bytes=43,
    redis_announced_bytes=146,
)


@dataclass(frozen=True, slots=True)
class Load:
    """``session_size``: people in each session. ``changes``: a second in each session.

    ``patches``: whether clients ask for patches. ``has_affinity``: whether the load balancer brings the people of a
    session to one replica. ``ping_interval``: seconds from heartbeat to heartbeat.
    """

    people: int
    session_size: float
    changes: float
    patches: bool = False
    has_affinity: bool = False
    ping_interval: float = 25.0

    @property
    def sessions(self) -> float:
        return self.people / self.session_size

    @property
    def changes_per_second(self) -> float:
        return self.sessions * self.changes


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of all replicas or all of Redis together, where it is not said that it is of each. Times are in seconds.

    ``replica_cores`` and ``redis_cores``: processor time in a second.
    """

    replicas: int
    primaries: int
    people_per_replica: float
    replicas_per_session: float
    replica_cores: float
    cores_per_replica: float
    memory_per_replica: float
    client_bytes_per_second: float
    redis_cores: float
    redis_memory: float
    redis_calls_per_second: float
    redis_received_per_second: float
    redis_sent_per_second: float
    redis_connections: int
    reconnect_seconds: float | None
    """From the end of one replica until its people have joined at the others."""


# https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#redis-cluster-goals
_MAX_PRIMARIES: Final = 1_000
# The part of a core that may be in use, so that the rest is there for bursts, and for the people of replicas that end.
_REPLICA_TARGET: Final = 0.6
_REDIS_TARGET: Final = 0.5
# A third of the connections that a replica takes by default: late in a rolling restart some replicas have almost thrice
# the people that they have otherwise.
_CONNECTIONS_TARGET: Final = 6_600
# Participants that updates list by default.
_MAX_LISTED: Final = 200
# Calls a second that check the connection over which a replica hears of changes.
_LINK_CALLS: Final = 1.0
# By how much the other keys of a session outlive its hash, so that most changes need not move their expiry.
_KEPT_SECONDS: Final = 2.0
# When clients connect again after they have lost their connection.
FIRST_PAUSE_SECONDS: Final = 0.5
LAST_PAUSE_SECONDS: Final = 1.5


def replicas_of_a_session(load: Load, replicas: int) -> float:
    """Return how many replicas have members of a session, on average."""
    spread: float = replicas * (1 - (1 - 1 / replicas) ** load.session_size)
    return 1.0 if load.has_affinity else spread


def estimate(load: Load, replicas: int | None = None, constants: Constants = MEASURED) -> Estimate:
    """Return what the load needs, with so many replicas or with as many as are enough for it.

    Raises ValueError if no Redis Cluster is enough.
    """
    if replicas is None:
        replicas = 1
        while not _is_enough(load, replicas, constants):
            replicas = max(replicas + 1, math.ceil(_needed(load, replicas, constants)))
    per_session = replicas_of_a_session(load, replicas)
    mirrored = load.sessions * per_session
    primaries = _primaries(load, replicas, constants)
    redis_cores = primaries * _busy_redis(load, replicas, primaries, constants)
    cores = _cores(load, replicas, constants)
    people = load.people / replicas
    update = constants.patch_bytes if load.patches else _update_bytes(load, constants)
    return Estimate(
        replicas=replicas,
        primaries=primaries,
        people_per_replica=people,
        replicas_per_session=per_session,
        replica_cores=cores,
        cores_per_replica=cores / replicas,
        memory_per_replica=(
            constants.replica_bytes + people * constants.person_bytes + mirrored / replicas * constants.session_bytes
        ),
        client_bytes_per_second=load.changes_per_second * load.session_size * update,
        redis_cores=redis_cores,
        redis_memory=load.sessions * constants.redis_session_bytes + load.people * constants.redis_person_bytes,
        redis_calls_per_second=(
            load.changes_per_second * redis_calls_of_a_change(load, constants)
            + _replica_calls(replicas, primaries, constants)
            + mirrored * constants.redis_session_calls
        ),
        redis_received_per_second=load.changes_per_second * constants.redis_received_bytes,
        redis_sent_per_second=load.changes_per_second
        * (constants.redis_reply_bytes + per_session * constants.redis_announced_bytes),
        redis_connections=2 * replicas * primaries,
        reconnect_seconds=_reconnect_seconds(load, replicas, cores / replicas, constants),
    )


def share_of_first_changes(changes: float) -> float:
    """Return the share of changes, at random times, so many a second, that are the first in two seconds."""
    return 1 / (1 + _KEPT_SECONDS * changes)


def redis_calls_of_a_change(load: Load, constants: Constants = MEASURED) -> float:
    first = share_of_first_changes(load.changes)
    return constants.redis_change_calls + first * constants.redis_first_change_calls


def _primaries(load: Load, replicas: int, constants: Constants) -> int:
    """Return how many are enough; a Cluster has three at the least. Raises ValueError if none are."""
    primaries = 1
    while _busy_redis(load, replicas, primaries, constants) > _REDIS_TARGET:
        primaries = max(3, math.ceil(primaries * 1.02))
        if primaries > _MAX_PRIMARIES:
            raise ValueError(
                f"more than {_MAX_PRIMARIES:,} primaries, the most that a Redis Cluster should have, are needed"
            )
    return primaries


def _busy_redis(load: Load, replicas: int, primaries: int, constants: Constants) -> float:
    """Return the part of a core that each primary uses.

    What comes while a primary is busy is taken from the sockets together, without another turn of its event loop.
    """
    change = constants.redis_change_us + constants.redis_announcement_us * replicas_of_a_session(load, replicas)
    changes, wake = load.changes_per_second / primaries / 1e6, constants.redis_wake_us
    idle = constants.redis_replica_us * _replica_calls(replicas, primaries, constants) / constants.redis_replica_calls
    return (changes * (change + wake) + idle / primaries / 1e6) / (1 + changes * wake)


def _replica_calls(replicas: int, primaries: int, constants: Constants) -> float:
    """Return the calls a second of replicas without people; their links to further primaries are checked, too."""
    return replicas * (constants.redis_replica_calls + (primaries - 1) * _LINK_CALLS)


def _is_enough(load: Load, replicas: int, constants: Constants) -> bool:
    return _needed(load, replicas, constants) <= replicas


def _needed(load: Load, replicas: int, constants: Constants) -> float:
    """Return how many replicas there have to be, if sessions are spread over so many."""
    by_connections = load.people / _CONNECTIONS_TARGET
    return max(_cores(load, replicas, constants) / _REPLICA_TARGET, by_connections)


def _cores(load: Load, replicas: int, constants: Constants) -> float:
    per_session = replicas_of_a_session(load, replicas)
    announced = per_session * constants.announcement(load.session_size, patches=load.patches)
    delivered = load.session_size * constants.delivery(patches=load.patches)
    change = constants.change_us + announced + delivered
    return (
        replicas * constants.replica_us
        + load.sessions * per_session * constants.session_us
        + load.people / load.ping_interval * constants.heartbeat_us
        + load.changes_per_second * change
    ) / 1e6


def _update_bytes(load: Load, constants: Constants) -> float:
    return constants.update_bytes + constants.update_person_bytes * _listed(load.session_size)


def _listed(size: float) -> float:
    return min(size, _MAX_LISTED)


def _reconnect_seconds(load: Load, replicas: int, busy: float, constants: Constants) -> float | None:
    if replicas == 1:
        return None
    work = load.people / replicas / (replicas - 1) * constants.join(load.session_size) / 1e6
    return max(LAST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS + work / max(0.05, 1 - busy))
