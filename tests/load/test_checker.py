"""What the load's checker says of histories: of true ones nothing, and of each lie its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from app.client.checker import KINDS, SessionCheck, State
from app.client.ledger import Change, ChangeKind
from app.client.statistics import percentiles
from app.sessions.rating import VETO, Tally, points, ranking

CLIENTS: Final = 3
MOVIES: Final = ("a", "b", "c")
DEADLINE: Final = 5.0

# One change of somebody, and who of the clients is shown the state after it.
Step = tuple[int, ChangeKind, str, int, frozenset[int]]
STEPS: Final = st.lists(
    st.tuples(
        st.integers(0, CLIENTS - 1),
        st.sampled_from(("add-movie", "remove-movie", "vote", "withdraw-vote")),
        st.sampled_from(MOVIES),
        st.integers(1, 5),
        st.frozensets(st.integers(0, CLIENTS - 1)),
    ),
    max_size=30,
)


class World:
    """A session that is as it should be: each step takes a second, and everybody is shown the last state."""

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self.check = SessionCheck(7, CLIENTS)
        self.version = 0
        self.movies: dict[str, dict[int, int]] = {}
        self._gone: set[str] = set()
        for client, watcher in enumerate(self.check.watchers):
            watcher.joining()
            watcher.joined()
            watcher.update(self.state, 1.0)
            watcher.entered(0, 1.0)
            self.check.participants.add(f"p{client}")
        for number, step in enumerate(steps):
            self.step(10.0 + number, *step)
        self.show(range(CLIENTS), 10.5 + len(steps))

    @property
    def state(self) -> State:
        return State("e", self.version, str(self.version).encode())

    @property
    def data(self) -> dict[str, Any]:
        tallies = {name: _tally(votes.values()) for name, votes in self.movies.items()}
        ranks = ranking(tallies.items())
        return {
            "participants": [{"id": f"p{client}"} for client in range(CLIENTS)],
            "movies": [
                {
                    "id": name,
                    "count": tally.count,
                    "vetoes": tally.vetoes,
                    "score": tally.score,
                    "compatibility": tally.compatibility,
                    "rank": ranks[name],
                }
                for name, tally in tallies.items()
            ],
        }

    def step(
        self, at: float, client: int, kind: ChangeKind, movie: str, rating: int = 0, shown: frozenset[int] = frozenset()
    ) -> Change:
        change = Change(client, kind, movie, rating if kind == "vote" else 0, emitted=at, answered=at + 0.2)
        self.check.changes.append(change)
        if self._apply(change):
            self.version += 1
            change.outcome, change.place = "done", self.check.place("e", self.version)
        else:
            change.outcome = "refused"
        self.show(shown, at + 0.1)
        return change

    def show(self, clients: Any, at: float) -> None:
        for client in sorted(clients):
            watcher = self.check.watchers[client]
            if watcher.shown != self.state:
                watcher.update(self.state, at)

    def kinds(self, *readings: State, data: Any = None) -> set[str]:
        """What it is accused of."""
        shown = self.data if data is None else data
        people = {person["id"] for person in shown["participants"]}
        found = self.check.judge(readings or (self.state,), shown["movies"], people, DEADLINE)
        assert {violation.kind for violation in found} <= KINDS.keys()
        return {violation.kind for violation in found}

    def _apply(self, change: Change) -> bool:
        # A movie that was there once does not come back: clients give each one an id of its own.
        if change.kind == "add-movie":
            if change.movie in self.movies or change.movie in self._gone:
                return False
            self.movies[change.movie] = {}
            return True
        if change.movie not in self.movies:
            return False
        if change.kind == "remove-movie":
            self._gone.add(change.movie)
            del self.movies[change.movie]
        else:
            self.movies[change.movie][change.client] = change.rating
        return True


def _tally(ratings: Any) -> Tally:
    counted = [rating for rating in ratings if rating > VETO]
    return Tally(len(counted), sum(rating == VETO for rating in ratings), sum(map(points, counted)))


def rated() -> World:
    """Two movies, one of which has two ratings."""
    everybody = frozenset(range(CLIENTS))
    return World(
        [
            (0, "add-movie", "a", 0, everybody),
            (1, "add-movie", "b", 0, everybody),
            (1, "vote", "a", 5, everybody),
            (2, "vote", "a", 4, everybody),
        ]
    )


@given(STEPS)
def test_of_what_is_true_nothing_is_said(steps: list[Step]) -> None:
    # The last state comes in time for what nobody saw at once.
    steps = [(*step[:4], step[4] if number % 3 else frozenset(range(CLIENTS))) for number, step in enumerate(steps)]
    world = World(steps)
    assert world.kinds() == set()
    assert all(0 <= delay <= 4 for delay in world.check.delays())


@given(STEPS, st.integers(0, CLIENTS - 1))
def test_a_version_again_is_a_duplicate_and_an_older_one_a_step_back(steps: list[Step], victim: int) -> None:
    world = World(steps)
    watcher = world.check.watchers[victim]
    watcher.update(world.state, 99)
    assert "duplicate" in world.kinds()
    if world.version:
        watcher.update(State("e", world.version - 1, str(world.version - 1).encode()), 99)
        assert {"version-back", "not-converged"} <= world.kinds()


@given(STEPS, st.integers(0, CLIENTS - 1))
def test_other_content_of_a_version_is_a_divergence(steps: list[Step], victim: int) -> None:
    world = World(steps)
    world.version += 1
    world.show(set(range(CLIENTS)) - {victim}, 99)
    world.check.watchers[victim].update(State("e", world.version, b"other"), 99)
    assert "divergence" in world.kinds()


@given(STEPS, st.integers(0, CLIENTS - 1))
def test_who_misses_the_last_change_has_not_converged(steps: list[Step], victim: int) -> None:
    world = World(steps)
    world.step(90, victim, "add-movie", "new", 0, frozenset(range(CLIENTS)) - {victim})
    assert world.kinds() == {"missed-update", "not-converged"}


def test_what_is_seen_after_the_deadline_was_missed() -> None:
    world = rated()
    world.step(20, 0, "add-movie", "c", 0, frozenset({0, 1}))
    world.show({2}, 20.2 + DEADLINE + 0.1)
    assert world.kinds() == {"missed-update"}


def test_what_happens_while_one_is_away_is_not_missed_as_long_as_one_ends_at_the_head() -> None:
    world = rated()
    away = world.check.watchers[2]
    away.lost(19)
    world.step(20, 0, "add-movie", "c", 0, frozenset({0, 1}))
    away.joining()
    away.joined()
    away.update(world.state, 40)
    away.entered(world.version, 40)
    assert world.kinds() == set()
    assert len(list(world.check.delays())) == 4 * (CLIENTS - 1) + 1


def test_after_joining_again_the_same_version_may_come_again() -> None:
    world = rated()
    watcher = world.check.watchers[0]
    watcher.joining()
    watcher.joined()
    watcher.update(world.state, 50)
    assert world.kinds() == set()


def test_joining_is_answered_once_and_before_the_state_which_is_not_older() -> None:
    world = rated()
    world.check.watchers[0].joined()
    assert world.kinds() == {"wrong-order"}

    world = rated()
    world.check.watchers[0].lost(30)
    world.check.watchers[0].joining()
    world.check.watchers[0].update(world.state, 50)
    assert world.kinds() == {"wrong-order"}

    world = rated()
    watcher = world.check.watchers[0]
    watcher.lost(30)
    watcher.joining()
    watcher.joined()
    watcher.update(world.state, 50)
    watcher.entered(world.version + 1, 50)
    assert world.kinds() == {"wrong-order"}


def test_what_was_acknowledged_must_be_there_and_nothing_else() -> None:
    world = rated()
    del world.movies["b"]
    assert world.kinds() == {"lost-change"}

    world = rated()
    world.movies["x"] = {}
    assert world.kinds() == {"phantom-change"}

    world = rated()
    world.step(20, 1, "remove-movie", "b", 0, frozenset(range(CLIENTS)))
    world.movies["b"] = {}
    assert world.kinds() == {"lost-change"}

    world = rated()
    world.movies["a"][2] = 5
    assert world.kinds() == {"wrong-tally"}


def test_what_is_unknown_may_be_there_or_not() -> None:
    for done in (False, True):
        world = rated()
        for kind, movie, rating in (("vote", "a", 1), ("add-movie", "c", 0), ("remove-movie", "b", 0)):
            unknown = Change(1, kind, movie, rating)  # type: ignore[arg-type]
            world.check.changes.append(unknown)
            if done:
                world._apply(unknown)
        assert world.kinds() == set()


def test_ranks_must_follow_from_the_ratings() -> None:
    world = rated()
    data = world.data
    for movie in data["movies"]:
        movie["rank"] = 3 - movie["rank"]
    assert world.kinds(data=data) == {"wrong-ranking"}


def test_who_joined_is_there_and_nobody_else() -> None:
    world = rated()
    missing = world.data | {"participants": world.data["participants"][1:]}
    assert world.kinds(data=missing) == {"lost-change"}

    stranger = {"participants": [*world.data["participants"], {"id": "x"}]}
    world = rated()
    world.check.strangers = 1
    assert world.kinds(data=world.data | stranger) == set()
    assert rated().kinds(data=world.data | stranger) == {"phantom-change"}


def test_a_new_epoch_excuses_what_is_gone_but_must_not_end() -> None:
    def lost() -> World:
        world = rated()
        del world.movies["b"]
        for watcher in world.check.watchers:
            watcher.update(State("f", 1, b"f"), 50)
        return world

    world = lost()
    assert world.kinds(State("f", 1, b"f")) == set()
    assert world.check.epochs == 2

    world = lost()
    world.check.watchers[0].update(State("e", 99, b"e"), 51)
    assert world.kinds(State("f", 1, b"f")) == {"version-back", "not-converged"}


def test_replicas_that_tell_different_versions_have_not_converged() -> None:
    world = rated()
    assert world.kinds(world.state, State("e", world.version - 1, str(world.version - 1).encode())) == {"not-converged"}
    world = rated()
    assert world.kinds(world.state, State("e", world.version, b"other")) == {"divergence"}


@given(st.lists(st.floats(0, 100), min_size=1))
def test_percentiles_are_times_that_were_measured(seconds: list[float]) -> None:
    told = percentiles(seconds)
    milliseconds = {round(1000 * second, 3) for second in seconds}
    for percent in (50, 90, 99):
        value = told[f"p{percent}"]  # type: ignore[literal-required]
        assert value in milliseconds
        assert sum(round(1000 * second, 3) <= value for second in seconds) * 100 >= percent * len(seconds)
    assert told["max"] == max(milliseconds)
    assert told["count"] == len(seconds)


def test_without_times_there_are_no_percentiles() -> None:
    assert percentiles([]) == {"count": 0, "p50": None, "p90": None, "p99": None, "max": None}
