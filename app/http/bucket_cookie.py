"""The cookie by which a load balancer brings the people of one session to the same replica."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from app.sessions.errors import SessionError

__all__ = ["BucketCookie", "bucket_header"]


class BucketCookie:
    """A cookie for the browser's session, whose value is one of 4,096 buckets, in three hexadecimal digits.

    Each code belongs to one of them, by an HMAC under a key of the deployment. All replicas compute the same, and
    somebody without the secret learns nothing about the code. The load balancer hashes the value.
    """

    def __init__(self, name: str, secret: Callable[[], bytes], *, same_site: str, secure: bool) -> None:
        self._name = name
        self._secret = secret
        self._attributes = f"Path=/; HttpOnly; SameSite={same_site.title()}" + ("; Secure" if secure else "")

    def of(self, code: str) -> dict[str, str]:
        """Return the header that sets the cookie, nothing while the secret is unknown."""
        try:
            secret = self._secret()
        except SessionError:
            return {}
        return {"set-cookie": f"{self._name}={_bucket(secret, code)}; {self._attributes}"}

    def cleared(self) -> tuple[str, str]:
        """Return the header that removes the cookie."""
        return "set-cookie", f"{self._name}=; Max-Age=0; {self._attributes}"


def bucket_header(cookie: BucketCookie | None, code: str) -> dict[str, str]:
    """Return the header for a session by its code, nothing without a cookie."""
    return {} if cookie is None else cookie.of(code)


def _bucket(secret: bytes, code: str) -> str:
    key = hmac.digest(secret, b"bucket", hashlib.sha256)
    return hmac.digest(key, code.encode(), hashlib.sha256).hex()[:3]
