"""What the pages in `docs/` show is so: their code, their commands, their links."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.harness.here import served_here
from tests.harness.node import JS, compile_typescript, run_js
from tests.harness.redis import RedisServer
from tests.harness.topologies import documented_user

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


async def test_the_client_guide_lives_through_a_session(redis_server: RedisServer) -> None:
    assert "\n".join(blocks("clients.md", "ts")) == (JS / "client-guide.ts").read_text()
    compile_typescript()
    # So that the end is near from the beginning.
    async with served_here(redis_server.url(), lifetime=50, max_lifetime=50, expiry_warning=60) as [replica]:
        done = await run_js(JS / "client-guide-run.mjs", replica.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "packaged": ["Alien", "The session was closed"],
        "role": "host",
        "read": 1,
        "unchanged": True,
        "changed": ["Alien", "Heat", "Ran"],
        "voted": True,
        "recovered": True,
        "renewed": True,
        "same": True,
        "votes": {"m1": 5},
        "stranger": True,
        "decided": ["m1", "Alien"],
        "patched": 3,
        "everybody": ["Ada"],
        "nowhere": "Session not found or has expired",
        "reason": "ended",
        "warned": True,
    }


def test_the_commands_that_generate_write_what_is_committed() -> None:
    commands = [line.partition(" > ") for block in blocks("contributing.md", "sh") for line in block.splitlines()]
    generating = {Path(file): command.split() for command, _, file in commands if file}
    assert {path.name for path in generating} >= {"openapi.json", "asyncapi.json", "join-session.d.ts"}
    for path, (program, *arguments) in generating.items():
        assert program == ".venv/bin/join-session"
        done = subprocess.run([sys.executable, "-m", "app", *arguments], capture_output=True, text=True, check=True)
        assert done.stdout == (ROOT / path).read_text(), path


def test_the_documented_redis_user_may_do_what_scripts_do() -> None:
    """Or one that is refused halfway would leave half of a change, and keys without a lifetime, behind."""
    scripts = "".join(path.read_text() for path in (ROOT / "app" / "store" / "scripts").glob("*.lua"))
    called = set(re.findall(r"redis\.call\('(\w+)'", scripts))
    # So none is called by a name that is made up as it goes.
    assert scripts.count("redis.call(") == scripts.count("redis.call('")
    assert {f"+{command.lower()}" for command in called} <= set(documented_user().split())


def test_the_packages_shown_are_those_of_the_code() -> None:
    shown = re.findall(r"^\| `(app/.+?)` (?:\||, )", PAGES["architecture.md"], re.MULTILINE)
    packages = {"app/" + path.name + "/" for path in (ROOT / "app").iterdir() if (path / "__init__.py").exists()}
    assert packages <= set(shown)


@pytest.mark.parametrize("page", PAGES)
def test_each_relative_link_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?s)```.*?```", "", PAGES[page]))
    for link in (link for link in links if "://" not in link):
        path, _, anchor = link.partition("#")
        target = ROOT / "docs" / (path or page)
        assert target.exists(), link
        if re.fullmatch(r"L\d+", anchor):
            assert 0 < int(anchor[1:]) <= len(target.read_text().splitlines()), link
        elif anchor:
            assert anchor in anchors(target.read_text()), link


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
