"""What a visit of the demo page costs in bytes and round trips."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.web.place import Place, guest_of, host_with_movies
from tests.web.visitor import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]

_FIRST = 60_000
_SECOND = 2_000

# Everything over HTTP, with what heads take: https://w3c.github.io/resource-timing/#dom-performanceresourcetiming-transfersize.
_VISITED = """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .map(({name, transferSize}) => [new URL(name).pathname, transferSize])"""


async def test_a_first_visit_is_light_and_takes_three_round_trips(place: Place) -> None:
    _, code = await host_with_movies(place, "Alien", "Heat")
    guest = await Visitor.at(place.browser, f"{place.url}/#{code}", PHONE)
    await guest.sees_text("#join-preview", "Anna is rating 2 movies")
    visited = await guest.read(_VISITED)
    assert sum(size for _, size in visited) < _FIRST, visited
    # The page, then all that it names, then the session: no file is found only by reading another one.
    async with httpx.AsyncClient(trust_env=False) as client:
        named = set(re.findall(r'"(/[^"]*)"', (await client.get(place.url)).text))
    assert {path for path, _ in visited} <= named | {"/", "/api/session/join"}


async def test_a_second_visit_only_asks_for_the_page(place: Place) -> None:
    _, code = await host_with_movies(place, "Alien")
    guest = await guest_of(place, code, "Bob")
    again = await guest.another_tab(f"{place.url}/#{code}")
    await again.sees_text("#join-as", "Continue as Bob")
    visited = await again.read(_VISITED)
    assert sum(size for _, size in visited) < _SECOND, visited
