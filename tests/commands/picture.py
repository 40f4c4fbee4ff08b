"""Takes the picture of `join` in a terminal, `docs/terminal.svg`: `python -m tests.commands.picture`."""

from __future__ import annotations

import asyncio
from html import escape
from pathlib import Path
from typing import Final

from tests.harness.people import Api
from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS, replicas
from tests.harness.sockets import open_sockets
from tests.harness.terminal import Terminal, terminal

__all__ = ["svg"]

DOCS: Final = Path(__file__).parents[2] / "docs"
MOVIES: Final = ("Alien (1979)", "Arrival (2016)", "Heat (1995)", "Past Lives (2023)", "Spirited Away (2001)")
RATINGS: Final = {"Bo": (5, 4, 1, 5, 3), "Cy": (3, 4, 4, 4, 5)}
# The size of a cell, and the space around the screen.
WIDTH: Final = 8.4
HEIGHT: Final = 19
BASELINE: Final = 14
MARGIN: Final = 14


def svg(shown: Terminal) -> str:
    """Draw what is on the screen, with its cursor."""
    lines = shown.text.splitlines()
    width, height = round(shown.screen.columns * WIDTH + 2 * MARGIN), len(lines) * HEIGHT + 2 * MARGIN
    x, y = MARGIN + shown.screen.cursor.x * WIDTH, MARGIN + shown.screen.cursor.y * HEIGHT
    drawn = [
        "<style>text { font: 14px ui-monospace, Menlo, Consolas, monospace; fill: #d7dde4; white-space: pre }</style>",
        '<rect width="100%" height="100%" rx="8" fill="#16191d"/>',
        f'<rect x="{x:.1f}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="#d7dde4"/>',
    ]
    for row, line in enumerate(lines):
        place = f'x="{MARGIN}" y="{MARGIN + row * HEIGHT + BASELINE}" textLength="{len(line) * WIDTH:.1f}"'
        drawn.append(f"<text {place}>{escape(line)}</text>")
    drawn = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">', *drawn, "</svg>", ""]
    return "\n".join(drawn)


async def main() -> None:
    async with RedisServer() as redis, replicas(redis.url(), 1, **DIGITS) as [replica]:
        api = Api([replica])
        made = await api.create(title="Movie night")
        as_host = ("--url", replica.url, "--token", made.host_token)
        async with terminal("join", made.code, "--name", "Anna", *as_host, columns=76) as anna:
            await anna.shows("You are Anna")
            for movie in MOVIES:
                anna.type(f"add {movie}\r")
                await anna.shows(f"{movie.partition(' (')[0]} added")
            movies = [movie["id"] for movie in (await api.read(made.code))["sessionData"]["movies"]]
            async with open_sockets([replica.url], len(RATINGS)) as sockets:
                for socket, (name, ratings) in zip(sockets, RATINGS.items(), strict=True):
                    await socket.emit("join-session", made.code, {"name": name})
                    await anna.shows(f"{name} joined")
                    for movie_id, rating in zip(movies, ratings, strict=True):
                        await socket.emit("vote", {"movieID": movie_id, "rating": rating})
                for number, rating in enumerate((4, 5, 2, 5), 1):
                    anna.type(f"{number} {rating}\r")
                await anna.shows("Past Lives 92 (3 ratings)")
                anna.type("rate spirited 4")
                await anna.shows("> rate spirited 4")
                await asyncio.to_thread((DOCS / "terminal.svg").write_text, svg(anna))
        await api.close()


if __name__ == "__main__":
    asyncio.run(main())
