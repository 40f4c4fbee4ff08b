"""The demo page where things go wrong: nothing that somebody did or typed is lost, and they are told."""

from __future__ import annotations

import pytest

from tests.harness.chromium import Screen
from tests.harness.people import Api
from tests.harness.proxy import FaultProxy
from tests.harness.service import DIGITS, replicas
from tests.harness.sockets import open_sockets
from tests.web.place import NETWORK, Place, guest_of, host_with_movies
from tests.web.visitor import Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]


async def test_who_was_away_for_too_long_comes_back_with_their_name_and_ratings(place: Place) -> None:
    async with (
        replicas(place.redis.url(), 1, demo=True, grace=1, **DIGITS) as [replica],
        FaultProxy(replica.port) as network,
    ):
        anna, code = await host_with_movies(place, "Alien", url=replica.url)
        bob = await guest_of(place, code, "Bob", url=f"http://127.0.0.1:{network.port}")
        await bob.click(".step:nth-child(5)")
        await anna.sees_text("#ranking", "Alien 100 % 1 of 2 rated")
        await network.refuse()
        network.cut()
        await anna.sees("$$('#people li').length == 1")
        await bob.click("#add-open")
        await bob.write("#add-title", "Solaris")
        await bob.press("Enter")
        await bob.sees_text("#notice", "We'll send this when you're back online.")
        await network.accept()
        await bob.sees_text("#connection", "Connected")
        await anna.sees_text("#people li:nth-child(2)", "Bob")
        await anna.sees_text(".movie:nth-child(2)", "Solaris")
        await bob.sees("$('#add-title').value == '' && $('.movie input:checked').value == '5'")
        assert [error for error in bob.page.errors if not error_of_the_network(error)] == []


async def test_who_created_the_session_is_its_host_again_however_long_they_were_away(place: Place) -> None:
    async with (
        replicas(place.redis.url(), 1, demo=True, grace=1, **DIGITS) as [replica],
        FaultProxy(replica.port) as network,
    ):
        anna, code = await host_with_movies(place, url=f"http://127.0.0.1:{network.port}")
        bob = await guest_of(place, code, "Bob", url=replica.url)
        await network.refuse()
        network.cut()
        await bob.sees("$('#host-open').checkVisibility()")
        await network.accept()
        await anna.sees_text("#connection", "Connected")
        await anna.sees("$('#host-open').checkVisibility() && $$('#people li').length == 2")
        await bob.sees("!$('#host-open').checkVisibility()")
        assert [error for error in anna.page.errors if not error_of_the_network(error)] == []


async def test_in_a_large_session_everybody_is_counted_and_shown_to_who_asks(place: Place) -> None:
    async with replicas(place.redis.url(), 1, demo=True, listed_participants=2, **DIGITS) as [replica]:
        anna, code = await host_with_movies(place, "Alien", url=replica.url)
        async with open_sockets([replica.url], 4) as sockets:
            for number, socket in enumerate(sockets):
                assert (await socket.emit("join-session", code, {"name": f"Guest {number}"}))["ok"]
            await anna.sees_text("#people-count", "5 of 100")
            await anna.sees("$$('#people li').length == 2")
            await anna.click("#people-all")
            await anna.sees("$$('#people li').length == 5")
            await anna.sees_text("#people-all", "Read the list again")
            await anna.click("#people li:nth-child(5) .manage")
            await anna.sees_text("#manage-heading", "Guest 3")
            await anna.click("#manage-kick")
            await anna.sees_text("#people-count", "4 of 100")
            await anna.click("#people-all")
            await anna.sees("$$('#people li').length == 4")
            # Who leaves is said, but not that somebody else is listed instead.
            assert (await sockets[0].emit("leave-session"))["ok"]
            await anna.sees_text("#people-count", "3 of 100")
            assert await anna.read("$('#news').textContent") == ""
        assert anna.page.errors == []


async def test_a_rating_given_while_redis_is_away_is_done_once_when_it_is_back(place: Place) -> None:
    anna, _ = await host_with_movies(place, "Alien")
    place.redis.kill()
    await anna.click(".step:nth-child(4)")
    await anna.click("#add-open")
    await anna.write("#add-title", "Solaris")
    await anna.press("Enter")
    await anna.page.until(lambda: any('"vote"' in frame for frame in anna.page.sent))
    await place.redis.start()
    await anna.sees_text("#ranking", "Alien 75 % 1 rating")
    await anna.sees("$$('.movie').length == 2")
    assert anna.page.errors == []


async def test_two_tabs_are_one_person_and_the_older_one_says_so_where_the_policy_is_one(place: Place) -> None:
    async with replicas(place.redis.url(), 1, demo=True, second_connection="newest", **DIGITS) as started:
        anna, code = await host_with_movies(place, url=started[0].url)
        other = await anna.another_tab(f"{started[0].url}/#{code}")
        await other.click("#join-as button")
        await other.sees_text("#people", "(you)")
        await anna.sees_text("#over-heading", "Opened elsewhere")
        await anna.click("#over-again")
        await anna.sees("$('#host-open').checkVisibility()")
        await anna.sees("$$('#people li').length == 1")
        await other.sees_text("#over-heading", "Opened elsewhere")
        assert anna.page.errors == other.page.errors == []


async def test_what_is_refused_says_why_and_loses_nothing_that_was_typed(place: Place) -> None:
    anna, code = await host_with_movies(place)
    await anna.click("#host-open")
    await anna.click("#host summary")
    await anna.write("#host-capacity", "0")
    await anna.click("#host-save")
    await anna.sees_text("#notice", "apacity")
    assert await anna.read("$('#host-capacity').value") == "0"
    await anna.write("#host-capacity", "1")
    await anna.click("#host-save")
    await anna.sees_text("#people-count", "1 of 1")
    bob = await Visitor.at(place.browser, f"{place.url}/#{code}")
    await bob.write("#join-name", "\u202ebob")
    await bob.press("Enter")
    await bob.sees_text("#join-error", "control characters")
    assert await bob.read("[document.activeElement.id, $('#join-code').ariaInvalid]") == ["join-name", None]
    await bob.write("#join-name", "Bob")
    await bob.press("Enter")
    await bob.sees_text("#join-error", "Session is full")
    assert await bob.read("[$('#join-code').value, $('#join-name').value]") == [code, "Bob"]
    assert await bob.accessibility_problems() == []
    # Who finds no seat may watch.
    await bob.click("#join-watch")
    await bob.sees_text("#tv-people", "1 person")
    await bob.page.go()
    await bob.sees_text("#tv-people", "1 person")
    bob = await guest_without_a_seat(place, code)
    await anna.write("#host-capacity", "2")
    await anna.click("#host-save")
    await anna.click("#host-lock")
    await anna.sees_text("#room-locked", "Locked")
    await bob.press("Enter")
    await bob.sees_text("#join-error", "Session is locked")
    await anna.click("#host-lock")
    await anna.sees("!$('#room-locked').checkVisibility()")
    await anna.press("Escape")
    await bob.press("Enter")
    await bob.sees_text("#people", "Bob (you)")
    # Handed over, and back again; then for good.
    await anna.click("#people li:nth-child(2) .manage")
    await anna.click("#manage-host")
    await bob.sees_text("#notice", "You are the host now.")
    await anna.sees("!$('#host-open').checkVisibility() && document.hasFocus()")
    await bob.click("#people li:nth-child(1) .manage")
    await bob.click("#manage-ban")
    await anna.sees_text("#over-text", "The host removed you")
    assert await anna.read("localStorage.getItem('join-session:identities')") == "[]"
    assert anna.page.errors == bob.page.errors == []


async def test_a_movie_that_goes_takes_no_focus_with_it(place: Place) -> None:
    anna, code = await host_with_movies(place, "Alien", "Solaris")
    bob = await guest_of(place, code, "Bob")
    await bob.read("$('.movie:nth-child(1) input').focus()")
    await anna.click(".movie:nth-child(1) .remove")
    await bob.sees("$$('.movie').length == 1")
    assert await bob.read("document.activeElement.id") == "movies-heading"
    await bob.read("$('#add-open').focus()")
    await anna.click(".step:nth-child(3)")
    await bob.sees_text("#ranking", "Solaris 50 %")
    assert await bob.read("document.activeElement.id") == "add-open"


async def test_everything_can_be_done_without_a_pointer(place: Place) -> None:
    anna = await Visitor.at(place.browser, place.url, Screen(calm=True))
    await anna.press("Tab")
    assert await anna.read("document.activeElement.id") == "skip"
    await anna.press("Enter")
    assert await anna.read("document.activeElement.id") == "main"
    for field in ("join-code", "join-name", "join-button", "create-title", "create-name", "create-button"):
        await anna.press("Tab")
        assert await anna.read("document.activeElement.id") == field
    await anna.press("Enter")
    await anna.sees_text("#people", "(you)")
    assert await anna.read("document.activeElement.id") == "room-heading"
    for field in ("share-open", "host-open", "leave", "share-copy", "share-tv", "add-open"):
        await anna.press("Tab")
        assert await anna.read("document.activeElement.id") == field
    await anna.press("Enter")
    assert await anna.read("document.activeElement.id") == "add-title"
    await anna.write("#add-title", "Alien")
    await anna.press("Tab", "Tab", "Enter")
    await anna.sees_text("#add-there", "Added Alien.")
    await anna.press("Escape")
    await anna.sees_text(".movie", "Alien")
    assert await anna.read("document.activeElement.id") == "add-open"
    await anna.press("Tab")
    assert await anna.read("document.activeElement.id") == "tip-close"
    await anna.press("Enter")
    assert await anna.read("document.activeElement.id") == "movies-heading"
    await anna.press("Tab", "Tab", "Tab", "Tab", "5")
    await anna.sees_text("#ranking", "Alien 100 %")
    await anna.press("0")
    await anna.sees_text("#ranking-empty", "Rate a movie to start the ranking.")
    assert await anna.read("document.activeElement.type") == "radio"
    assert anna.page.errors == []


async def test_the_end_of_the_longest_time_is_announced_and_shown(place: Place) -> None:
    short = {"lifetime": 6, "max_lifetime": 6, "expiry_warning": 5, **DIGITS}
    async with replicas(place.redis.url(), 1, demo=True, **short) as [replica]:
        api = Api([replica])
        made = await api.create(title="Short")
        await api.close()
        anna = await Visitor.at(place.browser, f"{replica.url}/#{made.code}")
        await anna.click("#join-button")
        await anna.sees_text("#expiring", "This session ends at")
        await anna.sees_text("#over-text", "It ran out of time.")
        assert anna.page.errors == []


async def test_a_reload_waits_for_the_service(place: Place) -> None:
    anna, code = await host_with_movies(place)
    await anna.page.command("Network.setBlockedURLs", urls=["*/socket.io/*"])
    await anna.page.go()
    await anna.sees_text("#wait-heading", "Reconnecting")
    await anna.sees_text("#connection", "Offline")
    assert await anna.accessibility_problems() == []
    await anna.click("#wait-cancel")
    await anna.sees_text("#start-heading", "You're invited")
    assert await anna.read("$('#join-code').value") == code
    await anna.sees_text("#join-as", "Continue as Anna")
    await anna.click("#join-as button")
    await anna.sees_text("#wait-heading", "Reconnecting")
    await anna.page.go()
    await anna.sees_text("#wait-heading", "Reconnecting")
    await anna.page.command("Network.setBlockedURLs", urls=[])
    await anna.sees("$('#host-open').checkVisibility()")
    assert [error for error in anna.page.errors if not error_of_the_network(error)] == []


async def test_an_address_that_is_no_link_of_ours_shows_the_start(place: Place) -> None:
    anna = await Visitor.at(place.browser, f"{place.url}/#%E0%A4%A")
    await anna.click("#join-button")
    await anna.sees_text("#join-code-error", "No session with that code")


async def guest_without_a_seat(place: Place, code: str) -> Visitor:
    bob = await Visitor.at(place.browser, f"{place.url}/#{code}")
    await bob.write("#join-name", "Bob")
    await bob.press("Enter")
    await bob.sees_text("#join-error", "Session is full")
    return bob


def error_of_the_network(error: str) -> bool:
    return any(part in error for part in NETWORK)
