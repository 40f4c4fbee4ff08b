"""The address at which the other replicas reach this one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Final

__all__ = ["own_address"]

_EVERY_INTERFACE: Final = ("0.0.0.0", "::")  # noqa: S104 - to compare with
# Addresses reserved for documentation (RFC 5737, RFC 3849). No packet is sent to them.
_ELSEWHERE: Final = (("192.0.2.1", 9), ("2001:db8::1", 9))
_LOOPBACK: Final = "127.0.0.1"


async def own_address(given: str | None, bound: str, port: int, towards: Iterable[tuple[str, int]]) -> str:
    """Return ``host:port`` of a port of this replica, for other replicas.

    ``given``: the configured address, ``host`` or ``host:port``. Otherwise the address to which the port is bound is
    used. If that is every interface, it is the interface used to reach ``towards``, hosts that all replicas use.
    """
    if given is not None:
        return given if _has_port(given) else f"{_bracketed(given)}:{port}"
    host = bound if bound not in _EVERY_INTERFACE else await _interface(towards)
    return f"{_bracketed(host)}:{port}"


async def _interface(towards: Iterable[tuple[str, int]]) -> str:
    loop = asyncio.get_running_loop()
    for host, port in (*towards, *_ELSEWHERE):
        try:
            infos = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError:
            continue
        for family, kind, protocol, _, target in infos:
            with socket.socket(family, kind, protocol) as probe:
                try:
                    probe.connect(target)
                except OSError:
                    continue
                return str(probe.getsockname()[0])
    return _LOOPBACK


def _has_port(address: str) -> bool:
    return address.rpartition("]")[2].count(":") == 1


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
