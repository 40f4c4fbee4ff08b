"""Describes what has changed from one update to the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.client.participant import Frame

__all__ = ["changes"]


def changes(before: Frame | None, after: Frame) -> Iterator[str]:
    """Describe the differences between two updates; ``before`` is None for the first."""
    data = after.arguments[0]
    if before is None:
        yield f"{_number(_people_in(after), 'participant')}, {_number(data['movies'], 'movie')}"
        return
    former = before.arguments[0]
    then, now = _by_id(former["participants"]), _by_id(data["participants"])
    yield from _people(then, now)
    if _people_in(before) == len(then) and _people_in(after) == len(now):
        yield from (f"{now[key]['name']} joined" for key in now if key not in then)
        yield from (f"{then[key]['name']} left" for key in then if key not in now)
    elif _people_in(before) != _people_in(after):
        # Only some are listed, and another one is when one of them leaves.
        yield _number(_people_in(after), "participant")
    yield from _movies(_by_id(former["movies"]), _by_id(data["movies"]))


def _people(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for key, person in after.items():
        was = before.get(key)
        if was is None:
            continue
        if was["connected"] != person["connected"]:
            yield f"{person['name']} {'reconnected' if person['connected'] else 'disconnected'}"
        if person["role"] == "host" != was["role"]:
            yield f"{person['name']} is host"


def _people_in(update: Frame) -> int:
    data, meta, *_ = update.arguments
    # The version before does not count them.
    return int(meta.get("people", len(data["participants"])))


def _movies(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for key, movie in after.items():
        was = before.get(key)
        if was is None:
            yield f"{movie['title']} added"
        elif any(was[name] != movie[name] for name in ("count", "vetoes", "score")):
            yield f"{movie['title']} {movie['compatibility']} ({_number(movie['count'], 'rating')}" + (
                f", {_number(movie['vetoes'], 'veto', 'vetoes')})" if movie["vetoes"] else ")"
            )
    yield from (f"{movie['title']} removed" for key, movie in before.items() if key not in after)


def _by_id(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {item["id"]: item for item in items}


def _number(things: Any, one: str, many: str | None = None) -> str:
    count = things if isinstance(things, int) else len(things)
    return f"{count} {one if count == 1 else many or one + 's'}"
