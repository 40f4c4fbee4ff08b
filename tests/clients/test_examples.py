"""The examples: each is started by the command that is shown, and two people come to a decision with it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.harness.chromium import chromium
from tests.harness.here import served_here
from tests.harness.node import CLIENT, JS, install, run_js
from tests.harness.ports import LOOPBACK, free_port
from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS, replicas
from tests.harness.waiting import until
from tests.web.visitor import Visitor

EXAMPLES: Final = CLIENT.parent.parent / "examples"
COMMANDS: Final = dict(re.findall(r"^\| \[(\w+)\]\(.+?\).* \| `(.+?)` \|", (EXAMPLES / "README.md").read_text(), re.M))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["plain", "react"])
async def test_two_people_come_to_a_decision_at_the_page(name: str, redis_server: RedisServer, tmp_path: Path) -> None:
    port = free_port()
    origin = f"http://localhost:{port}"
    async with (
        replicas(redis_server.url(), 1, allowed_origins=origin, **DIGITS) as [replica],
        served(name, port, checkout(tmp_path)),
        chromium() as browser,
    ):
        address = f"{origin}/?service={replica.url}"
        ada, bob = [await Visitor.at(browser, address) for _ in range(2)]
        await ada.write("[name=name]", "Ada")
        await ada.press("Enter")
        await ada.sees_text("[role=status]", "connected")
        code = await ada.read("$('[role=status]').textContent.match(/[0-9]{6}/)[0]")
        await bob.write("[name=name]", "Bob")
        await bob.write("[name=code]", code)
        await bob.press("Enter")
        for visitor in (ada, bob):
            await visitor.sees_text("p", "Ada, Bob")
        for title in ("Alien", "Heat"):
            await bob.write("[name=title]", title)
            await bob.press("Enter")
        await ada.sees_text("li:nth-child(2)", "Heat 0 %")
        await ada.click("li:nth-child(1) button:nth-of-type(5)")
        await bob.click("li:nth-child(1) button:nth-of-type(3)")
        await bob.sees_text("li", "Alien 75 %")
        await ada.sees("$('[title=\"Rate Alien: 5\"]').getAttribute('aria-pressed') == 'true'")
        assert not await bob.read("$$('button').some((e) => e.checkVisibility() && e.textContent == 'Decide')")
        await ada.read("$$('button').find((e) => e.textContent == 'Decide').click()")
        for visitor in (ada, bob):
            await visitor.sees_text("[role=status]", "You're watching Alien")
            assert visitor.page.errors == []


async def test_the_page_with_react_and_the_readme_of_the_client_have_no_errors_of_types(tmp_path: Path) -> None:
    project = checkout(tmp_path) / "examples" / "react"
    [script], [component] = snippets("ts"), snippets("tsx")
    (project / "readme.ts").write_text(script)
    (project / "component.tsx").write_text(f"{component}\nexport {{ Movies }};\n")
    done = await run_js(JS / "node_modules" / "typescript" / "bin" / "tsc", "--project", str(project), timeout=50)
    assert (done.returncode, done.stdout) == (0, "")


async def test_the_readme_of_the_client_makes_a_session_and_rates(redis_server: RedisServer, tmp_path: Path) -> None:
    project = checkout(tmp_path) / "examples" / "react"
    async with served_here(redis_server.url()) as [replica]:
        # What a page has by its own address, and an end.
        page = (
            f'globalThis.location = new URL("{replica.url}");\nconst {"{"} fetch: bare {"}"} = globalThis;\n'
            "globalThis.fetch = (path, init) => bare(new URL(path, location), init);\n"
        )
        end = "console.log(outcome.ok, session.getSnapshot().votes.m1);\nsession.close();\n"
        (project / "page.ts").write_text(page)
        (project / "readme.ts").write_text(f'import "./page.ts";\n{snippets("ts")[0]}{end}')
        done = await run_js(project / "readme.ts")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2:] == ["true 5", "The session was closed"]


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (CLIENT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def checkout(folder: Path) -> Path:
    """The examples as in a checkout, where npm has installed what they need."""
    install()
    shutil.copytree(EXAMPLES, folder / "examples", ignore=shutil.ignore_patterns("node_modules", "built"))
    (folder / "examples" / "react" / "node_modules").symlink_to(JS / "node_modules")
    return folder


@asynccontextmanager
async def served(name: str, port: int, folder: Path) -> AsyncIterator[None]:
    """The page on a free port instead of its own; npm installs nothing."""
    shown = COMMANDS[name]
    command = shown.replace(" 5000 ", f" {port} ")
    if name == "react":
        command = f"{shown} --ignore-scripts -- --serve=127.0.0.1:{port}"
    programs = Path(sys.executable).parent
    process = await asyncio.create_subprocess_shell(
        command,
        cwd=folder,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        # It ends with its input.
        stdin=PIPE,
        stdout=DEVNULL,
        start_new_session=True,
    )
    try:
        await until(lambda: is_open(port))
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((LOOPBACK, port)) == 0
