"""The ends of sessions: reasons, and codes of close frames."""

from __future__ import annotations

from typing import Final

__all__ = [
    "CLIENT_DISCONNECT",
    "CLIENT_NAMESPACE_DISCONNECT",
    "NORMAL",
    "PING_TIMEOUT",
    "POLICY_VIOLATION",
    "SERVER_DISCONNECT",
    "TOO_BIG",
    "TRANSPORT_CLOSE",
    "TRANSPORT_ERROR",
]

# Reasons that disconnect handlers get, named as in python-socketio.
CLIENT_DISCONNECT: Final = "client disconnect"
# Socket.IO's name for a socket that the client closed for good with its own packet.
CLIENT_NAMESPACE_DISCONNECT: Final = "client namespace disconnect"
SERVER_DISCONNECT: Final = "server disconnect"
PING_TIMEOUT: Final = "ping timeout"
TRANSPORT_CLOSE: Final = "transport close"
TRANSPORT_ERROR: Final = "transport error"

# WebSocket close codes (RFC 6455, section 7.4.1 and the IANA registry).
NORMAL: Final = 1000
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
