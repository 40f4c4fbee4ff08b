"""Rating at the demo page: one after the other, with swipes and keys, and with posters where the deployment allows."""

from __future__ import annotations

import pytest

from tests.harness.chromium import Screen
from tests.harness.people import Api
from tests.harness.service import DIGITS, replicas
from tests.web.place import Place, guest_of, host_with_movies
from tests.web.visitor import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]


async def test_movies_are_rated_one_by_one_with_swipes(place: Place) -> None:
    anna, code = await host_with_movies(place, "Alien", "Heat", "Solaris")
    bob = await guest_of(place, code, "Bob", screen=PHONE)
    await bob.click("#cards-toggle")
    await bob.sees_text("#card-position", "1 of 3")
    assert await bob.read("$$('.movie').filter((e) => e.checkVisibility()).length") == 1
    assert await bob.accessibility_problems() == []
    assert await bob.small_targets() == []
    await bob.swipe(".movie.current h3", 120)
    await anna.sees_text("#ranking", "Alien 75 %")
    await bob.sees_text("#card-position", "2 of 3")
    await bob.swipe(".movie.current h3", -120)
    await anna.sees_text("#ranking", "Heat 25 %")
    await bob.sees_text("#card-position", "3 of 3")
    # Not far enough.
    await bob.swipe(".movie.current h3", 40)
    await bob.swipe(".movie.current h3", 220)
    await anna.sees_text("#ranking", "Solaris 100 %")
    await bob.sees("!$('#tab-rate-count').checkVisibility()")
    # A tap right after a swipe would only stop its fling.
    await bob.read("$('#card-previous').click()")
    await bob.sees_text(".movie.current h3", "Heat")
    # The mode is kept.
    await bob.page.go()
    await bob.sees_text("#card-position", "of 3")
    assert bob.page.errors == []


async def test_movies_are_rated_one_by_one_with_keys(place: Place) -> None:
    anna, _ = await host_with_movies(place, "Alien", "Heat")
    await anna.click("#cards-toggle")
    await anna.press("5")
    await anna.sees_text("#ranking", "Alien 100 %")
    await anna.sees_text("#card-position", "2 of 2")
    await anna.press("2")
    await anna.sees_text("#ranking", "Heat 25 %")
    await anna.read("document.activeElement.blur()")
    await anna.press("ArrowLeft")
    await anna.sees_text("#card-position", "1 of 2")


async def test_a_rating_is_in_view_without_scrolling_and_so_is_the_top_of_the_ranking(place: Place) -> None:
    anna, code = await host_with_movies(place, *(f"Movie {number}" for number in range(1, 31)))
    await anna.click(".movie:nth-child(1) .step:nth-child(5)")
    bob = await guest_of(place, code, "Bob", screen=Screen(360, 640, 2, phone=True))
    await bob.sees_text("#leaders", "Movie 1 100 %")
    place_of = "[$('.step').getBoundingClientRect().bottom, $('.tabs').getBoundingClientRect().top]"
    rating, tabs = await bob.read(place_of)
    assert rating < tabs
    await bob.read("$('.movie:nth-child(30)').scrollIntoView()")
    assert await bob.read("$('#leaders').getBoundingClientRect().top >= 0")
    # On a wide screen ranking and people stay in view, each with its own scroll bar.
    await anna.read("scrollTo(0, document.body.scrollHeight)")
    for card in ("#ranking-card", "#people-card"):
        top, bottom = await anna.read(f"(({{top, bottom}}) => [top, bottom])($('{card}').getBoundingClientRect())")
        assert 0 <= top < bottom <= 900
    assert await anna.accessibility_problems() == []


async def test_posters_come_from_the_hosts_of_the_deployment_only(place: Place) -> None:
    hosts = {"image_hosts": "posters.example"}
    async with replicas(place.redis.url(), 1, demo=True, **hosts, **DIGITS) as [replica]:
        api = Api([replica])
        made = await api.create(
            movies=[
                {"id": "1", "title": "Alien", "posterUrl": "https://posters.example/alien.jpg"},
                {"id": "2", "title": "Heat", "posterUrl": "https://elsewhere.example/heat.jpg"},
            ]
        )
        await api.close()
        anna = await Visitor.at(place.browser, f"{replica.url}/#{made.code}")
        await anna.read(
            """new MutationObserver(() => {
                for (const image of $$(".movies img, #movies img")) window.seen = [image.src, image.referrerPolicy];
            }).observe(document.body, {subtree: true, childList: true})"""
        )
        await anna.click("#join-button")
        await anna.sees("$$('.movie').length == 2")
        await anna.sees("window.seen?.join() == 'https://posters.example/alien.jpg,no-referrer'")
        # Nobody is at that address: the letter stands for it.
        await anna.sees("$$('.movie .tile').length == 2")
        assert not any("elsewhere" in error or "violated" in error for error in anna.page.errors)
