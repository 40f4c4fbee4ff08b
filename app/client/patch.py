"""Applies the patches of a session (RFC 6902: ``add``, ``remove`` and ``replace``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PatchError", "SessionCopy", "apply_patch"]


class PatchError(ValueError):
    """The patch does not fit the state that the client holds."""


@dataclass(frozen=True, slots=True)
class SessionCopy:
    """The newest state that a client holds: ``sessionData`` and ``meta``."""

    data: dict[str, Any]
    meta: dict[str, Any]

    def patched(self, operations: Sequence[Mapping[str, Any]], meta: Mapping[str, Any]) -> SessionCopy:
        """Return the state after a ``session-patch``; raises PatchError if the patch does not start at this state."""
        if (meta["epoch"], meta["from"]) != (self.meta["epoch"], self.meta["version"]):
            raise PatchError("the patch starts at another state")
        changed = {name: value for name, value in meta.items() if name != "from"}
        return SessionCopy(apply_patch(self.data, operations), self.meta | changed)


def apply_patch(document: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """Return a document after the operations; raises PatchError if one is impossible.

    The given document stays as it is. What no operation touches is shared with it.
    """
    try:
        for operation in operations:
            names = [name.replace("~1", "/").replace("~0", "~") for name in operation["path"].split("/")[1:]]
            document = _applied(document, names, operation)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise PatchError("an operation cannot be applied") from error
    return document


def _applied(document: Any, names: Sequence[str], operation: Mapping[str, Any]) -> Any:
    if not names:
        return operation["value"]
    name, *rest = names
    changed, verb = document.copy(), operation["op"]
    key: Any = _index(name, len(document)) if isinstance(document, list) else name
    if rest:
        changed[key] = _applied(document[key], rest, operation)
    elif verb == "add" and isinstance(changed, list):
        changed.insert(key, operation["value"])
    elif verb == "add":
        changed[key] = operation["value"]
    elif verb == "remove":
        del changed[key]
    elif verb == "replace":
        # It must be there.
        _, changed[key] = document[key], operation["value"]
    else:
        raise ValueError("an unknown operation")
    return changed


def _index(name: str, length: int) -> int:
    if name == "-":
        return length
    if str(int(name)) != name or not 0 <= int(name) <= length:
        raise ValueError("not an index")
    return int(name)
