"""Copies the Python that runs this, its environment and what these load into a folder, the root of an image.

python runtime.py FOLDER, in a builder stage, by the environment's Python. No shell, no pip, no other program.
"""

import os
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

# Of the standard library: what installs packages, has windows or terminals, is a database, or is a test.
UNUSED = (
    *("ensurepip", "site-packages", "dist-packages", "venv", "config-*"),
    *("idlelib", "tkinter", "_tkinter.*", "turtle.py", "turtledemo", "curses", "_curses*", "readline.*"),
    *("dbm", "_dbm.*", "_gdbm.*", "sqlite3", "_sqlite3.*"),
    *("test", "_test*", "_ctypes_test.*", "_xx*", "xx*", "lib2to3", "pydoc_data"),
)
# Bytecode is made anew, for all files alike; sources of compiled modules do nothing.
UNUSED_SUFFIXES = {".pyc", ".c", ".h", ".pyx", ".pxd", ".pxi"}

USERS = "root:x:0:0::/:\njoin-session:x:10001:10001::/srv:\n"
GROUPS = "root:x:0:\njoin-session:x:10001:\n"


def main(root: Path) -> None:
    """Fill the folder ``root``."""
    python = [Path(sys.executable), *standard_library(), *environment()]
    libraries = loaded_by([python[0], *(path for path in python if path.suffix == ".so")])
    trust = ssl.get_default_verify_paths()
    certificates = Path(trust.openssl_capath, "ca-certificates.crt")
    system = [*libraries, certificates, Path("/etc/nsswitch.conf"), Path("/etc/os-release")]
    for path in (*python, *system):
        copy(path, root)
    # Of the two places where OpenSSL looks, the one for a single file.
    Path(root, trust.openssl_cafile.lstrip("/")).symlink_to(certificates)
    for name in packages_of(system):
        describe(name, root)
    (root / "etc" / "passwd").write_text(USERS)
    (root / "etc" / "group").write_text(GROUPS)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    # So that the loader finds each library where it is.
    folders = sorted({str(path.parent) for path in libraries})
    output("ldconfig", "-X", "-r", root, *folders)


def standard_library() -> list[Path]:
    """Its files, without what is unused."""
    folder = Path(sysconfig.get_path("stdlib"))
    return [
        path
        for path in files(folder)
        if not any(fnmatch(part, unused) for part in path.relative_to(folder).parts for unused in UNUSED)
    ]


def environment() -> list[Path]:
    """Its files, without the commands of packages."""
    folder = Path(sys.prefix)
    return [path for path in files(folder) if path.parent != folder / "bin" or path.is_symlink()]


def files(folder: Path) -> Iterator[Path]:
    """Files and links anywhere below the folder."""
    for path in folder.rglob("*"):
        if (path.is_symlink() or path.is_file()) and path.suffix not in UNUSED_SUFFIXES:
            yield path


def loaded_by(programs: list[Path]) -> list[Path]:
    """The loader and the shared libraries, but those that the environment has itself."""
    said = output("ldd", *programs)
    if "not found" in said:
        sys.exit(said)
    found = {Path(name) for name in re.findall(r"^\t(?:\S+ => )?(/\S+) \(0x", said, re.MULTILINE)}
    return [path for path in found if not path.is_relative_to(sys.prefix)]


def copy(path: Path, root: Path) -> None:
    """Copy a file, and the links by which it is reached, to the same place below the root."""
    for part in (*reversed(path.parents), path):
        if part.is_symlink():
            link = place(part, root)
            if not link.is_symlink():
                link.symlink_to(part.readlink())
            copy(Path(os.path.normpath(part.parent / part.readlink()), path.relative_to(part)), root)
            return
    if path.is_file():
        shutil.copy(path, place(path, root))


def place(path: Path, root: Path) -> Path:
    """Where that is below the root, in a folder that exists."""
    there = root / path.relative_to("/")
    there.parent.mkdir(parents=True, exist_ok=True)
    return there


def packages_of(paths: list[Path]) -> set[str]:
    """The Debian packages that these files are from."""
    real = [str(path.resolve()) for path in paths]
    # Packages may know a file by its place before /lib became a link to /usr/lib.
    known = (*real, *(name.removeprefix("/usr") for name in real))
    said = output("dpkg-query", "--search", *known, may_fail=True)
    return {name.partition(":")[0] for line in said.splitlines() for name in line.rpartition(": ")[0].split(", ")}


def describe(package: str, root: Path) -> None:
    """Leave a Debian package's version, for scanners, and its licence."""
    place(Path("/var/lib/dpkg/status.d", package), root).write_text(output("dpkg-query", "--status", package))
    copy(Path("/usr/share/doc", package, "copyright"), root)


def output(*command: str | Path, may_fail: bool = False) -> str:
    """What a command prints."""
    return subprocess.run(command, check=not may_fail, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
