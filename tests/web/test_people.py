"""Who somebody is at the demo page: one browser is one person, until they say otherwise."""

from __future__ import annotations

import pytest

from tests.web.place import NETWORK, Place, add_movies, guest_of, host_with_movies
from tests.web.visitor import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]


async def test_who_opens_the_link_three_times_is_one_participant(place: Place) -> None:
    anna, code = await host_with_movies(place, "Alien")
    bob = await guest_of(place, code, "Bob", screen=PHONE)
    await bob.click(".step:nth-child(5)")
    await anna.sees_text("#ranking", "Alien 100 %")
    tabs = [bob]
    for _ in range(2):
        tab = await bob.another_tab(f"{place.url}/#{code}")
        await tab.sees_text("#join-preview", "Anna and Bob are rating 1 movie")
        await tab.sees_text("#join-as", "Continue as Bob")
        assert await tab.accessibility_problems() == []
        await tab.click("#join-as button")
        await tab.has_text("#people", "Bob (you)")
        await tab.sees("$('.movie input:checked')?.value == '5'")
        tabs.append(tab)
    await anna.sees("$$('#people li').length == 2")
    # One tab's rating is that of all of them.
    await tabs[2].click(".step:nth-child(3)")
    await anna.sees_text("#ranking", "Alien 50 %")
    for tab in tabs:
        await tab.page.go()
        await tab.sees("$('.movie input:checked')?.value == '3'")
    await anna.sees("$$('#people li').length == 2 && $$('#people .away').length == 0")
    for tab in tabs:
        assert tab.page.errors == []


async def test_the_creator_who_comes_again_is_the_host_again(place: Place) -> None:
    anna, code = await host_with_movies(place)
    again = await anna.another_tab(f"{place.url}/#{code}")
    await again.sees_text("#join-as", "Continue as Anna")
    await again.click("#join-as button")
    await again.sees("$('#host-open').checkVisibility()")
    await anna.sees("$$('#people li').length == 1")


async def test_one_browser_can_be_several_people(place: Place) -> None:
    anna, code = await host_with_movies(place)
    other = await anna.another_tab(f"{place.url}/#{code}")
    await other.click("#join-other")
    await other.write("#join-name", "Bob")
    await other.press("Enter")
    await anna.sees("$$('#people li').length == 2")
    await other.has_text("#people", "Bob (you)")
    # Each tab stays who it is.
    for tab, name in ((other, "Bob (you)"), (anna, "Anna (you)")):
        await tab.page.go()
        await tab.has_text("#people", name)
    third = await anna.another_tab(f"{place.url}/#{code}")
    await third.sees("$$('#join-as button').length == 3")
    assert not await other.read("$('#host-open').checkVisibility()")


async def test_who_has_left_is_forgotten_and_can_undo_it_for_a_moment(place: Place) -> None:
    anna, code = await host_with_movies(place, "Alien")
    bob = await guest_of(place, code, "Bob")
    await bob.click(".step:nth-child(4)")
    await anna.sees_text("#ranking", "Alien 75 %")
    await bob.click("#leave")
    await bob.sees_text("#notice", "You left Friday.")
    await bob.click("#notice-undo")
    await bob.has_text("#people", "Bob (you)")
    await bob.sees("$('.movie input:checked')?.value == '4'")
    other = await bob.another_tab(f"{place.url}/#{code}")
    await other.click("#join-as button")
    await other.has_text("#people", "Bob (you)")
    await bob.click("#leave")
    await other.sees_text("#over-text", "You left it in another tab.")
    await anna.sees("$$('#people li').length == 1")
    await anna.sees_text("#ranking-empty", "Rate a movie")
    assert await bob.read("localStorage.getItem('join-session:identities')") == "[]"
    again = await bob.another_tab(f"{place.url}/#{code}")
    await again.sees_text("#join-preview", "Anna is rating 1 movie")
    assert not await again.read("$('#join-as').checkVisibility()")


async def test_a_session_that_has_ended_is_forgotten(place: Place) -> None:
    anna, _ = await host_with_movies(place)
    await anna.click("#host-open")
    await anna.click("#host-end")
    await anna.click("#ending-yes")
    await anna.sees_text("#over-heading", "This session has ended")
    assert await anna.read("localStorage.getItem('join-session:identities')") == "[]"


async def test_a_token_that_is_no_good_is_forgotten(place: Place) -> None:
    _, code = await host_with_movies(place)
    bob = await guest_of(place, code, "Bob")
    await bob.read(
        """(() => {
            const identities = JSON.parse(localStorage["join-session:identities"]);
            localStorage["join-session:identities"] = JSON.stringify(identities.map((i) => ({...i, token: "no"})));
        })()"""
    )
    await bob.page.go()
    await bob.has_text("#people", "Bob (you)")
    tokens = await bob.read("JSON.parse(localStorage['join-session:identities']).map(({token}) => token)")
    assert len(tokens) == 1
    assert tokens != ["no"]


async def test_at_most_twenty_identities_are_kept(place: Place) -> None:
    anna = await Visitor.at(place.browser, place.url)
    many = "Array.from({length: 30}, (_, n) => ({key: `${n}`, code: 'x', createdAt: 'then', token: 't'}))"
    await anna.read(f"localStorage.setItem('join-session:identities', JSON.stringify({many}))")
    await anna.page.go()
    await anna.click("#create-button")
    await anna.sees("$('#room').checkVisibility()")
    kept = await anna.read("JSON.parse(localStorage['join-session:identities']).map(({code}) => code)")
    assert len(kept) == 20
    assert kept[0] != "x"


async def test_a_rating_made_offline_survives_a_reload(place: Place) -> None:
    anna, code = await host_with_movies(place, "Alien", "Heat")
    bob = await guest_of(place, code, "Bob", screen=PHONE)
    await bob.click(".movie:nth-child(2) .step:nth-child(2)")
    await anna.sees_text("#ranking", "Heat 25 %")
    await bob.page.command("Network.setBlockedURLs", urls=["*/socket.io/*"])
    await bob.page.command("Network.emulateNetworkConditions", offline=True, latency=0, **UNLIMITED)
    await bob.sees_text("#connection", "Offline")
    await bob.click(".movie:nth-child(1) .step:nth-child(5)")
    await bob.click(".movie:nth-child(2) .step:nth-child(4)")
    await bob.sees_text(".movie:nth-child(1)", "Not sent yet")
    await bob.page.command("Network.emulateNetworkConditions", offline=False, latency=0, **UNLIMITED)
    await bob.page.go()
    await bob.sees_text("#wait-heading", "Reconnecting")
    await bob.page.command("Network.setBlockedURLs", urls=[])
    await anna.sees_text("#ranking", "Alien 100 %")
    await anna.sees_text("#ranking", "Heat 75 %")
    await bob.sees("$$('.movie input:checked').map((e) => e.value).join() == '5,4'")
    await bob.sees("!Object.keys(localStorage).some((key) => key.startsWith('join-session:outbox:'))")
    assert [error for error in bob.page.errors if not any(part in error for part in NETWORK)] == []


async def test_a_removed_movie_can_be_brought_back_for_a_moment(place: Place) -> None:
    anna, code = await host_with_movies(place, "Alien")
    bob = await guest_of(place, code, "Bob")
    await add_movies(bob, "Heat")
    await bob.click(".movie:nth-child(2) .remove")
    await bob.sees_text("#notice", "Removed Heat.")
    await bob.sees("$$('.movie').length == 1")
    await bob.click("#notice-undo")
    await bob.sees("$$('.movie').length == 2")
    await bob.click(".movie:nth-child(2) .remove")
    # Not put off any longer when the page is left.
    await bob.page.go()
    await anna.sees("$$('.movie').length == 1")


UNLIMITED = {"downloadThroughput": -1, "uploadThroughput": -1}


async def test_people_change_their_own_name(place: Place) -> None:
    anna, code = await host_with_movies(place)
    bob = await guest_of(place, code, "Bob", screen=PHONE)
    await bob.click(".tabs [data-tab=people]")
    assert await bob.read("$$('.manage').filter((e) => e.checkVisibility()).length") == 1
    await bob.click("#people li:nth-child(2) .manage")
    assert await bob.read("$('#renaming-name').value") == "Bob"
    await bob.write("#renaming-name", "\u202ebob")
    await bob.press("Enter")
    await bob.sees_text("#renaming-error", "control characters")
    assert await bob.accessibility_problems() == []
    assert await bob.small_targets() == []
    await bob.write("#renaming-name", "Rob")
    await bob.press("Enter")
    await bob.sees_text("#people", "Rob (you)")
    await anna.sees_text("#people", "Rob")
    # Also for the next time.
    await bob.page.go()
    await bob.has_text("#people", "Rob (you)")
    await anna.click("#people li:nth-child(1) .manage")
    await anna.write("#renaming-name", "Ann")
    await anna.press("Enter")
    await anna.sees_text("#people", "Ann (you)")
    assert anna.page.errors == bob.page.errors == []


async def test_the_host_renews_the_key(place: Place) -> None:
    anna, _ = await host_with_movies(place)
    key = "JSON.parse(localStorage.getItem('join-session:identities'))[0].hostToken"
    before = await anna.read(key)
    await anna.click("#host-open")
    await anna.click("#host-key summary")
    assert await anna.accessibility_problems() == []
    await anna.click("#host-renew")
    await anna.sees_text("#notice", "The key is renewed.")
    assert await anna.read(key) != before
    await anna.page.go()
    await anna.sees("$('#host-open').checkVisibility()")
    assert anna.page.errors == []
