"""The intervals of updates, by a clock that stands still."""

from __future__ import annotations

import pytest

from app.realtime.pace import Pace


@pytest.mark.parametrize(
    ("size", "sockets", "seconds"),
    [
        pytest.param(340, 1, 0.05, id="the least"),
        pytest.param(20_000_000, 100, 0.4, id="by the bytes"),
        pytest.param(340_000, 1000, 0.2, id="by the sockets"),
        pytest.param(10**9, 100, 2, id="the most"),
    ],
)
def test_updates_follow_each_other_at_an_interval(size: int, sockets: int, seconds: float) -> None:
    now = 100.0
    pace = Pace(lambda: now)
    assert pace.is_update_due()
    pace.updated(size, sockets)
    assert not pace.is_update_due()
    assert pace.remaining(newcomers=False) == pytest.approx(seconds)
    now += seconds + 1e-6
    assert pace.is_update_due()


def test_newcomers_wait_only_for_what_they_are_sent() -> None:
    pace = Pace(lambda: 100.0)
    pace.updated(20_000_000, 1000)
    assert pace.remaining(newcomers=True) == pytest.approx(20_000 / 2_000_000)
