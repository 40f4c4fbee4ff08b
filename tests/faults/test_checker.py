"""The checker catches each lie: a run in which all is well, and what is said when one thing in it is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.checker import Answer, Change, Entry, Log, Room, State, lies

E1, E2, E3, E4 = (State("e", version, f"h{version}") for version in range(1, 5))
WORDS = frozenset({"secret-a"})
PEOPLE = frozenset({"p1", "p2"})


def update(at: float, state: State, words: frozenset[str] = WORDS, people: frozenset[str] = PEOPLE) -> Entry:
    return Entry(at, "update", state, words, people)


def room() -> Room:
    """Two clients; the first loses its connection and is recovered; one change each."""
    return Room(
        word="secret-a",
        logs=[
            Log(
                "c1",
                "p1",
                [
                    Entry(1, "connect"),
                    Entry(1, "joining"),
                    Entry(2, "joined"),
                    update(2, E1),
                    Entry(5, "disconnect"),
                    Entry(6, "connect", recovered=True),
                    update(7, E3),
                    update(8, E4),
                ],
            ),
            Log(
                "c2",
                "p2",
                [
                    Entry(1, "connect"),
                    Entry(1, "joining"),
                    Entry(2, "joined"),
                    update(2, E1),
                    update(3, E2),
                    update(4, E3),
                    update(9, E4),
                ],
            ),
        ],
        changes=[
            Change("c2", "m2", "first", [Answer("done", 2, socket="s2")]),
            Change("c2", "m3", "second", [Answer("done", 3, socket="s2")]),
            Change("c1", "m4", "third", [Answer("unknown"), Answer("done", 4, socket="s1")]),
        ],
        readings=[E4, E4, E4],
        movies=["first", "second", "third"],
    )


def entries(log: int, change: Callable[[list[Entry]], object]) -> Callable[[Room], object]:
    return lambda room: change(room.logs[log].entries)


def change(number: int, **fields: object) -> Callable[[Room], object]:
    def edit(room: Room) -> None:
        for name, value in fields.items():
            setattr(room.changes[number], name, value)

    return edit


def reading(state: State) -> Callable[[Room], object]:
    return lambda room: room.readings.__setitem__(2, state)


CASES: list[tuple[str, Callable[[Room], object]]] = [
    ("the replicas do not agree", reading(E3)),
    ("c1 ended at", entries(0, lambda log: log.pop())),
    ("was taken back from version 3 to 2", entries(1, lambda log: log.insert(6, update(5, E2)))),
    (
        "was taken back to epoch e",
        entries(1, lambda log: log.insert(6, update(5, State("f", 1, "f1")))),
    ),
    ("saw another state of version 3", entries(1, lambda log: log.__setitem__(5, update(4, State("e", 3, "x"))))),
    ("HTTP saw another state of version 4", lambda room: room.readings.__setitem__(2, State("e", 4, "x"))),
    ("m4 was acknowledged and is not there", lambda room: room.movies.remove("third")),
    ("m3 was refused and is there", change(1, answers=[Answer("refused")])),
    ("fourth is there and nobody has added it", lambda room: room.movies.append("fourth")),
    ("m4 was taken for another change", change(2, answers=[Answer("done", 4, fresh=False)])),
    ("m4 was done more than once", change(2, answers=[Answer("done", 4), Answer("done", 5)])),
    ("m3 and m2 share version 2", change(1, answers=[Answer("done", 2)])),
    ("third is there more than once", lambda room: room.movies.append("third")),
    ("c2 saw ['secret-a', 'secret-b']", entries(1, lambda log: log.append(update(9, E4, WORDS | {"secret-b"})))),
    ("c1 saw [] instead", entries(0, lambda log: log.append(update(9, E4, frozenset())))),
    ("c2 has joined without asking, or twice", entries(1, lambda log: log.insert(3, Entry(2, "joined")))),
    ("c2 got an error although it has joined", entries(1, lambda log: log.insert(3, Entry(2, "error")))),
    ("c2 never heard whether it has joined", entries(1, lambda log: log.append(Entry(9, "joining")))),
    ("c2 got an update without being a member", entries(1, lambda log: log.insert(2, update(1, E1)))),
    ("c2 got an update without being a member", entries(1, lambda log: log.insert(5, Entry(3, "left")))),
    ("c2 got an update without being a member", entries(1, lambda log: log.insert(5, Entry(3, "ended")))),
    ("c2 got an update after it was kicked", entries(1, lambda log: log.insert(4, Entry(3, "kicked", E3)))),
    (
        "c1 was recovered into another epoch",
        entries(0, lambda log: log.__setitem__(6, update(7, State("f", 3, "f3")))),
    ),
    (
        "c1 was recovered and does not take part",
        entries(0, lambda log: log.__setitem__(6, update(7, E3, people=frozenset({"p2"})))),
    ),
    ("c1 was recovered to version 2", entries(0, lambda log: log.__setitem__(6, update(7, E2)))),
    ("c1 was told that it is not recovered", entries(0, lambda log: log.__setitem__(5, Entry(6, "connect")))),
    ("m3 took effect before m2", lambda room: room.movies.sort(key=["second", "first", "third"].index)),
]


def test_a_run_in_which_all_is_well_holds_no_lie() -> None:
    assert lies(room()) == []


@pytest.mark.parametrize(("said", "edit"), CASES, ids=[f"{number}-{said}" for number, (said, _) in enumerate(CASES)])
def test_each_lie_is_caught(said: str, edit: Callable[[Room], object]) -> None:
    lying = room()
    edit(lying)
    found = lies(lying)
    assert any(said in lie for lie in found), found


def test_what_is_lost_is_excused_by_a_later_epoch_only() -> None:
    losing = replace(room(), may_lose=True)
    losing.movies.remove("third")
    assert lies(losing) == ["m4 was acknowledged and is not there"]
    later = State("f", 4, "f4")
    for log in losing.logs:
        log.entries.append(update(10, later))
    losing.readings = [later] * 3
    assert lies(losing) == []
    losing.changes[2].answers = [Answer("done", 4, at=11)]
    assert lies(losing) == ["m4 was acknowledged and is not there"]


def test_an_unknown_outcome_may_be_either() -> None:
    unknown = room()
    unknown.changes[2].answers = [Answer("unknown")]
    assert lies(unknown) == []
    unknown.movies.remove("third")
    assert lies(unknown) == []


def test_who_is_out_need_not_be_at_the_head() -> None:
    leaving = room()
    leaving.logs[1].entries[6:] = [Entry(5, "left")]
    assert lies(leaving) == []
