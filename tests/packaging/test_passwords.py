"""The scripts of the chart of Redis, run here: how a running server gets another password, and loses the old one."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from app.redis_client.embedded import die_with_parent
from app.redis_client.logins import Logins
from tests.harness.exporter import exporter
from tests.harness.people import Api, Made
from tests.harness.ports import free_port
from tests.harness.service import replicas
from tests.packaging.generate import CHARTS

_SHELL: Final = "/bin/sh"
FILES: Final = CHARTS / "redis" / "files"
FIRST, SECOND, THIRD = "first", "se'c\"o\\n$d @/:#", "third"


class Pod:
    """The Redis of the chart, with folders in the place of its volumes, and the jobs beside it."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self._folder = folder
        self._port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        for name in (
            "data",
            "run/redis",
            "run/exporter",
            "etc/redis",
            "etc/redis-secret",
            "etc/redis-new",
            "etc/redis-old",
        ):
            (folder / name).mkdir(parents=True)
        (folder / "etc/redis/redis.conf").write_text(
            f'port {self._port}\ndir {folder}/data\nsave ""\n{extra}\naclfile {folder}/data/users.acl\n'
        )
        for script in FILES.iterdir():
            (folder / "etc/redis" / script.name).write_text(self._placed(script.read_text()))

    def url(self, password: str) -> str:
        return f"redis://:{password}@127.0.0.1:{self._port}/0"

    def read(self, name: str) -> str:
        return (self._folder / name).read_text()

    def secret(self, volume: str, password: str | None) -> None:
        """What a volume shows; None if there is no such Secret."""
        file = self._folder / "etc" / volume / "redis-password"
        file.unlink(missing_ok=True)
        if password is not None:
            file.write_text(password + "\n")

    def start(self) -> None:
        self._server = subprocess.Popen(
            die_with_parent([_SHELL, str(self._folder / "etc/redis/start")]), stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while self.run("keeper", "ping") != "PONG":
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(10)
            self._server = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def run(self, script: str, *arguments: str) -> str:
        done = subprocess.run(
            ["sh", str(self._folder / "etc/redis" / script), *arguments], capture_output=True, text=True, timeout=30
        )
        return done.stdout.strip()

    def job(self, script: str) -> subprocess.Popen[str]:
        environment = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self._port), "PATH": "/usr/bin:/bin"}
        path = str(self._folder / "etc/redis" / script)
        return subprocess.Popen(
            die_with_parent([_SHELL, path]),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def done(self, script: str) -> str:
        """Run a job to its end; return the last that it says."""
        return ended(self.job(script))

    def ask(self, password: str, *command: str, user: str = "default") -> str:
        program = ["redis-cli", "-h", "127.0.0.1", "-p", str(self._port), "--user", user, *command]
        environment = {"REDISCLI_AUTH": password, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=10)
        return done.stdout.strip()

    def accepted(self) -> set[str]:
        return {password for password in (FIRST, SECOND, THIRD) if self.ask(password, "ping") == "PONG"}

    def replica(self, name: str, password: str | None, *, as_who: str, seconds: float = 60) -> None:
        """Another lease, of a replica that has a password, or of a release that does not tell."""
        url = Logins(f"redis://:{password}@h") if password in (FIRST, THIRD) else None
        told = {"address": "10.0.0.1:9090"} | ({"login": url.password_id()} if url else {})
        ends = round((time.time() + seconds) * 1000)
        assert self.ask(as_who, "zadd", "js:replicas", str(ends), name) in ("0", "1")
        assert self.ask(as_who, "set", f"js:replica:{name}", json.dumps(told)) == "OK"

    def _placed(self, script: str) -> str:
        for name in ("data", "run/redis", "run/exporter", "etc/redis"):
            script = script.replace(f"/{name}", f"{self._folder}/{name}")
        script = script.replace("-h 127.0.0.1", f"-h 127.0.0.1 -p {self._port}")
        return script.replace("sleep 2", "sleep 0.1").replace("sleep 3", "sleep 0.1")


def ended(job: subprocess.Popen[str]) -> str:
    said, _ = job.communicate(timeout=30)
    assert job.returncode == 0, said
    return said.splitlines()[-1]


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    assert shutil.which("redis-cli"), "redis-cli is needed; Debian has it in the package redis-tools"
    made = Pod(tmp_path)
    made.secret("redis-secret", FIRST)
    made.start()
    yield made
    made.stop()


def rotate(pod: Pod, before: str | None, after: str) -> None:
    """What an upgrade does up to the roll: the job knows both Secrets, and the pod's files are late."""
    pod.secret("redis-old", before)
    pod.secret("redis-new", after)
    assert pod.done("take-new") in ("Redis has taken the password", "Redis knows the password")


@pytest.mark.asyncio
async def test_the_exporter_of_metrics_has_a_user_of_its_own_that_may_read_statistics_only(pod: Pod) -> None:
    (login,) = json.loads(pod.read("run/exporter/passwords.json")).items()
    assert login == ("redis://metrics-sidecar@127.0.0.1:6379", pod.read("run/redis/metrics-sidecar"))
    options = ["-redis.user=metrics-sidecar", f"-redis.password={login[1]}"]
    async with (
        exporter(pod.url("").replace(":@", ""), options) as address,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        rotate(pod, FIRST, THIRD)
        pod.restart()
        metrics = (await client.get(f"http://{address}/metrics")).text
    assert "redis_up 1" in metrics
    assert re.search(r"^redis_memory_max_bytes \d", metrics, re.MULTILINE)
    assert "NOPERM" in pod.ask(login[1], "get", "x", user="metrics-sidecar")
    assert "NOPERM" in pod.ask(login[1], "config", "get", "*", user="metrics-sidecar")


def test_a_new_password_is_taken_beside_the_old_one_until_all_replicas_have_it(pod: Pod) -> None:
    assert pod.accepted() == {FIRST}
    rotate(pod, FIRST, THIRD)
    assert pod.accepted() == {FIRST, THIRD}
    pod.replica("one", FIRST, as_who=FIRST)
    pod.replica("two", THIRD, as_who=FIRST)
    pod.replica("dead", FIRST, as_who=FIRST, seconds=-1)
    pod.replica("previous release", None, as_who=FIRST)
    job = pod.job("drop-old")
    assert job.stdout is not None
    assert job.stdout.readline() == "2 replicas do not have the password yet\n"
    assert pod.accepted() == {FIRST, THIRD}
    pod.replica("one", THIRD, as_who=FIRST)
    pod.replica("previous release", THIRD, as_who=FIRST)
    assert ended(job) == "Redis has forgotten the other passwords"
    assert pod.accepted() == {THIRD}


def test_a_restart_in_the_middle_keeps_both_passwords_and_one_at_the_end_only_the_new_one(pod: Pod) -> None:
    rotate(pod, FIRST, THIRD)
    pod.restart()
    assert pod.accepted() == {FIRST, THIRD}
    pod.secret("redis-secret", THIRD)
    pod.restart()
    assert pod.accepted() == {FIRST, THIRD}
    assert pod.done("drop-old") == "Redis has forgotten the other passwords"
    pod.restart()
    assert pod.accepted() == {THIRD}


def test_a_file_that_is_late_brings_no_forgotten_password_back(pod: Pod) -> None:
    rotate(pod, FIRST, THIRD)
    assert pod.done("drop-old") == "Redis has forgotten the other passwords"
    assert pod.run("ready") == "PONG"
    pod.restart()
    assert pod.accepted() == {THIRD}


def test_each_step_can_be_repeated_and_taken_back(pod: Pod) -> None:
    for _ in range(2):
        rotate(pod, FIRST, THIRD)
    # The upgrade has failed, and is rolled back.
    rotate(pod, THIRD, FIRST)
    for said in ("Redis has forgotten the other passwords", "Redis has no other password"):
        assert pod.done("drop-old") == said
    assert pod.accepted() == {FIRST}


def test_an_existing_secret_that_has_changed_is_taken_by_the_pod_itself(pod: Pod) -> None:
    pod.secret("redis-new", SECOND)
    job = pod.job("take-new")
    time.sleep(0.3)
    assert job.poll() is None
    assert pod.run("ready") == "PONG"
    assert pod.accepted() == {FIRST}
    pod.secret("redis-secret", SECOND)
    assert pod.run("ready") == "PONG"
    assert ended(job) == "Redis knows the password"
    assert pod.accepted() == {FIRST, SECOND}
    pod.restart()
    assert pod.accepted() == {FIRST, SECOND}
    assert pod.done("drop-old") == "Redis has forgotten the other passwords"
    assert (pod.accepted(), pod.run("ready")) == ({SECOND}, "PONG")


def test_a_password_that_changed_while_the_server_was_away_is_taken_at_its_start(pod: Pod) -> None:
    pod.stop()
    pod.secret("redis-secret", SECOND)
    pod.start()
    assert pod.accepted() == {FIRST, SECOND}


def test_an_upgrade_that_mends_redis_is_not_held_up(pod: Pod) -> None:
    pod.stop()
    pod.secret("redis-new", SECOND)
    assert pod.done("take-new").startswith("Redis cannot be reached")


def test_an_unknown_password_ends_the_upgrade_before_anything_has_changed(pod: Pod) -> None:
    pod.secret("redis-new", SECOND)
    job = pod.job("take-new")
    said, _ = job.communicate(timeout=60)
    assert (job.returncode, said.startswith("Redis refuses the new password")) == (1, True)


def test_users_of_the_configuration_work_as_before(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "user exporter on >hush +ping")
    pod.secret("redis-secret", FIRST)
    pod.start()
    try:
        for _ in range(2):
            assert pod.ask("hush", "ping", user="exporter") == "PONG"
            assert "NOPERM" in pod.ask("hush", "get", "a", user="exporter")
            assert "NOPERM" in pod.run("keeper", "get", "a")
            pod.restart()
    finally:
        pod.stop()


def test_without_a_password_everybody_is_let_in(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    pod.start()
    try:
        assert pod.run("ready") == "PONG"
        assert pod.accepted() == {FIRST, SECOND, THIRD}
        pod.secret("redis-secret", FIRST)
        pod.restart()
        assert pod.accepted() == {FIRST}
    finally:
        pod.stop()


def test_no_password_is_written_down(pod: Pod, tmp_path: Path) -> None:
    rotate(pod, FIRST, SECOND)
    found = b"".join(path.read_bytes() for place in ("data", "run") for path in (tmp_path / place).rglob("*.*"))
    assert b"user default" in found
    assert FIRST.encode() not in found
    assert SECOND.encode() not in found


async def test_replicas_work_on_while_their_password_changes(pod: Pod, tmp_path: Path) -> None:
    """As those whose Secret's file Kubernetes updates late: nothing is refused, and the job waits for them."""
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        file.write_text(pod.url(FIRST))
    async with AsyncExitStack() as stack:
        started = [
            (await stack.enter_async_context(replicas(None, redis_url_file=file, lease=1.5)))[0] for file in files
        ]
        api = Api(started)
        stack.push_async_callback(api.close)
        made = await api.create()
        changes = asyncio.create_task(keep_changing(api, made))
        await asyncio.to_thread(rotate, pod, FIRST, THIRD)
        files[0].write_text(pod.url(THIRD))
        job = pod.job("drop-old")
        assert await asyncio.to_thread(says, job, "1 replicas do not have the password yet")
        files[1].write_text(pod.url(THIRD))
        assert await asyncio.to_thread(ended, job) == "Redis has forgotten the other passwords"
        # Those who have not logged in again until now have to.
        assert int(pod.ask(THIRD, "client", "kill", "type", "normal")) > 0
        await asyncio.sleep(1)
        changes.cancel()
        await asyncio.wait((changes,))
        assert changes.cancelled(), changes.exception()
        assert pod.accepted() == {THIRD}


async def keep_changing(api: Api, made: Made) -> None:
    """Change a session at both replicas; raises AssertionError if a change takes too long or is refused."""
    for number in itertools.count():
        began = time.monotonic()
        while True:
            answer = await api.call(
                "PATCH", made.path, replica=number % 2, token=made.host_token, key=str(number), json={"title": "T"}
            )
            if answer.status_code == 200:
                break
            assert (answer.status_code, time.monotonic() - began < 3) == (503, True), answer.text
        await asyncio.sleep(0.02)


def says(job: subprocess.Popen[str], text: str) -> bool:
    """Whether a job says a line sooner or later."""
    assert job.stdout is not None
    return any(line.rstrip() == text for line in job.stdout)
