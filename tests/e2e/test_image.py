"""The image: the same from the same sources, nothing in it that the service does not need, and healthy."""

from __future__ import annotations

import asyncio
import json
import shutil
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePath
from typing import Final

import pytest
import pytest_asyncio

from tests.e2e.cluster import ROOT, CommandFailed, command

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="module"),
]

IMAGE: Final = "join-session:e2e-image"
REDIS: Final = "valkey/valkey:8.1"
# As the chart runs it.
RESTRICTED: Final = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")

SHELLS: Final = {"ash", "bash", "busybox", "dash", "sh", "zsh"}
# Where scanners look for Debian's packages in images without dpkg.
PACKAGES: Final = "var/lib/dpkg/status.d/"
INSTALLERS: Final = {"apt", "apt-get", "dpkg", "ensurepip", "pip", "uv"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def image() -> str:
    await _build(ROOT, IMAGE)
    return IMAGE


async def test_another_checkout_makes_the_same_layers(image: str, tmp_path: Path) -> None:
    again = f"{IMAGE}-again"
    checkout = _checkout(tmp_path)
    try:
        await _build(checkout, again)
        assert await _layers(again) == await _layers(image)
    finally:
        await command("docker", "image", "rm", "--force", again)


async def test_there_is_no_shell_no_installer_and_nothing_with_more_rights(image: str, tmp_path: Path) -> None:
    files = await _files(image, tmp_path)
    parts = {
        part for file in files if not file.isdir() and PACKAGES not in file.name for part in PurePath(file.name).parts
    }
    assert parts & {*SHELLS, *INSTALLERS} == set()
    assert [file.name for file in files if file.mode & 0o6000] == []
    assert [file.name for file in files if file.mode & 0o002 and not file.issym()] == ["tmp"]


async def test_scanners_find_the_packages_of_the_base(image: str, tmp_path: Path) -> None:
    packages = {file.name.removeprefix(PACKAGES) for file in await _files(image, tmp_path)}
    assert {"libc6", "zlib1g"} <= packages


async def test_docker_finds_it_healthy_and_two_clients_meet(image: str) -> None:
    async with _service(image) as name:
        await _healthy(name)
        tests = f"{ROOT / 'charts' / 'join-session' / 'files'}:/test:ro"
        run = ("docker", "run", "--rm", f"--network=container:{name}", f"--volume={tests}", *RESTRICTED)
        said = await command(*run, "--entrypoint=python", image, "/test/join.py", "http://localhost:8080")
        assert "heard the other client join" in said
        assert await command("docker", "exec", name, "join-session", "list")
    assert await command("docker", "run", "--rm", image, "--version")


@asynccontextmanager
async def _service(image: str) -> AsyncIterator[str]:
    """A replica with a Redis; the name of its container."""
    name = "join-session-e2e-image"
    redis = f"{name}-redis"
    await _remove(name, redis)
    try:
        await command("docker", "network", "create", name)
        await command("docker", "run", "--detach", f"--name={redis}", f"--network={name}", REDIS, timeout=300)
        settings = (
            f"--env=JOIN_SESSION_REDIS_URL=redis://{redis}:6379/0",
            "--env=JOIN_SESSION_OPERATOR_TOKEN=0123456789abcdef",
        )
        options = (f"--name={name}", f"--network={name}", "--health-interval=1s", *RESTRICTED)
        await command("docker", "run", "--detach", *options, *settings, image)
        yield name
    finally:
        await _remove(name, redis)


async def _healthy(name: str) -> None:
    async with asyncio.timeout(60):
        while True:
            health = await _inspect(name, "{{json .State.Health}}")
            if '"Status":"healthy"' in health:
                return
            assert '"Status":"unhealthy"' not in health, health
            await asyncio.sleep(0.2)


async def _remove(name: str, redis: str) -> None:
    for words in (("rm", "--force", "--volumes", name, redis), ("network", "rm", name)):
        try:
            await command("docker", *words)
        except CommandFailed:
            pass


def _checkout(folder: Path) -> Path:
    """The build context as somebody else has it: other times, and modes of another umask."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    checkout = folder / "checkout"
    for name in ("Dockerfile", ".dockerignore", *allowed):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, copy_function=shutil.copy)
        else:
            shutil.copy(ROOT / name, checkout / name)
    for path in checkout.rglob("*"):
        path.chmod(path.stat().st_mode | 0o020)
    return checkout


async def _build(context: Path, image: str) -> None:
    build = ("docker", "build", "--quiet", "--no-cache", "--target=production", f"--tag={image}", str(context))
    await command(*build, timeout=600)


async def _layers(image: str) -> list[str]:
    layers: list[str] = json.loads(await _inspect(image, "{{json .RootFS.Layers}}"))
    return layers


async def _inspect(name: str, what: str) -> str:
    return (await command("docker", "inspect", "--format", what, name)).strip()


async def _files(image: str, folder: Path) -> list[tarfile.TarInfo]:
    exported = folder / "image.tar"
    container = (await command("docker", "create", image)).strip()
    try:
        await command("docker", "export", f"--output={exported}", container)
    finally:
        await command("docker", "rm", container)
    with tarfile.open(exported) as archive:
        return archive.getmembers()
