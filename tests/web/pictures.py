"""Takes pictures of all views of the page into `.cache/web`, and those in documents: `python -m tests.web.pictures`.

Each view is taken on a desktop and a phone, in light and in dark, and the big screen as well.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.harness.chromium import Screen, chromium
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS, replicas
from tests.web.place import Place, add_movies, guest_of, host_with_movies
from tests.web.visitor import PHONE, SHOTS, Visitor

DOCS: Final = Path(__file__).parent.parent.parent / "docs"
DESKTOP: Final = Screen(1280, 800, calm=True)
TV: Final = Screen(1920, 1080, calm=True)
CALM_PHONE: Final = replace(PHONE, calm=True)

MOVIES: Final = ("Alien (1979)", "Arrival (2016)", "Heat (1995)", "Past Lives (2023)", "Spirited Away (2001)")
RATINGS: Final = {"Anna": (4, 5, 2, 5, 4), "Bo": (5, 4, 1, 5, 3), "Cy": (3, 4, 4, 4, 5)}


async def picture(visitor: Visitor, name: str, screen: Screen) -> None:
    """What is on the screen, in light and in dark."""
    for dark in (False, True):
        await visitor.page.show_on(replace(screen, dark=dark))
        await asyncio.sleep(0.2)
        await save(visitor, SHOTS / f"{name}{'-dark' if dark else ''}.png")
    await visitor.page.show_on(screen)


async def save(visitor: Visitor, file: Path) -> None:
    taken = await visitor.page.command("Page.captureScreenshot")
    await asyncio.to_thread(file.write_bytes, base64.b64decode(taken["data"]))


async def reference(place: Place) -> Visitor:
    """Who reads at `/docs` about rating a movie."""
    visitor = await Visitor.at(place.browser, f"{place.url}/docs#vote", replace(DESKTOP, height=720))
    await visitor.read("document.querySelectorAll('#vote details').forEach((details) => (details.open = true))")
    return visitor


async def rates(visitor: Visitor, ratings: tuple[int, ...]) -> None:
    for number, rating in enumerate(ratings, 1):
        await visitor.click(f".movie:nth-child({number}) .step:nth-child({rating})")


async def main() -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    async with opened_place() as place:
        for name, screen in (("desktop", DESKTOP), ("phone", CALM_PHONE)):
            await picture(await Visitor.at(place.browser, place.url, screen), f"start-{name}", screen)
        anna, code = await host_with_movies(place)
        tv = await Visitor.at(place.browser, f"{place.url}/#{code}/tv", TV)
        bo = await guest_of(place, code, "Bo", screen=CALM_PHONE)
        await anna.sees_text("#lobby-text", "Bo is here.")
        await picture(anna, "lobby-desktop", DESKTOP)
        await picture(bo, "lobby-phone", CALM_PHONE)
        await picture(tv, "lobby-tv", TV)
        await add_movies(anna, *MOVIES)
        invited = await Visitor.at(place.browser, f"{place.url}/#{code}", CALM_PHONE)
        await invited.sees_text("#join-preview", "rating")
        await picture(invited, "invited-phone", CALM_PHONE)
        cy = await guest_of(place, code, "Cy", screen=CALM_PHONE)
        for visitor, name in ((anna, "Anna"), (bo, "Bo"), (cy, "Cy")):
            await rates(visitor, RATINGS[name])
        await tv.sees_text("#tv-progress", "Everyone")
        for visitor in (anna, bo):
            await visitor.read("[$('#notice-close'), $('#tip-close')].forEach((e) => e.click())")
            await visitor.read("(document.activeElement.blur(), scrollTo(0, 0))")
        await picture(anna, "room-desktop", DESKTOP)
        await picture(tv, "room-tv", TV)
        for tab in ("ranking", "people", "rate"):
            await bo.click(f".tabs [data-tab={tab}]")
            await picture(bo, f"{tab}-phone", CALM_PHONE)
        await bo.page.show_on(replace(CALM_PHONE, height=720, scale=1))
        await save(bo, DOCS / "page-phone.png")
        await bo.page.show_on(CALM_PHONE)
        await anna.page.show_on(replace(DESKTOP, height=720))
        await save(anna, DOCS / "page.png")
        await anna.page.show_on(DESKTOP)
        await save(await reference(place), DOCS / "reference.png")
        await bo.click("#cards-toggle")
        await picture(bo, "cards-phone", CALM_PHONE)
        await bo.click("#share-open")
        await bo.sees("$('#share-qr svg')")
        await picture(bo, "share-phone", CALM_PHONE)
        await bo.press("Escape")
        for dialog in ("add", "host", "share"):
            await anna.click(f"#{dialog}-open")
            await picture(anna, f"{dialog}-desktop", DESKTOP)
            await anna.press("Escape")
        await anna.click("#decide-open")
        await picture(anna, "deciding-desktop", DESKTOP)
        await anna.click("#decide-top")
        for visitor, name, screen in ((anna, "desktop", DESKTOP), (bo, "phone", CALM_PHONE), (tv, "tv", TV)):
            await visitor.sees("$('#decision, #tv-decision')")
            await picture(visitor, f"decided-{name}", screen)
        await anna.click("#host-open")
        await anna.click("#host-end")
        await anna.click("#ending-yes")
        await bo.sees_text("#over-heading", "You picked")
        await picture(bo, "over-phone", CALM_PHONE)


@asynccontextmanager
async def opened_place() -> AsyncIterator[Place]:
    async with (
        RedisServer() as redis,
        replicas(redis.url(), 1, demo=True, **DIGITS) as started,
        FaultProxy(started[0].port) as network,
        chromium() as browser,
    ):
        yield Place(browser, redis, started, network)


if __name__ == "__main__":
    asyncio.run(main())
