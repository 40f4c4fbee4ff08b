"""Parses the replies of the scripts of sessions, without the status, in the order of the scripts."""

from __future__ import annotations

from typing import Any

from app.sessions.model import Head
from app.sessions.steps import Attached, Extended, HostTokenGeneration, MoviesStored, Swept

__all__ = [
    "attached",
    "created",
    "due",
    "extended",
    "head",
    "host_token_generation",
    "movies_stored",
    "nothing",
    "swept",
    "version",
]


def nothing(_reply: list[Any]) -> None:
    return None


def version(reply: list[Any]) -> int:
    return int(reply[0])


def due(reply: list[Any]) -> int:
    _, due = reply
    return int(due)


def movies_stored(reply: list[Any]) -> MoviesStored:
    version, added, present = reply
    return MoviesStored(version, [movie.decode() for movie in added], [movie.decode() for movie in present])


def host_token_generation(reply: list[Any]) -> HostTokenGeneration:
    version, generation = reply
    return HostTokenGeneration(version, generation)


def attached(reply: list[Any]) -> Attached:
    version, epoch, instance, participant, membership_id, free_at, votes, name = reply
    return Attached(
        head=Head(epoch.decode(), version),
        instance=instance.decode(),
        participant=participant.decode(),
        membership_id=membership_id,
        free_at=free_at,
        name=name.decode(),
        votes={movie.decode(): rating for movie, rating in zip(votes[::2], votes[1::2], strict=True)},
    )


def swept(reply: list[Any]) -> Swept:
    removed, next_due = reply
    return Swept(removed, next_due)


def extended(reply: list[Any]) -> Extended:
    now, expires_at, deadline, lifetime = reply
    return Extended(now, expires_at, deadline, lifetime)


def head(reply: list[Any]) -> Head | None:
    epoch, version = reply
    return Head(epoch.decode(), int(version)) if epoch else None


def created(reply: list[Any]) -> bool:
    """Return whether the session was created: 0 if the code is taken."""
    return bool(reply[0])
