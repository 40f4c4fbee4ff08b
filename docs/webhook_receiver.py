"""A receiver of webhooks, to run and to copy from; it needs Python and nothing else.

JOIN_SESSION_WEBHOOK_SECRET=... python docs/webhook_receiver.py 8000
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

# An attempt that is older was recorded by somebody else, who sends it again.
TOLERANCE_SECONDS = 300
MAX_BYTES = 1_048_576


def is_genuine(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether one of the signatures is by this secret, and recent."""
    try:
        event, at = headers["webhook-id"], int(headers["webhook-timestamp"])
        signatures = headers["webhook-signature"].split(" ")
    except (KeyError, TypeError, ValueError):
        return False
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    content = f"{event}.{at}.".encode() + body
    ours = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    is_ours = any(hmac.compare_digest(ours.encode(), each.encode()) for each in signatures)
    return is_ours and abs(time.time() - at) < TOLERANCE_SECONDS


class Receiver(BaseHTTPRequestHandler):
    """Prints each event once. A receiver that keeps something remembers the ids where it keeps that."""

    known: ClassVar[set[str]] = set()
    timeout = 10

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length) if length <= MAX_BYTES else b""
        if not is_genuine(self.headers, body, os.environ["JOIN_SESSION_WEBHOOK_SECRET"]):
            self.send_error(401)
            return
        if self.headers["webhook-id"] not in self.known:
            event = json.loads(body)
            sys.stdout.write(f"{event['type']} {json.dumps(event['data'])}\n")
            sys.stdout.flush()
            self.known.add(self.headers["webhook-id"])
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
