"""What ``serve`` prints with an embedded Redis: its addresses, a session that waits, and a QR code of it for phones."""

from __future__ import annotations

import ipaddress
import sys

from app.replica.own_address import own_address

__all__ = ["welcome"]


async def welcome(host: str, port: int, code: str, *, demo: bool) -> None:
    """Print how to use the service that listens on ``host`` and ``port``."""
    address = f"http://localhost:{port}"
    body = f"""'{{"sessionID":"{code}"}}'"""
    print(f"\nReady: {address}\nSession {code} waits for you:\n")
    print(f"  curl -X POST {address}/api/session/join -d {body}\n")
    if demo:
        print(f"Open {address}/#{code} in two browsers\n")
        await _invite_phones(host, port, code)
    sys.stdout.flush()


async def _invite_phones(host: str, port: int, code: str) -> None:
    reached = await own_address(None, host, port, ())
    if _is_loopback(reached.rpartition(":")[0].strip("[]")):
        return
    link = f"http://{reached}/#{code}"
    print(f"On a phone in the same network: {link}\n")
    if sys.stdout.isatty():
        _draw(link)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _draw(link: str) -> None:
    try:
        import segno
    except ModuleNotFoundError:
        # It comes with the extra `embedded`; a Valkey of the system does without.
        return
    segno.make(link, error="l", micro=False).terminal(compact=True, border=2)
    print()
