"""The address of a client, seen through the proxies that are trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from app.sessions.admission import Client

__all__ = ["ClientAddresses", "is_address", "subscriber"]

Network = IPv4Network | IPv6Network


class ClientAddresses:
    """Tells who is behind an ASGI scope; ``X-Forwarded-For`` is read only as far as trusted proxies wrote it."""

    def __init__(self, trusted_proxies: Sequence[Network], unlimited: Sequence[Network]) -> None:
        self._trusted = trusted_proxies
        self._unlimited = unlimited

    def client(self, scope: Mapping[str, Any]) -> Client:
        """Whose budgets a request is counted on: those of an IPv4 address, or of an IPv6 network of one subscriber."""
        address = self.address(scope)
        return Client(subscriber(address), unlimited=self.is_unlimited(address))

    def is_unlimited(self, address: str) -> bool:
        """Whether an address is free of all budgets and caps."""
        return _within(address, self._unlimited)

    def address(self, scope: Mapping[str, Any]) -> str:
        """The last address that no trusted proxy has; the peer's own where nobody forwarded the request."""
        peer = scope.get("client")
        address = str(peer[0]) if peer else "unknown"
        if not self._trusted:
            return address
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            if not _within(address, self._trusted):
                break
            if not is_address(hop.strip()):
                break
            address = hop.strip()
        return address


def subscriber(address: str) -> str:
    """What an address counts as. RFC 6177: a subscriber has at least a /64, so single IPv6 addresses cost nothing."""
    if not is_address(address):
        return address
    parsed = ip_address(address)
    if parsed.version == 4:
        return address
    return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _within(address: str, networks: Sequence[Network]) -> bool:
    if not networks or not is_address(address):
        return False
    parsed = ip_address(address)
    if parsed.version == 6 and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)
