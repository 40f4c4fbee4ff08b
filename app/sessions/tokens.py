"""Tokens: opaque proofs of who somebody is in one session.

A token is ``<kind>.<instance>.<subject>.<mac>``: the session's instance (unique over all sessions, unlike a code) and
the participant's id or the generation of the host's token, under an HMAC-SHA256 with the deployment's secret. Nothing
is stored: a token is recomputed whenever it has to be given out again.

An instance ends in a mark of the code that its session has, so every token carries the code under its MAC: whoever
shows one is known to have been in the session of that code, without a look-up. Tokens keep their form, so earlier
versions take them; the instances that those have made have no mark.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b32encode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Credential", "TokenSigner"]

Kind = Literal["host", "participant"]
_KINDS: Final[dict[str, Kind]] = {"h": "host", "p": "participant"}
_TOKEN: Final = re.compile(r"([hp])\.([a-z0-9]{1,32})\.([a-z0-9]{1,32})\.([A-Za-z0-9_-]{22})")

# Characters of five bits.
_MARK: Final = 12


@dataclass(frozen=True, slots=True)
class Credential:
    """What a genuine token says. ``subject``: the participant's id, or the generation of the host's token."""

    kind: Kind
    instance: str
    subject: str


class TokenSigner:
    """Makes and checks tokens under a secret, which may not be known from the start; ``former`` ones are still good."""

    def __init__(self, secret: Callable[[], bytes], former: Callable[[], Sequence[bytes]] = tuple) -> None:
        self._secret = secret
        self._former = former

    def instance(self, seed: str, code: str) -> str:
        """The instance of the session that is made under a code; ``seed`` makes it unique."""
        return seed + _mark(self._secret(), seed, code)

    def carries(self, credential: Credential, code: str) -> bool:
        """Whether a genuine token was made for the session of a code, or for an earlier one under that code."""
        seed, mark = credential.instance[:-_MARK], credential.instance[-_MARK:]
        return any(hmac.compare_digest(mark, _mark(secret, seed, code)) for secret in self._known())

    def host(self, instance: str, generation: int) -> str:
        return self._token("h", instance, str(generation))

    def participant(self, instance: str, participant_id: str) -> str:
        return self._token("p", instance, participant_id)

    def verify(self, token: str) -> Credential | None:
        """The credential, or None when the token was made under no secret of this deployment."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        kind, instance, subject, mac = match.groups()
        if not any(hmac.compare_digest(mac, _mac(secret, kind, instance, subject)) for secret in self._known()):
            return None
        return Credential(_KINDS[kind], instance, subject)

    def _token(self, kind: str, instance: str, subject: str) -> str:
        return f"{kind}.{instance}.{subject}.{_mac(self._secret(), kind, instance, subject)}"

    def _known(self) -> Sequence[bytes]:
        return (self._secret(), *self._former())


def _mark(secret: bytes, seed: str, code: str) -> str:
    digest = hmac.digest(secret, f"instance.{seed}.{code}".encode(), hashlib.sha256)
    return b32encode(digest).decode().lower()[:_MARK]


def _mac(secret: bytes, kind: str, instance: str, subject: str) -> str:
    digest = hmac.digest(secret, f"token.{kind}.{instance}.{subject}".encode(), hashlib.sha256)
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
