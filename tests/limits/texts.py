"""Attempts on what reading a text costs."""

from __future__ import annotations

from tests.harness.people import movie
from tests.harness.redis import RedisServer
from tests.limits.attempts import exceeds, limited
from tests.limits.sessions import refused

__all__: list[str] = []


@exceeds("Combining marks in a row, in names, titles, overviews and genres")
async def more_marks_in_a_row(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        made = await replica.api.create(movies=[movie(overview="a" + "\u0316" * 30)])
        for field in ("title", "overview"):
            body = movie(**{field: "a" + "\u0316" * 31})
            answer = await replica.api.call("POST", f"{made.path}/movies", token=made.host_token, json=body)
            assert refused(answer, 400, "invalid-payload")
