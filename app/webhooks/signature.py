"""The headers of a webhook as Standard Webhooks has them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

from app.secret_files import signing_key

__all__ = ["signed_headers"]


def signed_headers(event: str, at: int, body: bytes, secrets: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Return the headers of an attempt ``at`` a time (Unix seconds), signed with each of the secrets."""
    content = b"%s.%d." % (event.encode(), at) + body
    signatures = [base64.b64encode(hmac.digest(signing_key(secret), content, "sha256")) for secret in secrets]
    return [
        (b"webhook-id", event.encode()),
        (b"webhook-timestamp", b"%d" % at),
        (b"webhook-signature", b" ".join(b"v1," + signature for signature in signatures)),
    ]
