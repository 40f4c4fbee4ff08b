"""A replica's copy of a session: what it reads, and the changes that it applies."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.head import Head
from app.sessions.model import Session
from app.sessions.rating import Tally
from app.store.mirror import SessionMirror
from app.store.session_hash import StoredSession

Fields = dict[bytes, bytes]
Changes = dict[bytes, bytes | None]

IDS = st.sampled_from(["a", "b", "c", "d"])
NUMBERS = st.integers(0, 9)


def version(number: int, fields: Fields) -> StoredSession:
    settled = {
        b"instance": b"i",
        b"created": b"1",
        b"deadline": b"2000",
        b"locked": b"0",
        b"capacity": b"10",
    }
    return StoredSession("123456", settled | fields, 1000 + number, Head("e", number))


@st.composite
def people(draw: st.DrawFn) -> Fields:
    fields: Fields = {}
    for order, person in enumerate(draw(st.permutations(["a", "b", "c"]))):
        joined, name = draw(NUMBERS), draw(st.sampled_from(["Ann", "Bo|b", "Čeněk"]))
        fields[b"p:" + person.encode()] = f"{order}|{joined}|{name}".encode()
        if draw(st.booleans()):
            fields[b"d:" + person.encode()] = b"5"
        if draw(st.booleans()):
            fields[b"o:" + person.encode()] = draw(st.sampled_from([b"r.1", b"r.2"]))
    if draw(st.booleans()):
        fields[b"host"] = draw(IDS).encode()
    return fields


@st.composite
def movies(draw: st.DrawFn) -> Fields:
    fields: Fields = {}
    for order, movie in enumerate(draw(st.lists(IDS, unique=True))):
        details = orjson.dumps({"id": movie, "title": draw(st.sampled_from(["Up", 'W|all"E']))}).decode()
        fields[b"m:" + movie.encode()] = (
            f"{order}|{draw(NUMBERS)}|{draw(st.sampled_from(['', 'a']))}|{details}".encode()
        )
        fields[b"t:%d" % order] = b"%d %d %d" % (draw(NUMBERS), draw(NUMBERS), draw(NUMBERS) * 25)
    return fields


def changes(before: Fields, after: Fields) -> Changes:
    return {name: after.get(name) for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def alone(stored: StoredSession) -> Session:
    return SessionMirror("123456", 200).read(stored)


def assert_same(session: Session, other: Session) -> None:
    assert session == other
    assert session.data == other.data == orjson.dumps(orjson.loads(session.data))
    assert list(session.participants) == list(other.participants)
    assert list(session.movies) == list(other.movies)


@given(st.lists(st.tuples(people(), movies(), st.booleans()), min_size=1, max_size=6))
def test_each_version_that_is_read_or_applied_is_as_if_it_were_the_first(
    versions: list[tuple[Fields, Fields, bool]],
) -> None:
    mirror, before = SessionMirror("123456", 200), None
    for number, (persons, films, is_announced) in enumerate(versions):
        stored = version(number, persons | films)
        if is_announced and before is not None:
            assert mirror.apply(stored.head, stored.expires_at, changes(dict(before.fields), dict(stored.fields)))
        else:
            mirror.read(stored)
        assert mirror.session is not None
        assert_same(mirror.session, alone(stored))
        before = stored


def test_only_what_has_changed_is_parsed_and_encoded_again() -> None:
    mirror = SessionMirror("123456", 200)
    movies = {b"m:%d" % n: b'%d|1||{"id":"%d"}' % (n, n) for n in range(3)}
    tallies = {b"t:%d" % n: b"1 0 50" for n in range(3)}
    first = mirror.read(version(1, {b"p:a": b"1|1|Ann", **movies, **tallies}))
    second = mirror.read(version(2, {b"p:a": b"1|1|Ann", **movies, **tallies, b"t:1": b"2 0 150"}))
    assert second.participants is first.participants
    assert second.movies["0"] is first.movies["0"]
    assert second.movies["1"] is not first.movies["1"]
    assert second.movies["1"].details is first.movies["1"].details
    assert second.movies["1"].tally == Tally(2, 0, 150)
    assert mirror.apply(Head("e", 3), 1003, {b"d:a": b"5"})
    assert (third := mirror.session) is not None
    assert third.movies is second.movies
    assert third.movies.encoded is second.movies.encoded
    assert not third.participants["a"].connected


def test_what_is_known_is_passed_over_and_what_may_be_missing_has_to_be_read() -> None:
    mirror = SessionMirror("123456", 200)
    title: Changes = {b"title": b"x"}
    assert not mirror.apply(Head("e", 1), 1001, title)
    known = mirror.read(version(5, {}))
    for passed_over in (4, 5):
        assert mirror.apply(Head("e", passed_over), 2000, title)
    for missing in (Head("e", 7), Head("f", 6), Head("f", 5)):
        assert not mirror.apply(missing, 2000, title)
    for withheld in ((None, title), (2000, None)):
        assert not mirror.apply(Head("e", 6), *withheld)
    assert mirror.session is known
    assert mirror.apply(Head("e", 6), 2000, title)
    assert mirror.session.title == "x"
    # A read that was overtaken.
    assert mirror.read(version(5, {})) is mirror.session
    assert mirror.read(version(6, {})).title is None


def test_after_a_malformed_field_nothing_is_known() -> None:
    mirror = SessionMirror("123456", 200)
    mirror.read(version(1, {b"p:a": b"1|1|Ann"}))
    with pytest.raises(ValueError, match="not enough values"):
        mirror.apply(Head("e", 2), 1002, {b"p:a": b"nobody"})
    assert mirror.session is None
    assert not mirror.apply(Head("e", 3), 1003, {})
    stored = version(3, {b"p:b": b"2|1|Bob"})
    assert_same(mirror.read(stored), alone(stored))


def test_another_time_of_expiry_changes_nothing_else() -> None:
    mirror = SessionMirror("123456", 200)
    mirror.extend(5000)
    before = mirror.read(version(1, {b"p:a": b"1|1|Ann"}))
    mirror.extend(5000)
    assert mirror.session == replace(before, expires_at=5000)
