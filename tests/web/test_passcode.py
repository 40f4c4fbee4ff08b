"""A passcode at the demo page: newcomers are asked for it once it is required, people of before are not."""

from __future__ import annotations

import pytest

from tests.harness.chromium import Screen
from tests.web.place import Place, guest_of, host_with_movies
from tests.web.visitor import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]


async def test_newcomers_need_the_passcode_and_people_of_before_do_not(place: Place) -> None:
    anna, code = await host_with_movies(place, "Alien")
    bob = await guest_of(place, code, "Bob")
    await anna.click("#host-open")
    await anna.write("#host-passcode", "short")
    await anna.press("Enter")
    await anna.sees_text("#notice", "6")
    await anna.write("#host-passcode", "popcorn")
    await anna.press("Enter")
    await anna.sees_text("#notice", "Newcomers need the passcode now.")
    assert await anna.accessibility_problems() == []
    await bob.page.go()
    await bob.has_text("#people", "Bob (you)")

    cy = await Visitor.at(place.browser, f"{place.url}/#{code}", PHONE)
    assert not await cy.read("$('#join-passcode').checkVisibility()")
    await cy.write("#join-name", "Cy")
    await cy.press("Enter")
    await cy.sees_text("#join-error", "This session has a passcode.")
    assert await cy.read("document.activeElement.id") == "join-passcode"
    assert await cy.accessibility_problems() == []
    await cy.write("#join-passcode", "crisps")
    await cy.press("Enter")
    await cy.sees_text("#join-error", "asscode")
    assert await cy.read("$('#join-name').value") == "Cy"
    await cy.write("#join-passcode", "popcorn")
    await cy.press("Enter")
    await cy.has_text("#people", "Cy (you)")
    assert await cy.read("JSON.stringify({...localStorage, ...sessionStorage}).includes('popcorn')") is False

    screen = await Visitor.at(place.browser, f"{place.url}/#{code}/tv", Screen(1920, 1080))
    await screen.sees_text("#join-error", "This session has a passcode.")
    assert not await screen.read("$('#join-name').checkVisibility()")
    await screen.write("#join-passcode", "popcorn")
    await screen.press("Enter")
    await screen.sees_text("#tv-people", "3 people")
    # A screen of somebody's own browser needs none.
    own = await bob.another_tab(f"{place.url}/#{code}/tv")
    await own.sees_text("#tv-people", "3 people")
    assert own.page.errors == []

    await anna.press("Escape")
    await anna.click("#decide-open")
    await anna.click("#decide-chosen")
    for visitor in (anna, cy):
        await visitor.sees_text("#decision-heading", "Alien")
        assert "Alien" in (await visitor.saved("#decision-table")).text

    await anna.click("#host-open")
    await anna.click("#host-passcode-off")
    await anna.sees_text("#notice", "The passcode is removed.")
    dee = await guest_of(place, code, "Dee", screen=PHONE)
    for visitor in (anna, bob, cy, dee):
        assert visitor.page.errors == []
