"""Secrets: how they are read from files, at the start and again later, and what is accepted."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Final

from pydantic import SecretStr

__all__ = ["checked", "listed", "read_secret", "secret_now", "signing_key"]

# A shorter operator token could be guessed online, a shorter secret offline, from one token signed with it.
_MIN_CHARACTERS: Final = {"secret": 32, "operator_token": 16, "webhook_secret": 32}

_LISTS: Final = ("secret", "webhook_secret")

# More than a rotation needs. Each one costs an HMAC for every token that none of them signed.
_MAX_LISTED: Final = 8


def read_secret(path: Path) -> str:
    """Return the content of a file; raises ValueError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}") from error


def secret_now(name: str, path: Path | None, given: SecretStr | None) -> str | None:
    """Return a secret as its file has it now, or as it was given; raises ValueError if the file's is not valid."""
    if path is not None:
        return checked(name, read_secret(path))
    return None if given is None else given.get_secret_value()


def listed(text: str) -> tuple[str, ...]:
    """Return the secrets of a list that is separated by commas or line ends."""
    return tuple(dict.fromkeys(part.strip() for part in re.split(r"[,\n]", text) if part.strip()))


def checked(name: str, text: str) -> str:
    """Return the value of a secret setting; raises ValueError, without the value, if it can be guessed."""
    parts = listed(text) if name in _LISTS else (text,)
    least = _MIN_CHARACTERS.get(name, 1)
    if not parts or min(map(len, parts)) < least:
        each = "each " if len(parts) > 1 else ""
        raise ValueError(f"{each}must have at least {least} characters, as `openssl rand -hex 32` makes them")
    if len(parts) > _MAX_LISTED:
        raise ValueError(f"lists {len(parts)} secrets, more than {_MAX_LISTED}")
    if name == "webhook_secret":
        for part in parts:
            signing_key(part)
    return text


def signing_key(secret: str) -> bytes:
    """Return the key of a secret that signs webhooks: what ``whsec_`` is followed by, in base64, else its text."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("what follows whsec_ is not base64") from error
