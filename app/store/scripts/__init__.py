"""The Lua scripts: every change of a session is one of them, so one atomic step in Redis."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from app.redis_client.client import Script

_SHARED: Final = ("_prelude", "_replies", "_change")

__all__ = ["load_script", "load_session_script"]


def load_script(name: str) -> Script:
    """The script ``<name>.lua`` by itself."""
    return Script(name, (files(__package__) / f"{name.replace('-', '_')}.lua").read_text())


def load_session_script(name: str) -> Script:
    """The script ``<name>.lua`` behind what all scripts on a session share; ``name`` may be an event's."""
    folder = files(__package__)
    parts = (*_SHARED, name.replace("-", "_"))
    return Script(name, "".join((folder / f"{part}.lua").read_text() for part in parts))
