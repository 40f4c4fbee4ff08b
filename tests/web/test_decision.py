"""From a code to a decision at the demo page: four people, a countdown, lots, the result, and again."""

from __future__ import annotations

import pytest

from tests.harness.chromium import Screen
from tests.harness.service import DIGITS, replicas
from tests.web.place import Place, add_movies, guest_of, host_with_movies
from tests.web.visitor import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]

TV = Screen(1920, 1080)


async def looks_right(visitor: Visitor, name: str) -> None:
    await visitor.shot(name)
    assert await visitor.accessibility_problems() == []
    assert await visitor.sideways_overflow() <= 0
    assert await visitor.small_targets() == []


async def rates(visitor: Visitor, *ratings: int) -> None:
    for number, rating in enumerate(ratings, 1):
        await visitor.click(f".movie:nth-child({number}) .step:nth-child({rating})")


async def test_four_people_come_from_a_link_to_a_decision_and_decide_again(place: Place) -> None:
    async with replicas(place.redis.url(), 2, demo=True, decide_delay=3, **DIGITS) as started:
        url = started[0].url
        anna, code = await host_with_movies(place, url=url)
        tv = await Visitor.at(place.browser, f"{started[1].url}/#{code}/tv", TV)
        await tv.sees_text("#tv-empty", "Add movies on your phone.")
        bob = await guest_of(place, code, "Bob", url=url, screen=PHONE)
        cy = await guest_of(place, code, "Cy", url=started[1].url, screen=PHONE)
        dee = await guest_of(place, code, "Dee", url=url)
        everybody = (anna, bob, cy, dee)
        await anna.sees_text("#lobby-text", "Bob, Cy and Dee are here.")
        await tv.sees_text("#tv-people", "4 people")
        await add_movies(anna, "Alien (1979)", "Heat (1995)", "Solaris (1972)")
        await tv.sees_text("#tv-empty", "3 movies in the list. Rate them on your phone.")
        await looks_right(tv, "20-tv")

        await anna.click("#host-open")
        await anna.choose("#host-when", "all-rated")
        await looks_right(anna, "21-host-controls")
        await anna.press("Escape")
        await rates(anna, 5, 5, 1)
        await rates(bob, 5, 5, 2)
        await rates(dee, 4, 4, 4)
        for visitor in everybody:
            await visitor.has_text("#progress", "3 of 4 have rated everything, waiting for Cy")
        await tv.sees_text("#tv-progress", "3 of 4 have rated everything, waiting for Cy")
        await looks_right(tv, "22-tv-ranking")
        # The last one brings the countdown, and another movie takes it back.
        await rates(cy, 4, 4, 5)
        await anna.sees_text("#countdown", "Everyone has rated. Deciding in 0:0")
        await tv.sees_text("#tv-countdown", "Deciding in 0:0")
        await add_movies(bob, "Alien 3")
        await anna.sees("!$('#countdown').checkVisibility()")
        for visitor in everybody:
            await visitor.click(".movie:nth-child(4) .step:nth-child(2)")

        # Equal movies are drawn by lot, for all alike.
        winners = set()
        for visitor in everybody:
            await visitor.sees_text("#decision-why", "Drawn by lot from 2 movies at 88 %.")
            assert await visitor.read("$$('#decision-tied li').map((e) => e.textContent).join()") == "Alien,Heat"
            winners.add(await visitor.read("$('#decision-heading').textContent"))
            assert await visitor.read("document.activeElement.id") == "decision-heading"
            assert not await visitor.read("$('.movie').checkVisibility()")
        await tv.sees_text("#tv-why", "Drawn by lot")
        winners.add(await tv.read("$('#tv-winner').textContent"))
        assert len(winners) == 1
        await looks_right(anna, "23-decided")
        await looks_right(bob, "24-decided-phone")
        await looks_right(tv, "25-tv-decided")
        table = await bob.saved("#decision-table")
        assert table.name == f"session-{code}.csv"
        assert "Alien" in table.text
        await bob.click(".tabs [data-tab=ranking]")
        await bob.sees_text("#ranking li:nth-child(1)", "Alien (1979) 88 % 4 ratings")

        # Who comes later sees it, too.
        late = await guest_of(place, code, "Late", url=url)
        await late.sees_text("#decision-why", "Drawn by lot from 2 movies")

        await anna.click("#decision-again")
        await looks_right(anna, "26-again")
        await anna.click("[data-again=ratings]")
        for visitor in (*everybody, late):
            await visitor.sees("$('#decision').hidden && $$('.movie').length == 4 && !$('.movie input:checked')")
        # The host decides by name.
        await anna.click("#decide-open")
        await anna.choose("#decide-movie", "Solaris (1972)", by_text=True)
        await looks_right(anna, "27-deciding")
        await anna.click("#decide-chosen")
        for visitor in (anna, dee, late):
            await visitor.sees_text("#decision", "Solaris (1972) Chosen by the host.")
        await anna.click("#host-open")
        await anna.click("#host-end")
        await anna.click("#ending-yes")
        await dee.sees_text("#over-heading", "You picked Solaris (1972)")
        await looks_right(dee, "28-over")
        # It is there after a reload, until one has seen enough of it.
        await dee.page.go()
        await dee.sees_text("#over-heading", "You picked Solaris (1972)")
        await dee.sees_text("#over-ranking", "Alien (1979)")
        await dee.click("#over-start")
        await dee.page.go()
        await dee.sees_text("#start-heading", "Pick a movie together")
        await tv.sees_text("#over-heading", "This session has ended")
        for visitor in (*everybody, late, tv):
            assert visitor.page.errors == []


async def test_the_host_sets_a_time_and_takes_it_back(place: Place) -> None:
    anna, code = await host_with_movies(place, "Alien")
    bob = await guest_of(place, code, "Bob", screen=PHONE)
    await anna.click("#host-open")
    await anna.choose("#host-time", "300")
    await bob.sees_text("#countdown", "Deciding in")
    assert not await bob.read("$('#countdown-stop').checkVisibility()")
    await anna.sees("$('#host-time').selectedOptions[0].textContent.startsWith('At ')")
    await anna.choose("#host-time", "")
    await bob.sees("!$('#countdown').checkVisibility()")
    await anna.choose("#host-time", "60")
    await anna.press("Escape")
    await anna.click("#countdown-stop")
    await bob.sees("!$('#countdown').checkVisibility()")
    # There is nothing to decide yet.
    await anna.click("#decide-open")
    await anna.click("#decide-top")
    await anna.sees_text("#notice", "rating")
    assert anna.page.errors == bob.page.errors == []


async def test_a_hidden_ranking_is_shown_with_the_decision(place: Place) -> None:
    anna, code = await host_with_movies(place, "Alien", "Heat")
    bob = await guest_of(place, code, "Bob", screen=PHONE)
    await anna.click("#host-open")
    await anna.click("#host-reveal")
    await bob.sees_text("#tip-privacy", "the totals are shown after the decision")
    await anna.press("Escape")
    await anna.click(".movie:nth-child(2) .step:nth-child(5)")
    await bob.click(".movie:nth-child(2) .step:nth-child(4)")
    await anna.sees_text("#people li:nth-child(1)", "1 of 2 rated")
    await anna.sees_text("#people li:nth-child(2)", "1 of 2 rated")
    await anna.sees_text("#ranking-empty", "The ranking is hidden until the decision.")
    await bob.sees_text("#leaders", "The ranking is hidden until the decision.")
    await anna.click("#decide-open")
    await anna.click("#decide-top")
    await bob.sees_text("#decision", "Heat The top of the ranking at 88 %.")
    await anna.sees_text("#ranking", "Heat 88 % 2 ratings")
    assert anna.page.errors == bob.page.errors == []


async def test_the_result_is_copied_where_nothing_can_be_shared(place: Place) -> None:
    anna, _ = await host_with_movies(place, "Alien (1979)", "Heat (1995)")
    await rates(anna, 5, 4)
    await anna.sees_text("#ranking", "Heat (1995) 75 %")
    await anna.click("#decide-open")
    await anna.click("#decide-top")
    # As on a page that came by plain HTTP: no clipboard, only the old command.
    await anna.read("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    await anna.read("(document.execCommand = () => ((window.copied = document.activeElement.value), true))")
    await anna.click("#decision-share")
    await anna.sees_text("#notice", "Copied.")
    assert await anna.read("window.copied") == (
        "Friday: we're watching Alien (1979). The top of the ranking at 100\u00a0%. Then: Heat (1995) 75\u00a0%."
    )
