"""Builds the arguments of the scripts in ``scripts/session``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import orjson

from app.sessions.permissions import Action
from app.sessions.steps import Attachment, Author, NewMovie, NewSession, Operator, SessionSettings
from app.sessions.tokens import Credential

__all__ = ["attachment", "authority", "compared_settings", "creation", "fingerprint", "movies", "settings"]


def authority(
    author: Author, compared: Mapping[str, object], others: Sequence[Mapping[str, object]] = ()
) -> dict[str, object]:
    """Return the author, the author's permissions, and the fingerprint that repeats must have.

    ``compared`` is what identifies the change; ``others`` are what identifies it at other replicas.
    """
    permission = author.action.permission
    if isinstance(author, Operator):
        return {"instance": author.instance, "operator": True, "grants": {"operator": permission.operator}}
    call = {**_identity(author.credential), "grants": {"host": permission.host, "member": permission.member}}
    if author.key is not None:
        call |= {"key": author.key, "fingerprint": fingerprint(author.action, compared)}
        call |= {"fingerprints": [fingerprint(author.action, other) for other in others] or None}
    return call


def fingerprint(action: Action, compared: Mapping[str, object]) -> str:
    """Return a hash that identifies a change, so that a key is not reused for another one."""
    canonical = orjson.dumps([action, compared], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()[:24]


def _identity(credential: Credential | None) -> dict[str, object]:
    if credential is None:
        return {}
    if credential.kind == "observer":
        return {"instance": credential.instance}
    if credential.kind == "host":
        return {"instance": credential.instance, "generation": int(credential.subject)}
    return {"instance": credential.instance, "participant": credential.subject}


def creation(instance: str, session: NewSession) -> dict[str, object]:
    return {
        "instance": instance,
        "epoch": session.epoch,
        "lifetime": session.lifetime,
        "unjoined": session.unjoined,
        "max_lifetime": session.max_lifetime,
        "rest": session.quarantine,
        "capacity": session.capacity,
        "leavers": session.departed_ratings,
        "when": session.decide_when,
        "delay": session.decide_delay,
        "timer": session.timer,
        "reveal": session.reveal,
        "title": session.title,
        "movies": movies(session.movies),
        "passcode": session.passcode,
    }


def movies(new: Sequence[NewMovie]) -> list[dict[str, str]]:
    return [{"id": movie.id, "details": movie.details} for movie in new]


def attachment(asked: Attachment) -> dict[str, object]:
    continued = asked.continued
    return {
        "newcomer": asked.newcomer,
        "name": asked.name,
        "connection": asked.connection,
        "recovery": asked.recovery,
        "recovering": asked.recovering or None,
        "stay": continued.id if continued else None,
        "joined_in": continued.epoch if continued else None,
        "known_name": continued.name if continued else None,
        "policy": asked.second_connection,
        "leased": asked.lease_renewed_at,
        "whole": asked.with_session or None,
        "proved": asked.proved,
        **_identity(asked.credential),
    }


def compared_settings(changes: SessionSettings) -> list[dict[str, object]]:
    """Return what identifies a change of settings: for a passcode one for each of its digests."""
    if changes.passcode is None:
        return [settings(changes)]
    return [settings(changes) | {"passcode": digest} for digest in changes.passcode.digests]


def settings(changes: SessionSettings) -> dict[str, object]:
    # Without what is not changed, so that the fingerprint is that of earlier releases.
    added = {
        "passcode": None if changes.passcode is None else changes.passcode.hash,
        "timer": changes.timer,
        "when": changes.decide_when,
        "delay": changes.decide_delay,
        "reveal": changes.reveal,
    }
    return {
        "title": changes.title,
        "capacity": changes.capacity,
        "locked": None if changes.locked is None else int(changes.locked),
        "lifetime": changes.lifetime,
        **{name: value for name, value in added.items() if value is not None},
    }
