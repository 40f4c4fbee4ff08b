"""Parses the replies of the scripts of sessions, without the status, in the order of the scripts."""

from __future__ import annotations

from app.redis_client.reply import Reply, array, integer, text, texts
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


def nothing(_reply: list[Reply]) -> None:
    return None


def version(reply: list[Reply]) -> int:
    return integer(reply[0])


def due(reply: list[Reply]) -> int:
    return integer(reply[0])


def movies_stored(reply: list[Reply]) -> MoviesStored:
    version, added, present = reply
    return MoviesStored(integer(version), texts(added), texts(present))


def host_token_generation(reply: list[Reply]) -> HostTokenGeneration:
    version, generation = reply
    return HostTokenGeneration(integer(version), integer(generation))


def attached(reply: list[Reply]) -> Attached:
    version, epoch, instance, participant, membership_id, free_at, votes, name = reply
    ratings = array(votes)
    return Attached(
        head=Head(text(epoch), integer(version)),
        instance=text(instance),
        participant=text(participant),
        membership_id=integer(membership_id),
        free_at=integer(free_at),
        name=text(name),
        votes={text(movie): integer(rating) for movie, rating in zip(ratings[::2], ratings[1::2], strict=True)},
    )


def swept(reply: list[Reply]) -> Swept:
    removed, next_due = reply
    return Swept(integer(removed), integer(next_due))


def extended(reply: list[Reply]) -> Extended:
    now, expires_at, deadline, lifetime = reply
    return Extended(integer(now), integer(expires_at), integer(deadline), integer(lifetime))


def head(reply: list[Reply]) -> Head | None:
    epoch, version = reply
    return Head(text(epoch), integer(version)) if epoch else None


def created(reply: list[Reply]) -> bool:
    """Return whether the session was created: 0 if the code is taken."""
    return bool(reply[0])
