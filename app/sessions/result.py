"""The result of a session, for people who take it along."""

from __future__ import annotations

import csv
import io
from typing import Final, cast

from app.sessions.answer_fields import Standing
from app.sessions.answers import Result, ResultMovie
from app.sessions.errors import SessionError
from app.sessions.model import MovieEntry, Session

__all__ = ["result_of_session", "to_csv"]

_COLUMNS: Final = ("rank", "title", "year", "compatibility", "score", "count", "vetoes", "movieID")
# What spreadsheets take for a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def result_of_session(session: Session) -> Result:
    """Return the result; raise ``not-decided`` before there is one."""
    decision = session.decision
    if decision is None:
        raise SessionError("not-decided")
    return {
        "sessionID": session.code,
        "title": session.title,
        "movieID": decision.movie,
        "by": decision.by,
        "tied": list(decision.tied),
        "decidedAt": decision.shown["decidedAt"],
        "people": len(session.participants),
        "ranking": [
            _movie(place, session.movies[place["movieID"]])
            for place in decision.shown["ranking"]
            # Replicas of an earlier release remove movies while it is decided.
            if place["movieID"] in session.movies
        ],
    }


def to_csv(result: Result) -> str:
    """Return the ranking as CSV (RFC 4180), with a line of names first."""
    text = io.StringIO()
    rows = csv.DictWriter(text, _COLUMNS, restval="")
    rows.writeheader()
    for movie in result["ranking"]:
        rows.writerow({name: _cell(value) for name, value in movie.items()})
    return text.getvalue()


def _movie(place: Standing, entry: MovieEntry) -> ResultMovie:
    named = {name: entry.details[name] for name in ("title", "year") if name in entry.details}
    return cast("ResultMovie", {**place, **named})


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
