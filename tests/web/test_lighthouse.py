"""The demo page in Lighthouse (https://developer.chrome.com/docs/lighthouse), as on a phone."""

from __future__ import annotations

import json

import pytest

from tests.harness.node import JS, run_js
from tests.web.place import Place, host_with_movies

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]


async def test_accessibility_and_best_practices_are_perfect(place: Place) -> None:
    _, code = await host_with_movies(place, "Alien", "Heat")
    categories = ("accessibility", "best-practices")
    done = await run_js(
        JS / "lighthouse.mjs", str(place.browser.port), f"{place.url}/#{code}", *categories, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"scores": dict.fromkeys(categories, 100), "failed": []}
