"""Parses the replies of the scripts of sessions, without the status, in the order of the scripts."""

from __future__ import annotations

from app.redis_client.reply import Reply, array, integer, text, texts
from app.sessions.head import Head
from app.sessions.model import Session
from app.sessions.steps import Attached, Commit, DecisionStored, Extended, HostTokenGeneration, MoviesStored, Swept
from app.store.mirror import SessionMirror
from app.store.session_hash import StoredSession, decision_entry

__all__ = [
    "attached",
    "commit",
    "created",
    "decision_stored",
    "detached_version",
    "due",
    "extended",
    "head",
    "host_token_generation",
    "movies_stored",
    "nothing",
    "swept",
]


def nothing(_reply: list[Reply]) -> None:
    return None


def commit(reply: list[Reply]) -> Commit:
    at, version = reply
    return Commit(integer(version), integer(at))


def due(reply: list[Reply]) -> int:
    return integer(reply[0])


def detached_version(reply: list[Reply]) -> int:
    _, version = reply
    return integer(version)


def movies_stored(reply: list[Reply]) -> MoviesStored:
    at, version, added, present = reply
    return MoviesStored(integer(version), integer(at), texts(added), texts(present))


def decision_stored(reply: list[Reply]) -> DecisionStored:
    at, version, decision = reply
    return DecisionStored(integer(version), integer(at), decision_entry(text(decision).encode()))


def host_token_generation(reply: list[Reply]) -> HostTokenGeneration:
    at, version, generation = reply
    return HostTokenGeneration(integer(version), integer(at), integer(generation))


def attached(code: str, mirror: SessionMirror, reply: list[Reply]) -> Attached:
    version, epoch, instance, participant, membership_id, free_at, votes, name, whole = reply
    ratings = array(votes)
    head = Head(text(epoch), integer(version))
    session, extended = _whole(code, mirror, head, array(whole))
    return Attached(
        head=head,
        instance=text(instance),
        participant=text(participant),
        membership_id=integer(membership_id),
        free_at=integer(free_at),
        name=text(name),
        votes={text(movie): integer(rating) for movie, rating in zip(ratings[::2], ratings[1::2], strict=True)},
        session=session,
        extended=extended,
    )


def _whole(
    code: str, mirror: SessionMirror, head: Head, reply: list[Reply]
) -> tuple[Session, Extended] | tuple[None, None]:
    if not reply:
        return None, None
    fields, expires_at, now = reply
    alternating = [each for each in array(fields) if isinstance(each, bytes)]
    stored = dict(zip(alternating[::2], alternating[1::2], strict=True))
    session = mirror.read(StoredSession(code, stored, integer(expires_at), head))
    return session, Extended(integer(now), session.expires_at, session.deadline, int(stored[b"lifetime"]))


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
