"""Patches: RFC 6902 operations that turn the ``sessionData`` of one version of a session into that of a later one.

Entries that have not changed are the same objects in both versions. They are recognized by that and neither compared
nor encoded, so the cost of a patch follows the size of the change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress, count
from operator import is_not
from typing import Final, Generic, NamedTuple, TypeVar, cast

import orjson

from app.sessions.answers import PatchMeta, VersionMeta
from app.sessions.model import MovieEntry, ParticipantEntry, Session

__all__ = ["patch", "patch_meta"]

E = TypeVar("E", MovieEntry, ParticipantEntry)

# No movie and no participant is shorter as JSON.
_SMALLEST_ENTRY_BYTES: Final = 80


def patch(before: Session, after: Session) -> bytes | None:
    """Return the operations as JSON, in the order in which to apply them; None if the whole state is smaller."""
    operations = b"[%b]" % b",".join([*_movies(before, after), *_participants(before, after)])
    entries = len(after.movies) + len(after.listed_participants)
    # Most patches are so small that the state need not be encoded to know that it is larger.
    if len(operations) > _SMALLEST_ENTRY_BYTES * entries and len(operations) > len(after.data):
        return None
    return operations


def patch_meta(before: VersionMeta, after: VersionMeta, now: str) -> PatchMeta:
    """Return the ``meta`` of a patch: where it starts and ends, what has changed, and the time while that is needed."""
    known: Mapping[str, object] = before
    changed = {key: value for key, value in after.items() if value != known[key]}
    head = {"epoch": after["epoch"], "version": after["version"], "from": before["version"]}
    clock = {} if after["decideAt"] is None else {"now": now}
    return cast("PatchMeta", head | changed | clock)


def _movies(before: Session, after: Session) -> Iterator[bytes]:
    then, now = before.movies, after.movies
    if then is now:
        return
    ranks_then, ranks = then.ranks, now.ranks
    listed = [*now.values()]
    difference = _difference([*then.values()], listed)
    yield from _removals(b"/movies", difference)
    for index in difference.added:
        yield _operation(b"add", b"/movies/%d" % index, listed[index].encoded(ranks.get(listed[index].id)))
    for place, old, new in difference.changed:
        old_json, new_json = old.encoded(ranks_then.get(old.id)), new.encoded(ranks.get(new.id))
        yield from _changes(b"/movies/%d" % place, old_json, new_json)
    for index, movie in enumerate(listed):
        rank = ranks.get(movie.id)
        if rank != ranks_then.get(movie.id) and rank is not None and then.get(movie.id) is movie:
            yield _operation(b"replace", b"/movies/%d/rank" % index, b"%d" % rank)


def _participants(before: Session, after: Session) -> Iterator[bytes]:
    if before.participants is after.participants and before.host == after.host:
        return
    then, now = before.listed_participants, after.listed_participants
    difference = _difference(then, now)
    yield from _removals(b"/participants", difference)
    for index in difference.added:
        yield _operation(b"add", b"/participants/%d" % index, now[index].encoded(after.role_of(now[index])))
    for place, old, new in difference.changed:
        old_json, new_json = old.encoded(before.role_of(old)), new.encoded(after.role_of(new))
        yield from _changes(b"/participants/%d" % place, old_json, new_json)
    if before.host == after.host:
        return
    kept = {id(entry) for entry in then}
    for index, entry in enumerate(now):
        if entry.id in (before.host, after.host) and id(entry) in kept:
            yield _operation(b"replace", b"/participants/%d/role" % index, orjson.dumps(after.role_of(entry)))


class _Changed(NamedTuple, Generic[E]):
    """An entry that has other content. ``place`` is its index in the later version."""

    place: int
    before: E
    after: E


class _Difference(NamedTuple, Generic[E]):
    """How one list becomes another: indexes in the first that go, indexes in the second that come, and what changes."""

    removed: list[int]
    added: list[int]
    changed: list[_Changed[E]]


def _difference(before: Sequence[E], after: Sequence[E]) -> _Difference[E]:
    """Compare two lists, both in ascending ``order``."""
    difference: _Difference[E] = _Difference([], [], [])
    then = now = _identical(before, after)
    tail = _identical(before[:then:-1], after[:now:-1])
    then_end, now_end = len(before) - tail, len(after) - tail
    while then < then_end and now < now_end:
        old, new = before[then], after[now]
        if old is new or (old.order == new.order and old.id == new.id):
            if old is not new:
                difference.changed.append(_Changed(now, old, new))
            then, now = then + 1, now + 1
        elif old.order <= new.order:
            difference.removed.append(then)
            then += 1
        else:
            difference.added.append(now)
            now += 1
    difference.removed.extend(range(then, then_end))
    difference.added.extend(range(now, now_end))
    return difference


def _identical(before: Sequence[E], after: Sequence[E]) -> int:
    """Return the number of entries at the beginning that are the same objects."""
    return next(compress(count(), map(is_not, before, after)), min(len(before), len(after)))


def _removals(path: bytes, difference: _Difference[E]) -> Iterator[bytes]:
    """From the highest index down, so that the others stay valid."""
    for index in reversed(difference.removed):
        yield b'{"op":"remove","path":"%b/%d"}' % (path, index)


def _changes(path: bytes, before: bytes, after: bytes) -> Iterator[bytes]:
    """Replace what has changed in an object, or all of it if that is smaller."""
    old, new = orjson.loads(before), orjson.loads(after)
    fields = [b'{"op":"remove","path":"%b/%b"}' % (path, name.encode()) for name in old if name not in new]
    for name, value in new.items():
        if name not in old or old[name] != value:
            verb = b"replace" if name in old else b"add"
            fields.append(_operation(verb, b"%b/%b" % (path, name.encode()), orjson.dumps(value)))
    whole = _operation(b"replace", path, after)
    if sum(map(len, fields)) + len(fields) <= len(whole):
        yield from fields
    else:
        yield whole


def _operation(verb: bytes, path: bytes, value: bytes) -> bytes:
    return b'{"op":"%b","path":"%b","value":%b}' % (verb, path, value)
