"""What the README shows is so: its code, its commands, their output, its links."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from app.settings import PREFIX, Settings
from tests.harness import commands as commandline
from tests.harness.chromium import chromium
from tests.harness.newcomer import joined, serving
from tests.harness.node import JS, compile_typescript
from tests.harness.service import Replica
from tests.harness.terminal import terminal
from tests.web.visitor import Visitor

ROOT: Final = Path(__file__).parent.parent
README: Final = (ROOT / "README.md").read_text()

TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
STOP_TIMEOUT: Final = 30
MAKE_RUN: Final = ("make", "run")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_readme_goes_from_what_to_how_to_where() -> None:
    assert re.findall(r"^#+ (.+)$", re.sub(r"(?s)```.*?```", "", README), re.MULTILINE) == [
        "join-session",
        "Run it, test it",
        "Other ways to run it",
        "Join a session",
        "Commands",
        "On Kubernetes",
        "Releases",
        "Settings that matter",
        "Development",
    ]


def test_the_typescript_is_the_flow_that_is_compiled_strictly_and_tested() -> None:
    assert blocks("ts") == [(JS / "seed-flow.ts").read_text()]
    compile_typescript()


def test_the_commands_answer_as_shown(service: list[Replica]) -> None:
    text = "".join(blocks("sh"))
    commands = re.findall(r"^(curl .+)\n# (.+)$", text, re.MULTILINE)
    assert len(commands) == text.count("curl") > 0
    shown_code = re.search(r'"sessionID":"(\d+)"', text)
    assert shown_code is not None
    code = None
    for command, output in commands:
        if code is not None:
            command, output = (part.replace(shown_code[1], code) for part in (command, output))
        done = run(command.replace("localhost:8080", f"127.0.0.1:{service[0].port}"))
        shown, got = json.loads(output.replace("{…}", '"{…}"')), json.loads(done)
        code = code or got["sessionID"]
        assert is_alike(shown, got, allowed={shown_code[1]: code}), f"{command}\n{done}"


def test_the_chart_is_installed_as_the_operations_page_does_it() -> None:
    """Whose commands are run on a cluster, by `tests/e2e`."""
    there = re.sub(r" --namespace movies| --create-namespace", "", (ROOT / "docs" / "operations.md").read_text())
    [shown] = [block for block in blocks("sh") if "helm test" in block]
    assert f"```sh\n{shown}```" in there


def is_alike(shown: Any, got: Any, allowed: dict[str, str]) -> bool:
    """Whether an answer is as shown, with anything for what is left out, times for times and `allowed` for others."""
    match shown:
        case "{…}":
            return isinstance(got, dict)
        case "…":
            return isinstance(got, str) and got != ""
        case dict():
            return list(shown) == list(got) and all(is_alike(shown[name], got[name], allowed) for name in shown)
        case str() if TIME.fullmatch(shown):
            return isinstance(got, str) and TIME.fullmatch(got) is not None
        case str():
            return bool(got == allowed.get(shown, shown))
    return bool(shown == got)


def test_each_relative_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_each_setting_is_one_and_has_the_default_shown() -> None:
    rows = re.findall(rf"^\| `{PREFIX}(\w+)` \| (?:`(.+)`|.+?) \|", README, re.MULTILINE)
    assert rows
    fields = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    assert [name for name, _ in rows if name not in fields] == []
    assert {name: float(shown) for name, shown in rows if shown} == {
        name: fields[name] for name, shown in rows if shown
    }


@pytest.fixture(scope="module")
def bare_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What whoever clones the repository gets: the last commit, nothing installed."""
    directory = tmp_path_factory.mktemp("bare") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(directory)], check=True)
    return directory


def terminate(service: psutil.Process, make: psutil.Process) -> int:
    service.terminate()
    return 0


def interrupt(service: psutil.Process, make: psutil.Process) -> int:
    service.send_signal(signal.SIGINT)
    return 0


def press_control_c(service: psutil.Process, make: psutil.Process) -> int:
    # A terminal sends it to both, and make, once the service has ended, ends by it as well.
    os.killpg(make.pid, signal.SIGINT)
    return -signal.SIGINT


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stop", [terminate, interrupt, press_control_c])
def test_make_run_serves_from_a_bare_clone_and_leaves_nothing_behind(
    bare_clone: Path, stop: Callable[[psutil.Process, psutil.Process], int]
) -> None:
    with tempfile.TemporaryDirectory() as directory, serving(MAKE_RUN, bare_clone, TMPDIR=directory) as served:
        make = served.process
        assert served.link == f"{served.address}/#{served.code}"
        answer = json.loads(run(served.command))
        assert (answer["sessionID"], answer["message"][:13]) == (served.code, "Session found")
        assert served.command.split()[3] == f"{served.address}/api/session/join"
        assert '/bundle.js"' in run(f"curl {served.address}/")

        started = psutil.Process(make.pid).children(recursive=True)
        assert [process.name() for process in started] == ["join-session", "valkey-server"]
        expected = stop(started[0], psutil.Process(make.pid))
        output, _ = make.communicate(timeout=STOP_TIMEOUT)
        assert make.returncode == expected
        assert '"message": "stopped"' in output.splitlines()[-1]
        assert psutil.wait_procs(started, timeout=STOP_TIMEOUT)[1] == []
        assert list(Path(directory).iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_newcomer_gets_from_the_clone_to_two_browsers_in_one_session(bare_clone: Path, tmp_path: Path) -> None:
    with serving(MAKE_RUN, bare_clone, TMPDIR=str(tmp_path)) as served:
        async with chromium() as browser:
            people = [await Visitor.at(browser, served.link) for _ in range(2)]
            for name, visitor in zip(("Ada", "Bob"), people, strict=True):
                await visitor.write("#join-name", name)
                await visitor.press("Enter")
            for visitor in people:
                await visitor.sees_text("#people", "Ada")
                await visitor.sees_text("#people", "Bob")
                assert visitor.page.errors == []
        psutil.Process(served.process.pid).children(recursive=True)[0].terminate()
        await asyncio.to_thread(served.process.communicate, timeout=STOP_TIMEOUT)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_with_python_alone_two_commands_lead_to_a_joined_session(bare_clone: Path, tmp_path: Path) -> None:
    [shown] = [block for block in blocks("sh") if "pip install" in block]
    install, serve = shown.splitlines()
    venv.create(tmp_path / "environment", with_pip=True)
    path = f"{tmp_path / 'environment' / 'bin'}:{os.environ['PATH']}"
    await asyncio.to_thread(
        subprocess.run, ["sh", "-c", install], cwd=bare_clone, env=os.environ | {"PATH": path}, check=True
    )
    # Installed, not by chance what is in the folder.
    with serving(["sh", "-c", f"exec env {serve}"], tmp_path, PATH=path) as served:
        await joined(served.address, served.code)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_with_uv_one_command_leads_to_a_joined_session(bare_clone: Path) -> None:
    [command] = re.findall(r"`(uvx .+?)`", README)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with serving(["sh", "-c", f"exec {command}"], bare_clone, PATH=path, JOIN_SESSION_DEMO="true") as served:
        await joined(served.address, served.code)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_with_node_alone_one_command_leads_to_a_joined_session(bare_clone: Path, service: list[Replica]) -> None:
    [shown] = [block.partition("#")[0] for block in blocks("sh") if "npm --prefix" in block]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        # Whoever runs the tests in the background has Ctrl-C ignored.
        *("env", "--default-signal=INT"),
        *shown.replace("http://localhost:8080", service[0].url).split(),
        cwd=bare_clone,
        env=os.environ | {"PATH": path},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        code = ""
        async with asyncio.timeout(90):
            while not code:
                line = (await process.stdout.readline()).decode()
                assert line, "it has ended"
                code = (re.findall(r"^Joined (\w+) as", line) or [""])[0]
            assert (await process.stdout.readline()).decode() == "Guest 1: no movies yet\n"
        await joined(service[0].url, code)
        os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_releases_are_where_their_workflow_publishes_them_and_verified_by_its_name() -> None:
    workflow = (ROOT / ".github" / "workflows" / "release.yaml").read_text()
    [install, verify] = [block for block in blocks("sh") if "OWNER" in block]
    assert "image=$REGISTRY/${GITHUB_REPOSITORY,,}" in workflow
    assert "charts=$REGISTRY/${GITHUB_REPOSITORY_OWNER,,}/charts" in workflow
    places = set(re.findall(r"ghcr\.io/OWNER/([\w/-]+)", install + verify))
    assert places == {"join-session", "charts/join-session"}
    assert "/.github/workflows/release.yaml@refs/tags/v" in verify
    assert "predicate-type: https://cyclonedx.org/bom" in workflow
    assert "From the first release on" in README


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_commands_shown_do_what_they_say(service: list[Replica]) -> None:
    [shown] = [block for block in blocks("sh") if "join-session create" in block]
    commands = [line.partition("#")[0].split()[1:] for line in shown.splitlines()]
    assert [command[0] for command in commands] == ["create", "check", "join", "add", "rate", "watch", "load"]
    where = ("--url", service[0].url)
    create, *others, load = commands
    made = await commandline.run(*create, *where)
    code = re.findall(r"^code +(\w+)$", made.out, re.MULTILINE)[0]
    for command in others:
        name, *arguments = [code if word == "CODE" else word for word in command]
        if name == "join":
            async with terminal(name, *arguments, *where) as joined:
                await joined.shows("You are Guest 1")
        elif name == "watch":
            async with commandline.started(name, *arguments, *where) as watching:
                assert watching.stdout is not None
                async with asyncio.timeout(30):
                    assert b"joined-session" in await watching.stdout.readline()
        else:
            done = await commandline.run(name, *arguments, *where)
            assert (done.code, done.err) == (0, "")
    loaded = await commandline.run(*load, *where, timeout=120)
    assert (loaded.code, loaded.err) == (0, ""), loaded.out


def run(command: str) -> str:
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=30).stdout
