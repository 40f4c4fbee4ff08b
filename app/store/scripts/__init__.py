"""The Lua scripts, one file for each atomic step.

The folder ``session`` has the steps of a session. Shared code is in files whose names begin with ``_``. A step is sent
with the shared functions that it uses and no others: Redis creates all functions of a script at each call, which takes
longer than most of them run. The other scripts work on one list or counter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from app.redis_client.client import Script

__all__ = ["LIST_SCRIPTS", "SESSION_SCRIPTS", "ListScripts", "SessionScripts", "load_scripts"]

_SHARED: Final = ("_prelude", "_people", "_decision", "_replies", "_change")
_COMMENT: Final = re.compile(r"^ *--.*\n", re.MULTILINE)
# What stands between empty lines, from the margin.
_BLOCKS: Final = re.compile(r"\n\n+(?=\S)")
# A function, or a variable in one line.
_DEFINITION: Final = re.compile(r"local (?:function (\w+)\(|(\w+) = .*$)")


@dataclass(frozen=True, slots=True)
class SessionScripts:
    """The steps on the keys of one session, named after their files."""

    add_movies: Script
    authorize: Script
    create: Script
    decide: Script
    decide_due: Script
    detach: Script
    end_session: Script
    expire: Script
    join: Script
    leave: Script
    new_epoch: Script
    observe: Script
    reap: Script
    remove_movie: Script
    remove_participant: Script
    rename_participant: Script
    reopen: Script
    rotate_host_token: Script
    sweep: Script
    touch: Script
    transfer_host: Script
    update_session: Script
    vote: Script


@dataclass(frozen=True, slots=True)
class ListScripts:
    """The steps on a list or counter, named after their files."""

    claim_due: Script
    claim_session: Script
    forget_recovery: Script
    list_event: Script
    list_sessions: Script
    renew_lease: Script
    reserve_look_ups: Script
    schedule_due: Script
    schedule_outbox: Script
    settle_due: Script
    settle_look_ups: Script
    settle_outbox: Script
    tell_details: Script
    unlist_event: Script


def load_scripts(folder: Traversable) -> tuple[SessionScripts, ListScripts]:
    """Load all scripts of a folder; raise RuntimeError if one is missing or unused."""
    steps = _texts(folder / "session", {*_names(SessionScripts), *_SHARED})
    shared = "\n".join(steps.pop(part) for part in _SHARED)
    others = _texts(folder, _names(ListScripts))
    return (
        SessionScripts(**{name: _script(name, _with_shared(shared, text)) for name, text in steps.items()}),
        ListScripts(**{name: _script(name, text) for name, text in others.items()}),
    )


def _with_shared(shared: str, text: str) -> str:
    """The step behind the shared parts, but for definitions that are not used from there on."""
    text = _COMMENT.sub("", text)
    for block in reversed(_BLOCKS.split(_COMMENT.sub("", shared))):
        definition = _DEFINITION.match(block)
        if definition is None or re.search(rf"\b{definition[1] or definition[2]}\b", text):
            text = f"{block}\n\n{text}"
    return text


def _texts(folder: Traversable, used: set[str]) -> dict[str, str]:
    names = {path.name.removesuffix(".lua") for path in folder.iterdir() if path.name.endswith(".lua")}
    if names != used:
        raise RuntimeError(f"Lua scripts: missing {sorted(used - names)}, unused {sorted(names - used)}")
    return {name: (folder / f"{name}.lua").read_text() for name in names}


def _names(kind: type[SessionScripts | ListScripts]) -> set[str]:
    return {field.name for field in fields(kind)}


def _script(name: str, text: str) -> Script:
    # The name in metrics and spans.
    return Script(name.replace("_", "-"), text)


SESSION_SCRIPTS, LIST_SCRIPTS = load_scripts(files(__package__))
