"""How a replica knows that a request was passed on by another one of its deployment."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

__all__ = ["CLIENT", "SIGNATURE", "RequestSigner"]

CLIENT: Final = b"join-session-client"
SIGNATURE: Final = b"join-session-signature"

# Longer than a connection to a busy replica takes, and than the difference of two replicas' ideas of Redis's clock.
_VALIDITY_MILLISECONDS: Final = 10_000
_SIGNATURE: Final = re.compile(r"(\d{1,15})\.([0-9a-f]{64})")


class RequestSigner:
    """Signs requests that are passed on, and checks them, under a secret that all replicas have.

    The signature is an HMAC-SHA256 over the time, the replica that the request is for, method, query and the client's
    address. ``now`` is a clock that replicas share, in milliseconds. ``former`` secrets are still good.
    """

    def __init__(
        self, secret: Callable[[], bytes], now: Callable[[], int], former: Callable[[], Sequence[bytes]] = tuple
    ) -> None:
        self._secret = secret
        self._now = now
        self._former = former

    def sign(self, replica: str, method: str, query: bytes, client: str) -> list[tuple[bytes, bytes]]:
        """Return the headers that sign a request to ``replica``; raises ``SessionError`` while there is no secret."""
        time = str(self._now())
        signature = f"{time}.{_mac(self._secret(), time, replica, method, query, client)}"
        return [(CLIENT, client.encode("latin-1")), (SIGNATURE, signature.encode())]

    def verify(self, replica: str, method: str, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Return the address of the client that a request to ``replica`` comes from, None without a valid signature."""
        given = dict(headers)
        client = given.get(CLIENT, b"").decode("latin-1")
        match = _SIGNATURE.fullmatch(given.get(SIGNATURE, b"").decode("latin-1"))
        if match is None:
            return None
        time, mac = match.groups()
        known = (self._secret(), *self._former())
        if not any(hmac.compare_digest(mac, _mac(secret, time, replica, method, query, client)) for secret in known):
            return None
        return client if abs(self._now() - int(time)) <= _VALIDITY_MILLISECONDS else None


def _mac(secret: bytes, time: str, replica: str, method: str, query: bytes, client: str) -> str:
    # None of the parts before the query can hold a space.
    text = f"forwarded {time} {replica} {method} ".encode() + query + b" " + client.encode("latin-1")
    return hmac.new(secret, text, hashlib.sha256).hexdigest()
