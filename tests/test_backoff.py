"""Pauses between attempts."""

from __future__ import annotations

import pytest

from app.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(0.1, 0.5)
    pauses = [backoff.next() for _ in range(5)]
    for pause, longest in zip(pauses, (0.1, 0.2, 0.4, 0.5, 0.5), strict=True):
        assert longest / 2 <= pause <= longest


def test_two_callers_do_not_wait_equally_long() -> None:
    assert len({Backoff(1, 1).next() for _ in range(20)}) > 1


def test_success_begins_with_the_first_pause_again() -> None:
    backoff = Backoff(0.1, 10)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.1


@pytest.mark.parametrize("longest", [0.02, 0.1])
def test_no_pause_is_longer_than_the_longest(longest: float) -> None:
    backoff = Backoff(0.1, longest)
    assert max(backoff.next() for _ in range(5)) <= longest
