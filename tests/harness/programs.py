"""Programs from Linux distributions that are not on PyPI."""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["program"]


def program(name: str, package: str | None = None) -> str:
    """Return the path of a program of Debian's `package`, by default the package of the same name.

    If the program is absent the test is skipped, or fails if tests may not be skipped.
    """
    # Debian installs servers in folders that are not in the PATH of ordinary users.
    found = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))
    return found or pytest.skip(f"no {name} on the PATH (Debian's package {package or name} has it)")
