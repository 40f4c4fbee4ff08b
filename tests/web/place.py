"""Where the people of these tests meet: a service, a browser, and a network that can be broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.harness.chromium import Browser, Screen
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.service import Replica
from tests.web.visitor import DESKTOP, Visitor

__all__ = ["NETWORK", "Place", "add_movies", "guest_of", "host_with_movies"]

# Nothing of the page itself: what the browser says of a network that is not there.
NETWORK: Final = ("net::ERR_", "WebSocket connection to")


@dataclass(frozen=True)
class Place:
    """A browser and a service; `proxied` is the address of the second replica by a network that can be broken."""

    browser: Browser
    redis: RedisServer
    replicas: list[Replica]
    network: FaultProxy

    @property
    def url(self) -> str:
        return self.replicas[0].url

    @property
    def proxied(self) -> str:
        return f"http://127.0.0.1:{self.network.port}"


async def host_with_movies(place: Place, *movies: str, url: str | None = None) -> tuple[Visitor, str]:
    """Somebody who has created a session; its code."""
    host = await Visitor.at(place.browser, url or place.url)
    await host.write("#create-title", "Friday")
    await host.write("#create-name", "Anna")
    await host.press("Enter")
    await host.sees_text("#room-heading", "Friday")
    if movies:
        await add_movies(host, *movies)
        await host.sees(f"$$('.movie').length == {len(movies)}")
    code: str = await host.read("location.hash.slice(1)")
    return host, code


async def add_movies(visitor: Visitor, *movies: str) -> None:
    """Adds movies in the dialog, and closes it when they are there."""
    await visitor.click("#add-open")
    await visitor.write("#add-title", "\n".join(movies))
    await visitor.press("Enter")
    await visitor.sees_text("#add-there", "Added")
    await visitor.press("Escape")


async def guest_of(place: Place, code: str, name: str, *, url: str | None = None, screen: Screen = DESKTOP) -> Visitor:
    """Somebody who came by the link."""
    guest = await Visitor.at(place.browser, f"{url or place.url}/#{code}", screen)
    await guest.sees_text("#start-heading", "You're invited")
    await guest.write("#join-name", name)
    await guest.press("Enter")
    await guest.has_text("#people", f"{name} (you)")
    return guest
