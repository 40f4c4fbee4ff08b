"""The address that a replica tells the others."""

from __future__ import annotations

import socket

import pytest

from app.replica.own_address import own_address

EVERYWHERE = "0.0.0.0"
REDIS = ("127.0.0.1", 6379)


@pytest.mark.parametrize(
    ("given", "bound", "told"),
    [
        ("replica-1.example", EVERYWHERE, "replica-1.example:9090"),
        ("replica-1.example:8000", EVERYWHERE, "replica-1.example:8000"),
        ("192.0.2.7", EVERYWHERE, "192.0.2.7:9090"),
        ("192.0.2.7:8000", "127.0.0.1", "192.0.2.7:8000"),
        ("2001:db8::7", EVERYWHERE, "[2001:db8::7]:9090"),
        ("[2001:db8::7]", EVERYWHERE, "[2001:db8::7]:9090"),
        ("[2001:db8::7]:8000", EVERYWHERE, "[2001:db8::7]:8000"),
        (None, "192.0.2.7", "192.0.2.7:9090"),
        (None, "::1", "[::1]:9090"),
        (None, EVERYWHERE, "127.0.0.1:9090"),
        (None, "::", "127.0.0.1:9090"),
    ],
)
async def test_an_address_is_given_or_bound_or_the_one_from_which_redis_is_reached(
    given: str | None, bound: str, told: str
) -> None:
    assert await own_address(given, bound, 9090, [REDIS]) == told


async def test_without_a_redis_on_the_network_some_interface_is_told() -> None:
    host, _, port = (await own_address(None, EVERYWHERE, 9090, [])).rpartition(":")
    assert port == "9090"
    with socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET) as listener:
        listener.bind((host.strip("[]"), 0))


async def test_a_redis_whose_name_is_unknown_is_passed_over() -> None:
    nowhere = ("redis.invalid", 6379)
    assert await own_address(None, EVERYWHERE, 9090, [nowhere, REDIS]) == "127.0.0.1:9090"
