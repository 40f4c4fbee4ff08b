"""Signatures that prove that a request was forwarded by another replica of the deployment."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

__all__ = ["CLIENT", "SIGNATURE", "RequestSigner"]

CLIENT: Final = b"join-session-client"
SIGNATURE: Final = b"join-session-signature"

# Longer than connecting to a busy replica takes, plus the difference between two replicas' estimates of Redis's clock.
_VALIDITY_MILLISECONDS: Final = 10_000
_SIGNATURE: Final = re.compile(r"(\d{1,15})\.([0-9a-f]{64})")


class RequestSigner:
    """Signs and verifies forwarded requests with a secret that all replicas share.

    The signature is an HMAC-SHA256 over the time, the receiving replica, the method, the query and the client's
    address. ``now`` is a clock in milliseconds that the replicas share. Signatures with one of the ``others``
    are valid, too.
    """

    def __init__(
        self, secret: Callable[[], bytes], now: Callable[[], int], others: Callable[[], Sequence[bytes]] = tuple
    ) -> None:
        self._secret = secret
        self._now = now
        self._others = others

    def sign(self, replica: str, method: str, query: bytes, client: str) -> list[tuple[bytes, bytes]]:
        """Return the headers that sign a request to ``replica``; raises ``SessionError`` without a secret."""
        time = str(self._now())
        signature = f"{time}.{_mac(self._secret(), time, replica, method, query, client)}"
        return [(CLIENT, client.encode("latin-1")), (SIGNATURE, signature.encode())]

    def verify(self, replica: str, method: str, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Return the client's address of a request to ``replica``, None without a valid signature."""
        given = dict(headers)
        client = given.get(CLIENT, b"").decode("latin-1")
        match = _SIGNATURE.fullmatch(given.get(SIGNATURE, b"").decode("latin-1"))
        if match is None:
            return None
        time, mac = match.groups()
        known = (self._secret(), *self._others())
        if not any(hmac.compare_digest(mac, _mac(secret, time, replica, method, query, client)) for secret in known):
            return None
        return client if abs(self._now() - int(time)) <= _VALIDITY_MILLISECONDS else None


def _mac(secret: bytes, time: str, replica: str, method: str, query: bytes, client: str) -> str:
    # No part before the query can contain a space, so the text is unambiguous.
    text = f"forwarded {time} {replica} {method} ".encode() + query + b" " + client.encode("latin-1")
    return hmac.new(secret, text, hashlib.sha256).hexdigest()
