"""What the pages in `docs/` show is so: their code, their commands, their links."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

from tests.harness.here import served_here
from tests.harness.node import JS, compile_typescript, run_js
from tests.harness.redis import RedisServer

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


async def test_the_client_guide_lives_through_a_session(redis_server: RedisServer) -> None:
    assert "\n".join(blocks("clients.md", "ts")) == (JS / "client-guide.ts").read_text()
    compile_typescript()
    async with served_here(redis_server.url()) as [replica]:
        done = await run_js(JS / "client-guide-run.mjs", replica.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "role": "host",
        "read": 1,
        "unchanged": True,
        "changed": ["Alien", "Heat", "Ran"],
        "voted": True,
        "recovered": True,
        "same": True,
        "votes": {"m1": 5},
        "stranger": True,
        "nowhere": "Session not found or has expired",
        "reason": "ended",
    }


@pytest.mark.parametrize("page", PAGES)
def test_each_relative_link_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?s)```.*?```", "", PAGES[page]))
    for link in (link for link in links if "://" not in link):
        path, _, anchor = link.partition("#")
        target = ROOT / "docs" / (path or page)
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
