"""A socket's own budget of failed look-ups."""

from __future__ import annotations

from app.sessions.admission import SocketMisses


def test_a_sockets_misses_are_forgotten_a_minute_after_the_first() -> None:
    misses = SocketMisses()
    misses.add(now=100.0)
    misses.add(now=159.0)
    assert (misses.count, misses.seconds_left(159.0)) == (2, 1.0)
    misses.add(now=160.0)
    assert (misses.count, misses.seconds_left(160.0)) == (1, 60.0)
