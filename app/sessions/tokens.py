"""Tokens: opaque proofs of who somebody is in one session.

A token is ``<kind>.<instance>.<subject>.<mac>``: the session's instance (unique over all sessions, unlike a code) and
the participant's id or the generation of the host's token, under an HMAC-SHA256 with the deployment's secret. Nothing
is stored: a token is recomputed whenever it has to be given out again.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Credential", "TokenSigner"]

Kind = Literal["host", "participant"]
_KINDS: Final[dict[str, Kind]] = {"h": "host", "p": "participant"}
_TOKEN: Final = re.compile(r"([hp])\.([a-z0-9]{1,32})\.([a-z0-9]{1,32})\.([A-Za-z0-9_-]{22})")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a genuine token says. ``subject``: the participant's id, or the generation of the host's token."""

    kind: Kind
    instance: str
    subject: str


class TokenSigner:
    """Makes and checks tokens under one secret, which may not be known from the start."""

    def __init__(self, secret: Callable[[], bytes]) -> None:
        self._secret = secret

    def host(self, instance: str, generation: int) -> str:
        return self._token("h", instance, str(generation))

    def participant(self, instance: str, participant_id: str) -> str:
        return self._token("p", instance, participant_id)

    def verify(self, token: str) -> Credential | None:
        """The credential, or None when the token was not made under this secret."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        kind, instance, subject, mac = match.groups()
        if not hmac.compare_digest(mac, self._mac(kind, instance, subject)):
            return None
        return Credential(_KINDS[kind], instance, subject)

    def _token(self, kind: str, instance: str, subject: str) -> str:
        return f"{kind}.{instance}.{subject}.{self._mac(kind, instance, subject)}"

    def _mac(self, kind: str, instance: str, subject: str) -> str:
        digest = hmac.digest(self._secret(), f"token.{kind}.{instance}.{subject}".encode(), hashlib.sha256)
        return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
