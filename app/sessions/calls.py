"""What the atomic steps of the store are called with, and what they reply."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from app.sessions.permissions import Action
from app.sessions.tokens import Credential

__all__ = ["decoded", "fingerprint", "given", "milliseconds", "who"]


def milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def who(credential: Credential | None) -> dict[str, Any]:
    if credential is None:
        return {}
    if credential.kind == "host":
        return {"instance": credential.instance, "generation": int(credential.subject)}
    return {"instance": credential.instance, "participant": credential.subject}


def given(call: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is None: JSON's null is a value of its own in Lua."""
    return {name: value for name, value in call.items() if value is not None}


def fingerprint(action: Action, arguments: Mapping[str, Any]) -> str:
    canonical = orjson.dumps([action, arguments], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()[:24]


def decoded(values: list[bytes]) -> list[str]:
    return [value.decode() for value in values]
