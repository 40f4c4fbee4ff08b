"""What a session looks like in a terminal: its title, ranking and people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from app.commands.tables import table
from app.commands.times import relative

__all__ = ["View"]

_RANKING: Final = ("NO", "RANK", "MOVIE", "COMPATIBILITY", "RATINGS", "VETOES", "YOU")
# Besides the ranking: a space, title, headings, what is not shown, decision, prompt, and a line of what has happened.
_OTHER_ROWS: Final = 7


class View:
    """The newest state of a session. Each movie keeps its number, whatever its rank is."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {"movies": [], "participants": []}
        self.meta: dict[str, Any] = {}
        self._numbers: dict[str, int] = {}

    def take(self, data: dict[str, Any], meta: dict[str, Any]) -> None:
        """Show another state."""
        self.data, self.meta = data, meta
        for movie in data["movies"]:
            self._numbers.setdefault(movie["id"], len(self._numbers) + 1)

    def numbered(self, number: int) -> dict[str, Any] | None:
        """Return the movie with a number."""
        return next((movie for movie in self.data["movies"] if self._numbers[movie["id"]] == number), None)

    def name_of(self, participant_id: str | None) -> str:
        people = self.data["participants"]
        return next((str(each["name"]) for each in people if each["id"] == participant_id), "a participant")

    def title_of(self, movie_id: str) -> str:
        return next((str(movie["title"]) for movie in self.data["movies"] if movie["id"] == movie_id), movie_id)

    def block(self, votes: Mapping[str, int], width: int, height: int, status: str = "") -> list[str]:
        """Return the lines of the live block: as much of the ranking as there is room for."""
        if not self.meta:
            return [status] if status else []
        rows = max(1, height - _OTHER_ROWS)
        ranking = self.ranking(votes, width - 1).splitlines()
        hidden = len(ranking) - 1 - rows
        more = [f"… and {hidden} more: type ranking"] if hidden > 0 else []
        return ["", self._headline(), *ranking[: rows + 1], *more, *self._decision(), *([status] if status else [])]

    def ranking(self, votes: Mapping[str, int], width: int) -> str:
        """Return the table of all movies, the best first."""
        ranked = sorted(self.data["movies"], key=lambda movie: movie["rank"] or 0)
        rows = [
            (
                self._numbers[movie["id"]],
                movie["rank"],
                movie["title"],
                movie["compatibility"],
                movie["count"],
                movie["vetoes"],
                votes.get(movie["id"]),
            )
            for movie in ranked
        ]
        return table(_RANKING, rows, width=width) if rows else "No movies yet: type add and a title"

    def people(self, width: int) -> str:
        """Return the table of the participants; of many only the first are listed."""
        rows = [
            (each["name"], each["role"], "yes" if each["connected"] else "no", each["rated"])
            for each in self.data["participants"]
        ]
        unlisted = self.meta["people"] - len(rows)
        listed = table(("NAME", "ROLE", "CONNECTED", "RATED"), rows, width=width)
        return listed + (f"\n… and {unlisted} more" if unlisted > 0 else "")

    def _headline(self) -> str:
        meta = self.meta
        count = meta["people"]
        expires = relative(meta["expiresAt"], datetime.now(UTC))
        title = f"{meta['title']}, session" if meta["title"] else "Session"
        return f"{title} {meta['sessionID']}: {count} {'person' if count == 1 else 'people'}, ends {expires}"

    def _decision(self) -> Iterator[str]:
        decision = self.meta["decision"]
        if decision is not None:
            yield f"Decided: {self.title_of(decision['movieID'])} (by {decision['by']})"
        elif self.meta["decideAt"] is not None:
            yield f"The decision comes {relative(self.meta['decideAt'], datetime.now(UTC))}"
