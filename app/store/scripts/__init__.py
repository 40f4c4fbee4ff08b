"""The Lua scripts. Those in ``session`` are the atomic steps of a session, the others work on one list or counter."""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Final, Self

from app.redis_client.client import Script

__all__ = ["SessionScripts", "load_script"]

# What all steps share, in front of each of them.
_SHARED: Final = ("_prelude", "_replies", "_change")


@dataclass(frozen=True, slots=True)
class SessionScripts:
    """The atomic steps of a session: one script in the folder ``session`` each, under the name of its file."""

    add_movies: Script
    authorize: Script
    create: Script
    detach: Script
    end_session: Script
    join: Script
    leave: Script
    new_epoch: Script
    reap: Script
    remove_movie: Script
    remove_participant: Script
    rotate_host_token: Script
    sweep: Script
    touch: Script
    transfer_host: Script
    update_session: Script
    vote: Script

    @classmethod
    def load(cls) -> Self:
        """Read all steps; raise RuntimeError where a script is missing or belongs to no step."""
        folder = files(__package__) / "session"
        texts = {path.name.removesuffix(".lua"): path.read_text() for path in folder.iterdir()}
        shared = "".join(texts.pop(part) for part in _SHARED)
        steps = {field.name for field in fields(cls)}
        if texts.keys() != steps:
            missing, unused = sorted(steps - texts.keys()), sorted(texts.keys() - steps)
            raise RuntimeError(f"scripts of sessions: missing {missing}, unused {unused}")
        return cls(**{name: _script(name, shared + text) for name, text in texts.items()})


def load_script(name: str) -> Script:
    """Read the script ``<name>.lua``; raise FileNotFoundError where there is none."""
    return _script(name, (files(__package__) / f"{name}.lua").read_text())


def _script(name: str, text: str) -> Script:
    return Script(name.replace("_", "-"), text)
