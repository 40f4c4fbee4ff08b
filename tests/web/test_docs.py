"""The page of the API at `/docs`: requests and events are tried against the service itself."""

from __future__ import annotations

import pytest

from tests.web.place import Place
from tests.web.visitor import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]


async def test_a_session_can_be_lived_through_at_the_page_of_the_api(place: Place) -> None:
    reader = await Visitor.at(place.browser, f"{place.url}/docs")
    await tried(reader, "http-createSession", '201 Created { "sessionID":')
    await tried(reader, "http-joinSession", "200 OK")
    await tried(reader, "join-session", '"ok": true')
    await reader.sees_text("#heard", "joined-session")
    await tried(reader, "vote", '"ok": true')
    await tried(reader, "http-vote", '"ok": true')
    await tried(reader, "http-decide", '"decision": {')
    await reader.sees_text("#heard", "session-decided")
    await tried(reader, "http-readResult", '"ranking": [')
    await tried(reader, "http-endSession", '"ok": true')
    await reader.sees_text("#heard", "session-ended")
    await tried(reader, "http-endSession", "404 Not Found")
    # The browser itself reports the request that failed.
    assert [error for error in reader.page.errors if "404" not in error] == []


async def test_the_page_of_the_api_is_accessible_and_fits_a_phone(place: Place) -> None:
    for screen in (None, PHONE):
        reader = await Visitor.at(place.browser, f"{place.url}/docs", *([] if screen is None else [screen]))
        await reader.read("$$('details').forEach((each) => (each.open = true))")
        await reader.sees("$$('form').length > 20")
        assert await reader.accessibility_problems() == []
        assert await reader.sideways_overflow() <= 0
        assert reader.page.errors == []


async def test_examples_of_curl_name_the_service_itself(place: Place) -> None:
    reader = await Visitor.at(place.browser, f"{place.url}/docs")
    assert await reader.read("$$('.curl').every((each) => each.textContent.includes(location.origin))")


async def tried(reader: Visitor, article: str, answer: str) -> None:
    """Open the form anew, with what earlier answers told, and send it."""
    details = f"#{article} > details:last-of-type"
    await reader.read(f"($('{details}').open = false)")
    await reader.sees(f"!$('{details} form')")
    await reader.click(f"{details} > summary")
    await reader.click(f"{details} button")
    await reader.sees_text(f"{details} pre", answer)
