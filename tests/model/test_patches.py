"""Patches, applied by implementations of RFC 6902 that are not ours: any version becomes any later one."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, Final, TypeVar

import jsonpatch
import orjson
import pytest
from hypothesis import example, given

from app.sessions.head import Head
from app.sessions.model import MovieEntry, Movies, ParticipantEntry, Participants, Session
from app.sessions.patches import patch, patch_meta
from app.sessions.rating import Tally
from tests.harness.histories import EMPTY, HISTORIES, with_movies, with_participants

E = TypeVar("E", Movies, Participants)

NOW: Final = "2026-01-22T12:00:00.000Z"
VERBS: Final = {"add", "remove", "replace"}


def movie(number: int, tally: Tally | None = None) -> MovieEntry:
    details = {"id": f"m{number}", "title": f"Movie {number}", "overview": "x" * 100}
    return MovieEntry(f"m{number}", number, EMPTY.created_at, "p1", details, tally or Tally(1, 0, 100))


def participant(number: int, order: int | None = None) -> ParticipantEntry:
    place = number if order is None else order
    return ParticipantEntry(f"p{number}", place, EMPTY.created_at, f"Guest {number}", connected=True)


def session(movies: int = 0, people: int = 0) -> Session:
    return with_participants(with_movies(EMPTY, *map(movie, range(movies))), *map(participant, range(people)))


def operations(before: Session, after: Session) -> list[dict[str, Any]]:
    """The patch, which was applied, too."""
    made = patch(before, after)
    assert made is not None
    parsed: list[dict[str, Any]] = orjson.loads(made)
    assert applied(before, parsed) == orjson.loads(after.data)
    return parsed


def applied(before: Session, made: list[dict[str, Any]]) -> Any:
    return jsonpatch.apply_patch(orjson.loads(before.data), made)


def without(entries: E, *names: str) -> E:
    return type(entries)({id_: entry for id_, entry in entries.items() if id_ not in names})


@given(HISTORIES)
@example([session(3, 3), replace(session(3, 3), participants=Participants(), movies=Movies()), session(1, 1)])
def test_a_patch_turns_any_version_into_any_later_one(versions: list[Session]) -> None:
    for before, after in itertools.combinations(versions, 2):
        made = patch(before, after)
        if made is None:
            continue
        assert len(made) <= len(after.data)
        assert orjson.dumps(orjson.loads(made)) == made
        assert {operation["op"] for operation in orjson.loads(made)} <= VERBS
        assert applied(before, orjson.loads(made)) == orjson.loads(after.data)


def test_where_nothing_has_changed_there_is_nothing_to_do() -> None:
    before = session(2, 2)
    assert patch(before, before) == b"[]"
    assert patch(before, replace(session(2, 2), title="Friday")) == b"[]"


def test_a_patch_larger_than_the_state_is_not_made() -> None:
    before, after = session(300), with_movies(session(0), movie(1))
    assert patch(before, after) is None
    assert patch(after, session(1, 1)) is None
    assert patch(session(30, 30), EMPTY) is None


def test_a_vote_changes_single_fields() -> None:
    before = session(12)
    after = with_movies(before, movie(11, Tally(2, 0, 200)))
    made = operations(before, after)
    ranks = [{"op": "replace", "path": f"/movies/{index}/rank", "value": index + 2} for index in range(11)]
    assert made == [
        {"op": "replace", "path": "/movies/11/count", "value": 2},
        {"op": "replace", "path": "/movies/11/rank", "value": 1},
        *ranks,
    ]


def test_an_entry_is_replaced_where_that_is_smaller() -> None:
    before = with_participants(EMPTY, participant(1))
    after = with_participants(
        before, replace(participant(1), name="N", connected=False, joined_at=EMPTY.created_at + 1)
    )
    [operation] = operations(replace(before, host="p1"), after)
    assert (operation["op"], operation["path"]) == ("replace", "/participants/0")


@pytest.mark.parametrize("indexes", ["0", "0 1", "0 4", "1 3", "2 3 4"])
def test_several_are_removed_and_added_at_once(indexes: str) -> None:
    gone = indexes.split()
    before = session(5, 5)
    after = with_movies(
        replace(
            before,
            movies=without(before.movies, *(f"m{index}" for index in gone)),
            participants=without(before.participants, *(f"p{index}" for index in gone)),
        ),
        movie(5),
        movie(6),
    )
    made = operations(before, with_participants(after, participant(5), participant(6)))
    removed = [operation["path"] for operation in made if operation["op"] == "remove"]
    assert removed == [f"/{kind}/{index}" for kind in ("movies", "participants") for index in reversed(gone)]


def test_a_participant_who_left_and_came_back_moves_to_the_end() -> None:
    before = session(0, 4)
    after = with_participants(replace(before, participants=without(before.participants, "p1")), participant(1, 9))
    assert [(operation["op"], operation["path"]) for operation in operations(before, after)] == [
        ("remove", "/participants/1"),
        ("add", "/participants/3"),
    ]


def test_a_membership_that_is_restored_keeps_its_place() -> None:
    after = session(0, 4)
    before = replace(after, participants=without(after.participants, "p1"))
    assert [(operation["op"], operation["path"]) for operation in operations(before, after)] == [
        ("add", "/participants/1")
    ]


@pytest.mark.parametrize(("host", "roles"), [("p2", {0: "member", 2: "host"}), (None, {0: "member"})])
def test_another_host_changes_two_roles(host: str | None, roles: dict[int, str]) -> None:
    before = replace(session(0, 4), host="p0")
    assert operations(before, replace(before, host=host)) == [
        {"op": "replace", "path": f"/participants/{index}/role", "value": role} for index, role in roles.items()
    ]


def test_a_host_who_leaves_is_followed_by_another_one() -> None:
    before = replace(session(0, 4), host="p0")
    after = replace(before, participants=without(before.participants, "p0"), host="p1")
    assert operations(before, after) == [
        {"op": "remove", "path": "/participants/0"},
        {"op": "replace", "path": "/participants/0/role", "value": "host"},
    ]


@pytest.mark.parametrize("movies", [30, 500])
@pytest.mark.parametrize(
    ("tally", "limit"),
    [
        # Another rating, another veto, a rating that was changed; and a rating that was a veto, which changes them all.
        pytest.param(Tally(101, 33, 5550), 350, id="rating"),
        pytest.param(Tally(100, 34, 5475), 350, id="veto"),
        pytest.param(Tally(100, 33, 5575), 350, id="higher"),
        pytest.param(Tally(101, 32, 5500), 390, id="no veto any more"),
    ],
)
def test_a_vote_is_small(movies: int, tally: Tally, limit: int) -> None:
    """With all that is sent: under 55 bytes more for each rank that changes."""
    before = with_movies(session(), *(movie(number, Tally(100, 33, 5475)) for number in range(movies)))
    before = replace(before, head=Head(EMPTY.head.epoch, 99_999))
    for number in (0, movies // 2, movies - 1):
        after = with_movies(before, movie(number, tally))
        after = replace(after, head=Head(EMPTY.head.epoch, 100_000), expires_at=before.expires_at + 1)
        made = patch(before, after)
        assert made is not None
        then, now = before.movies.ranks, after.movies.ranks
        changed = sum(then[id_] != now[id_] for id_ in now)
        meta, offset = patch_meta(before.meta, after.meta, NOW), str(after.head)
        event = b'42["session-patch",%b,%b]' % (made, orjson.dumps([meta, offset])[1:-1])
        assert len(event) < limit + 55 * changed


def test_a_vote_neither_encodes_nor_compares_participants() -> None:
    before = session(30, 1000)
    after = with_movies(before, movie(3, Tally(2, 0, 175)))
    assert patch(before, after) is not None
    # A reader makes another dictionary of the same participants.
    again = replace(after, participants=Participants(after.participants))
    assert patch(before, again) == patch(before, after)
    assert not any(entry._encoded for entry in before.participants.values())
    assert [entry.id for entry in after.movies.values() if entry._encoded] == ["m3"]


def test_the_meta_of_a_patch_is_what_has_changed() -> None:
    before = replace(EMPTY, head=Head("e", 3))
    after = replace(before, head=Head("e", 7), title="Friday", expires_at=EMPTY.expires_at + 1)
    assert patch_meta(before.meta, after.meta, NOW) == {
        "epoch": "e",
        "version": 7,
        "from": 3,
        "title": "Friday",
        "expiresAt": "2026-01-22T12:01:40.001Z",
    }
    assert patch_meta(after.meta, after.meta, NOW) == {"epoch": "e", "version": 7, "from": 7}
