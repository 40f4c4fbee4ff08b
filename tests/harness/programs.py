"""Programs that come with a Linux distribution and not from PyPI."""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["program"]


def program(name: str, package: str | None = None) -> str:
    """The path of a program of Debian's `package`, by default the one of its name.

    A test that wants one that is absent is skipped, or fails where no test may skip.
    """
    # Debian keeps servers where the PATH of ordinary users does not lead.
    found = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))
    return found or pytest.skip(f"no {name} on the PATH (Debian's package {package or name} has it)")
