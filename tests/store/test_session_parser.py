"""Parsing the versions of a session one after another."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.model import Head
from app.store.session_hash import SessionParser, StoredSession

Fields = dict[bytes, bytes]

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


@given(st.lists(st.tuples(people(), movies()), min_size=1, max_size=6))
def test_each_version_is_parsed_as_if_it_were_the_first(versions: list[tuple[Fields, Fields]]) -> None:
    parser = SessionParser()
    for number, (persons, films) in enumerate(versions):
        stored = version(number, persons | films)
        parsed, alone = parser.parse(stored), SessionParser().parse(stored)
        assert parsed == alone
        assert parsed.data == alone.data == orjson.dumps(orjson.loads(parsed.data))
        assert list(parsed.participants) == list(alone.participants)
        assert list(parsed.movies) == list(alone.movies)


def test_only_entries_that_have_changed_are_parsed_again() -> None:
    parser = SessionParser()
    movies = {b"m:%d" % n: b'%d|1||{"id":"%d"}' % (n, n) for n in range(3)}
    tallies = {b"t:%d" % n: b"1 0 50" for n in range(3)}
    first = parser.parse(version(1, {b"p:a": b"1|1|Ann", **movies, **tallies}))
    second = parser.parse(version(2, {b"p:a": b"1|1|Ann", **movies, **tallies, b"t:1": b"2 0 150"}))
    assert second.participants["a"] is first.participants["a"]
    assert second.movies["0"] is first.movies["0"]
    assert second.movies["1"] is not first.movies["1"]
    assert second.movies["1"].details is first.movies["1"].details
    assert second.movies["1"].tally.count == 2
