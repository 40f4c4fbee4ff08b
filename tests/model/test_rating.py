"""Ratings against a reckoning in decimals, and what must hold of any ranking."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.rating import RATINGS, VETO, Tally, points, ranking
from tests.harness.reckoning import figures, ranks

ratings = st.lists(st.integers(1, 5), max_size=60)
crowds = st.fixed_dictionaries({rating: st.integers(0, 2000) for rating in RATINGS})


def tally(given_ratings: list[int]) -> Tally:
    liked = [rating for rating in given_ratings if rating != VETO]
    return Tally(len(liked), len(given_ratings) - len(liked), sum(map(points, liked)))


def shown(counted: Tally) -> dict[str, float]:
    return {
        "count": counted.count,
        "vetoes": counted.vetoes,
        "score": counted.score,
        "compatibility": counted.compatibility,
    }


@pytest.mark.parametrize(
    ("given_ratings", "compatibility"),
    [([5], 100), ([2], 25), ([3, 4], 63), ([1], 0), ([5, 5, 1], 24), ([4, 1, 1], 2), ([5, 1], 9), ([], 0)],
)
def test_the_reckoning_itself_gives_the_figures_of_the_contract(given_ratings: list[int], compatibility: int) -> None:
    assert figures(given_ratings)["compatibility"] == compatibility
    assert tally(given_ratings).compatibility == compatibility


@given(ratings)
def test_a_tally_is_what_its_ratings_are_worth(given_ratings: list[int]) -> None:
    assert shown(tally(given_ratings)) == figures(given_ratings)


@given(crowds)
def test_a_tally_of_thousands_is_rounded_as_exactly(crowd: dict[int, int]) -> None:
    given_ratings = [rating for rating, people in crowd.items() for _ in range(people)]
    assert shown(tally(given_ratings)) == figures(given_ratings)


@pytest.mark.parametrize("others", range(1, 40))
def test_every_small_tally_is_rounded_half_up(others: int) -> None:
    for vetoes in range(8):
        for total in range(25 * others, 100 * others + 1, 25):
            # Fill up from below: any sum of points in steps of 25 is that of some ratings.
            steps = total // 25 - others
            given_ratings = [2 + min(3, max(0, steps - 3 * index)) for index in range(others)] + [VETO] * vetoes
            assert shown(Tally(others, vetoes, total)) == figures(given_ratings)


@given(st.lists(ratings, max_size=12))
def test_a_ranking_is_the_one_total_order_of_the_contract(all_ratings: list[list[int]]) -> None:
    tallies = {f"m{number}": tally(given_ratings) for number, given_ratings in enumerate(all_ratings)}
    ranked = ranking(tallies.items())
    assert ranked == ranks(
        {name: figures(given_ratings) for name, given_ratings in zip(tallies, all_ratings, strict=True)}
    )
    assert sorted(ranked.values()) == list(range(1, len(tallies) + 1))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5), st.integers(0, 5)), max_size=60), st.randoms())
def test_a_ranking_does_not_depend_on_the_order_in_which_the_ratings_arrived(
    votes: list[tuple[int, int, int]], drawn: random.Random
) -> None:
    """Each person's last rating of a movie counts, so only the votes of different people or movies change places."""
    effective = {(person, movie): rating for person, movie, rating in votes}

    def ranked(order: list[tuple[tuple[int, int], int]]) -> dict[str, int]:
        by_movie: dict[int, list[int]] = {movie: [] for movie in range(6)}
        for (_, movie), rating in order:
            if rating:
                by_movie[movie].append(rating)
        return ranking((str(movie), tally(by_movie[movie])) for movie in by_movie)

    shuffled = list(effective.items())
    drawn.shuffle(shuffled)
    assert ranked(shuffled) == ranked(list(effective.items()))


@given(ratings, st.integers(2, 5))
def test_a_veto_never_helps_and_a_better_rating_never_harms(given_ratings: list[int], rating: int) -> None:
    plain = tally([*given_ratings, rating]).compatibility
    assert tally([*given_ratings, rating, VETO]).compatibility <= plain
    assert tally([*given_ratings, min(5, rating + 1)]).compatibility >= plain
    assert 0 <= plain <= 100
