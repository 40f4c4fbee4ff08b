"""The demo page, as three people use it: two at desks and one on a phone, each with a browser of their own."""

from __future__ import annotations

import pytest

from tests.harness.chromium import Screen
from tests.web.place import NETWORK, Place, guest_of, host_with_movies
from tests.web.visitor import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]


async def looks_right(visitor: Visitor, name: str) -> None:
    """Takes a picture; nobody is shut out, nothing sticks out, fingers find everything."""
    await visitor.shot(name)
    assert await visitor.accessibility_problems() == []
    assert await visitor.sideways_overflow() <= 0
    assert await visitor.small_targets() == []


async def test_the_whole_story(place: Place) -> None:
    anna, code = await host_with_movies(place)
    await looks_right(anna, "1-new-session")
    # The second one types the code, the third one follows the link on a phone.
    bob = await Visitor.at(place.browser, place.proxied)
    await looks_right(bob, "2-start")
    await bob.write("#join-code", "999999" if code != "999999" else "999998")
    await bob.write("#join-name", "Bob")
    await bob.click("#join-button")
    await bob.sees_text("#join-code-error", "No session with that code")
    assert await bob.read("$('#join-name').value") == "Bob"
    await looks_right(bob, "3-wrong-code")
    bob.page.errors.clear()  # The browser reports each 404.
    await bob.write("#join-code", code)
    await bob.press("Enter")
    await bob.sees_text("#people", "Bob (you)")
    hostile = "<img src=x onerror=alert(1)>"
    cleo = await guest_of(place, code, hostile, screen=PHONE)
    everybody = (anna, bob, cleo)
    for visitor in everybody:
        await visitor.sees("$$('#people li').length == 3")
        await visitor.has_text("#people li:nth-child(1)", "Host")
        await visitor.has_text("#people li:nth-child(3)", hostile)
        await visitor.has_text("#connection", "Connected")
    await anna.sees("$('#news').textContent.includes('joined')")

    await looks_right(cleo, "4-lobby-phone")
    await anna.click("#add-open")
    await anna.write("#add-title", "Alien (1979)\nArrival (2016)\n</li><script>alert(1)</script>")
    await anna.sees_text("#add-button", "Add 3")
    await looks_right(anna, "5-add")
    await anna.press("Enter")
    await anna.sees_text("#add-there", "Added 3 movies.")
    await anna.press("Escape")
    await bob.sees("$$('.movie').length == 3")
    await bob.click("#add-open")
    await bob.write("#add-title", "alien")
    await bob.sees_text("#add-there", "Already in the list: Alien (1979)")
    await bob.write("#add-title", "Solaris")
    await bob.sees("$('#add-there').textContent == ''")
    await bob.write("#add-year", "1492")
    await bob.click("#add-button")
    await bob.sees_text("#add-error", "Year must be")
    assert await bob.read("[$('#add-title').value, $('#add-year').value]") == ["Solaris", "1492"]
    await bob.write("#add-year", "1972")
    await bob.press("Enter")
    await bob.sees_text("#add-there", "Added Solaris (1972).")
    await bob.press("Escape")
    for visitor in everybody:
        await visitor.sees_text(".movie:nth-child(4) h3", "Solaris 1972")
        await visitor.sees_text(".movie:nth-child(3) h3", "</li><script>alert(1)</script>")

    # By keyboard with arrows and digits, by pointer, by finger.
    await anna.read("$('.movie:nth-child(1) input').focus()")
    await anna.press("ArrowRight", "ArrowRight", "ArrowRight")
    await bob.read("$('.movie:nth-child(1) input').focus()")
    await bob.press("5")
    await bob.click(".movie:nth-child(2) .step:nth-child(5)")
    await cleo.click(".movie:nth-child(1) .step:nth-child(4)")
    for visitor in everybody:
        await visitor.has_text("#ranking li:nth-child(1)", "Arrival (2016)100 %1 of 3 rated")
        await visitor.has_text("#ranking li:nth-child(2)", "Alien (1979)83 %3 ratings")
    await cleo.sees_text("#leaders", "Arrival 100 % 2 Alien 83 %")
    assert await anna.read("document.activeElement.value") == "4"
    await cleo.click(".movie:nth-child(2) .step:nth-child(1)")
    for visitor in everybody:
        await visitor.has_text("#ranking li:nth-child(1)", "Alien (1979)83 %3 ratings")
        await visitor.has_text("#ranking", "Arrival (2016)9 %2 of 3 rated, 1 veto")
    await cleo.sees_text("#notice", "A veto sinks a movie")
    await cleo.click("#tip-close")
    await cleo.sees("!$('#tip').checkVisibility()")
    await looks_right(anna, "6-host")
    await looks_right(bob, "7-guest")
    await looks_right(cleo, "8-phone-rate")
    for tab in ("ranking", "people", "rate"):
        await cleo.click(f".tabs [data-tab={tab}]")
        await looks_right(cleo, f"8-phone-{tab}")
    await anna.read("$$('details').forEach((e) => e.open = true)")
    await anna.page.show_on(Screen(dark=True))
    await anna.shot("9-dark")
    await cleo.page.show_on(Screen(320, 640, 2, phone=True, dark=True))
    await cleo.shot("10-narrow-dark")
    assert await cleo.sideways_overflow() <= 0
    assert await cleo.small_targets() == []
    await cleo.page.show_on(PHONE)

    # Ratings can be taken back, by keyboard and by pointer.
    await bob.read("$('.movie:nth-child(2) input:checked').focus()")
    await bob.press("Delete")
    await anna.sees_text("#ranking li:nth-child(4)", "Arrival (2016) 0 % 1 of 3 rated, 1 veto")
    await anna.click(".movie:nth-child(1) .clear")
    await bob.sees_text("#ranking li:nth-child(1)", "Alien (1979) 88 % 2 of 3 rated")
    assert await anna.read("$('.movie:nth-child(1)').contains(document.activeElement)")

    # A reload is the same person with the same ratings.
    await cleo.page.go()
    await cleo.has_text("#people li:nth-child(3)", f"{hostile} (you)")
    await cleo.sees("$('.movie:nth-child(2) input:checked')?.value == '1'")
    await anna.sees("$$('#people li').length == 3 && $$('#people .away').length == 0")

    for visitor in everybody:
        assert visitor.page.errors == []

    # A dropped connection.
    await place.network.refuse()
    place.network.cut()
    await bob.sees("['reconnecting', 'offline'].includes($('#connection').dataset.state)")
    await anna.sees_text("#people li:nth-child(2)", "Away")
    await cleo.has_text("#people li:nth-child(2)", "Away")
    await bob.click(".movie:nth-child(4) .step:nth-child(2)")
    await bob.click(".movie:nth-child(4) .step:nth-child(4)")
    await bob.sees_text(".movie:nth-child(4)", "Not sent yet")
    await bob.sees_text("#connection", "Offline")
    await looks_right(bob, "11-offline")
    await place.network.accept()
    await bob.sees_text("#connection", "Connected")
    for visitor in everybody:
        await visitor.has_text("#ranking", "Solaris (1972)75 %1 of 3 rated")
        await visitor.sees("$$('#people .away').length == 0")
    await bob.sees("!$$('.unsent').some((e) => e.checkVisibility())")
    assert await bob.read("$('.movie:nth-child(4) input:checked').value") == "4"
    assert [error for error in bob.page.errors if not any(part in error for part in NETWORK)] == []
    bob.page.errors.clear()

    # The host sets things, removes somebody, and goes.
    await anna.click("#host-open")
    await anna.write("#host-title", "Saturday")
    await anna.write("#host-capacity", "2")
    await looks_right(anna, "12-host-controls")
    await anna.click("#host-save")
    await bob.sees_text("#room-heading", "Saturday")
    await bob.sees_text("#people-count", "3 of 2")
    await anna.click("#host-lock")
    await bob.sees_text("#room-locked", "Locked")
    await anna.press("Escape")
    await anna.click("#people li:nth-child(3) .manage")
    await anna.sees_text("#manage-heading", hostile)
    await looks_right(anna, "13-manage")
    await anna.click("#manage-kick")
    await cleo.sees_text("#over-heading", "You are out of this session")
    await cleo.sees_text("#connection", "Removed")
    await looks_right(cleo, "14-removed")
    await bob.sees("$$('#people li').length == 2")
    assert not await bob.read("$('#host-open').checkVisibility()")
    await anna.click("#leave")
    await anna.sees_text("#start-heading", "Pick a movie together")
    await anna.sees_text("#notice", "You left Saturday.")
    await bob.sees("$$('#people li').length == 1")
    await bob.sees_text("#people li:nth-child(1)", "Bob (you) Host")
    await bob.click("#host-open")
    await bob.click("#host-end")
    await looks_right(bob, "15-ending")
    await bob.click("#ending-yes")
    await bob.sees_text("#over-heading", "This session has ended")
    await bob.sees_text("#over-text", "The host ended it for everyone.")
    await looks_right(bob, "16-ended")
    await bob.click("#over-start")
    await bob.sees_text("#start-heading", "Pick a movie together")
    for visitor in everybody:
        assert visitor.page.errors == []
