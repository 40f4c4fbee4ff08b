"""Tokens, which prove a participant's or host's identity in one session.

A token is ``<kind>.<instance>.<subject>.<mac>``: the session's instance (unlike the code, unique forever) and the
participant's id or the generation of the host token, with an HMAC-SHA256 under the deployment's secret. Tokens are not
stored: they are computed again when they are needed.

An instance ends with a hash of the session's code. A token therefore proves, without a look-up, that its holder knew
that code. The form of tokens is unchanged, so earlier versions accept them. Instances created by earlier versions lack
the hash.
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

Kind = Literal["host", "participant", "observer"]
_KINDS: Final[dict[str, Kind]] = {"h": "host", "p": "participant"}
_TOKEN: Final = re.compile(r"([hp])\.([a-z0-9]{1,32})\.([a-z0-9]{1,32})\.([A-Za-z0-9_-]{22})")

# The length of the hash of a code, in characters of five bits.
_MARK: Final = 12


@dataclass(frozen=True, slots=True)
class Credential:
    """The content of a valid token. ``subject``: the participant's id, or the generation of the host token.

    Observers have a credential, but no token.
    """

    kind: Kind
    instance: str
    subject: str


class TokenSigner:
    """Signs and verifies tokens. The secret may change; tokens of the ``others`` are valid, too."""

    def __init__(self, secret: Callable[[], bytes], others: Callable[[], Sequence[bytes]] = tuple) -> None:
        self._secret = secret
        self._others = others

    def instance(self, seed: str, code: str) -> str:
        """Return the instance of a new session under a code; ``seed`` makes it unique."""
        return seed + _mark(self._secret(), seed, code)

    def carries(self, credential: Credential, code: str) -> bool:
        """Return whether a token was made for a session with this code, the current or an earlier one."""
        seed, mark = credential.instance[:-_MARK], credential.instance[-_MARK:]
        return any(hmac.compare_digest(mark, _mark(secret, seed, code)) for secret in self._known())

    def digests(self, text: str) -> list[str]:
        """Return what tells whether a text is the same again but not which it is: of the current secret, and others."""
        return [hmac.digest(secret, f"digest.{text}".encode(), hashlib.sha256).hex() for secret in self._known()]

    def host(self, instance: str, generation: int) -> str:
        return self._token("h", instance, str(generation))

    def participant(self, instance: str, participant_id: str) -> str:
        return self._token("p", instance, participant_id)

    def verify(self, token: str) -> Credential | None:
        """Return the credential, None if no secret of the deployment signed the token."""
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
        return (self._secret(), *self._others())


def _mark(secret: bytes, seed: str, code: str) -> str:
    digest = hmac.digest(secret, f"instance.{seed}.{code}".encode(), hashlib.sha256)
    return b32encode(digest).decode().lower()[:_MARK]


def _mac(secret: bytes, kind: str, instance: str, subject: str) -> str:
    digest = hmac.digest(secret, f"token.{kind}.{instance}.{subject}".encode(), hashlib.sha256)
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
