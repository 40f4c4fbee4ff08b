"""Whose budgets a request is counted on."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from app.http.addresses import ClientAddresses


def scope(peer: str, *forwarded: str) -> dict[str, Any]:
    return {"client": (peer, 1), "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded]}


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"), ("::ffff:192.0.2.7", "192.0.2.7")],
)
def test_addresses_of_one_subscriber_share_their_budgets(one: str, other: str) -> None:
    addresses = ClientAddresses((), ())
    assert addresses.client(scope(one)).address == addresses.client(scope(other)).address


@pytest.mark.parametrize(
    ("one", "other"), [("2001:db8:1:2::1", "2001:db8:1:3::1"), ("192.0.2.7", "192.0.2.8"), ("unknown", "192.0.2.8")]
)
def test_other_subscribers_have_their_own(one: str, other: str) -> None:
    addresses = ClientAddresses((), ())
    assert addresses.client(scope(one)).address != addresses.client(scope(other)).address


def test_only_what_trusted_proxies_wrote_is_believed() -> None:
    addresses = ClientAddresses((ip_network("10.0.0.0/8"),), ())
    assert addresses.address(scope("10.0.0.1", "203.0.113.9, 198.51.100.4, 10.0.0.2")) == "198.51.100.4"
    assert addresses.address(scope("192.0.2.1", "203.0.113.9")) == "192.0.2.1"
    assert addresses.address(scope("10.0.0.1", "203.0.113.9, not an address")) == "10.0.0.1"


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("203.0.113.9:5678", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_port_of_a_forwarded_address_is_no_part_of_it(entry: str, address: str) -> None:
    addresses = ClientAddresses((ip_network("10.0.0.0/8"),), (ip_network("203.0.113.0/24"),))
    assert addresses.address(scope("10.0.0.1", entry)) == address
    assert addresses.address(scope("10.0.0.1", f"{entry}, 10.0.0.2:80")) == address
    assert addresses.client(scope("10.0.0.1", entry)).unlimited == address.startswith("203.")


@pytest.mark.parametrize("entry", ["203.0.113.9:", ":80", "203.0.113.9:x", "[203.0.113.9", "[]:80", "host:80"])
def test_what_is_no_address_with_a_port_is_not_believed(entry: str) -> None:
    addresses = ClientAddresses((ip_network("10.0.0.0/8"),), ())
    assert addresses.address(scope("10.0.0.1", entry)) == "10.0.0.1"
