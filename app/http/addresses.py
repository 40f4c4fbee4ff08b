"""The address of a client behind trusted proxies, and the key under which it is counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

from app.sessions.admission import Client

__all__ = ["AddressCap", "ClientAddresses", "is_address", "subscriber"]

Network = IPv4Network | IPv6Network

# Some proxies add a port in `X-Forwarded-For`, and then brackets around IPv6 addresses.
_WITH_PORT: Final = re.compile(r"(\d+\.\d+\.\d+\.\d+):\d+|\[([^\]]*)\](?::\d+)?")


class ClientAddresses:
    """Determines the client of an ASGI scope; ``X-Forwarded-For`` is used as far as trusted proxies wrote it."""

    def __init__(self, trusted_proxies: Sequence[Network], unlimited: Sequence[Network]) -> None:
        self._trusted = trusted_proxies
        self._unlimited = unlimited

    def client(self, scope: Mapping[str, Any]) -> Client:
        """Return the client whose rate limits apply to a request."""
        return self.client_of(self.address(scope))

    def client_of(self, address: str) -> Client:
        """Return the client at an address."""
        return Client(subscriber(address), unlimited=self.is_unlimited(address))

    def is_unlimited(self, address: str) -> bool:
        """Return whether no limits apply to an address."""
        return _within(address, self._unlimited)

    def is_trusted(self, address: str) -> bool:
        """Return whether an address is a trusted proxy, which has many clients."""
        return _within(address, self._trusted)

    def is_exempt(self, address: str) -> bool:
        """Return whether an address may have any number of TCP connections."""
        return self.is_unlimited(address) or self.is_trusted(address)

    def address(self, scope: Mapping[str, Any]) -> str:
        """Return the last address that is not a trusted proxy, or the peer's if nothing was forwarded."""
        peer = scope.get("client")
        address = str(peer[0]) if peer else "unknown"
        if not self._trusted:
            return address
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        for entry in reversed(forwarded.decode("latin-1").split(",")):
            if not self.is_trusted(address):
                break
            forwarder = _without_port(entry.strip())
            if not is_address(forwarder):
                break
            address = forwarder
        return address


class AddressCap:
    """Counts something by address, up to ``most`` each; ``exempt`` addresses have no limit."""

    def __init__(self, most: int, exempt: Callable[[str], bool]) -> None:
        self._most = most
        self._exempt = exempt
        self._counts: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count one more; return False over the limit."""
        key = subscriber(address)
        # Reading a missing key does not add it to a Counter.
        if self._counts[key] >= self._most and not self._exempt(address):
            return False
        self._counts[key] += 1
        return True

    def leave(self, address: str) -> None:
        """Count one less."""
        key = subscriber(address)
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]


def subscriber(address: str) -> str:
    """Return the key under which an address is counted: itself, or the network of an IPv6 address.

    RFC 6177: a subscriber has at least a /64, so single IPv6 addresses are free.
    """
    if ":" not in address or not is_address(address):
        return address
    parsed = IPv6Address(address)
    return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))


def is_address(text: str) -> bool:
    """Return whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _without_port(entry: str) -> str:
    found = _WITH_PORT.fullmatch(entry)
    return entry if found is None else found[1] or found[2]


def _within(address: str, networks: Sequence[Network]) -> bool:
    parsed = _parsed(address) if networks else None
    return parsed is not None and any(parsed in network for network in networks)


# Requests ask for the same few addresses of clients and proxies.
@lru_cache(maxsize=4096)
def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """Parse an address, also IPv4 written as IPv6; None if it is not one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return (parsed.ipv4_mapped if parsed.version == 6 else None) or parsed
