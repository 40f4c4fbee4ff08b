"""The demo page in the oldest Chromium that there is a package of among those that the page is for."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.chromium import Browser, chromium
from tests.harness.node import JS, run_js
from tests.harness.service import Replica
from tests.web.visitor import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
async def old_browser(tmp_path: Path) -> AsyncIterator[Browser]:
    done = await run_js(JS / "old-chromium.mjs", str(tmp_path), timeout=90)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("aws.tar", "swiftshader.tar"):
        with tarfile.open(tmp_path / name) as packed:
            packed.extractall(tmp_path, filter="data")
    async with chromium(str(tmp_path / "chromium"), LD_LIBRARY_PATH=str(tmp_path / "lib")) as browser:
        yield browser


async def test_two_people_come_to_a_decision(old_browser: Browser, demo: Replica) -> None:
    version = await old_browser.command("Browser.getVersion")
    assert version["product"].startswith("HeadlessChrome/9")
    anna = await Visitor.at(old_browser, demo.url)
    await anna.write("#create-title", "Friday")
    await anna.write("#create-name", "Anna")
    await anna.press("Enter")
    await anna.sees_text("#room-heading", "Friday")
    await anna.sees("$('#share-qr svg')")
    bob = await Visitor.at(old_browser, f"{demo.url}/#{await anna.read('location.hash.slice(1)')}", PHONE)
    await bob.sees_text("#join-preview", "Anna is here")
    await bob.write("#join-name", "Bob")
    await bob.press("Enter")
    await anna.sees_text("#lobby-text", "Bob is here.")
    await anna.click("#add-open")
    await anna.write("#add-title", "Alien (1979)\nHeat")
    await anna.press("Enter")
    await anna.sees_text("#add-there", "Added 2 movies.")
    await anna.press("Escape")
    await anna.click(".movie:nth-child(1) .step:nth-child(5)")
    await bob.click(".movie:nth-child(2) .step:nth-child(1)")
    await bob.sees_text("#leaders", "Alien 100 %")
    # The colours are there: nothing is drawn in black on black.
    assert await bob.read("getComputedStyle($('.primary')).backgroundColor") == "rgb(81, 64, 201)"
    await anna.click("#decide-open")
    await anna.click("#decide-top")
    await bob.sees_text("#decision-heading", "Alien (1979)")
    assert anna.page.errors == bob.page.errors == []
