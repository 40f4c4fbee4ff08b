"""``list``, ``show``, ``end``, ``kick``, ``drain``: commands for operators, over the internal port."""

from __future__ import annotations

import functools
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote, urlencode

import click

from app.commands.api import ask
from app.commands.command import command
from app.commands.configuration import configuration
from app.commands.exits import OK
from app.commands.failures import Failure, MisconfiguredError
from app.commands.options import as_json, http_url
from app.commands.progress import show_progress
from app.commands.tables import table
from app.commands.times import when
from app.sessions.codes import typed_code
from app.terminal import printable

__all__ = ["drain_command", "end_command", "kick_command", "list_command", "show_command"]

_POLL_SECONDS: Final = 0.5
_COLUMNS: Final = ("SESSION", "TITLE", "PEOPLE", "MOVIES", "VERSION", "CREATED", "EXPIRES")


class OperatorApi:
    """The operators' API of one replica. Raises MisconfiguredError if no operator token is set."""

    def __init__(self, url: str | None) -> None:
        settings = configuration()
        if settings.operator_token is None:
            raise MisconfiguredError("JOIN_SESSION_OPERATOR_TOKEN is not set")
        self._url = url or f"http://localhost:{settings.internal_port}"
        self._token = settings.operator_token.get_secret_value()

    def ask(self, method: str, path: str) -> Any:
        """Send a request; return the JSON of its response. Raises Failure."""
        try:
            return ask(method, f"{self._url}/operator{path}", token=self._token)
        except Failure as error:
            if error.code != "not-found":
                raise
            reason = f"the operators' API is off at {self._url}: it needs JOIN_SESSION_OPERATOR_TOKEN there"
            raise Failure(reason, error.code) from error


def _with_api(function: Callable[..., None]) -> Callable[..., int]:
    """Give a command the options that all of them have, and the API in place of ``--url``."""

    @functools.wraps(function)
    def run(url: str | None, **options: Any) -> int:
        function(OperatorApi(url), **options)
        return OK

    help_text = "Address of the internal port. Default: localhost and JOIN_SESSION_INTERNAL_PORT."
    return click.option("--url", metavar="URL", type=http_url, help=help_text)(as_json(run))


_code: Final = click.argument("code", help="Code of the session, or its link.")


@command(
    "join-session list",
    "join-session list --all --json | jq .sessionID",
    "kubectl exec deploy/join-session -- join-session list",
)
@click.option("--limit", type=int, default=50, show_default=True, help="Sessions per page, up to 500.")
@click.option("--all", "every", is_flag=True, help="Print all pages.")
@_with_api
def list_command(api: OperatorApi, limit: int, every: bool, as_json: bool) -> None:
    """List the live sessions, soonest to expire first.

    With --json one line is printed for each session.
    """
    sessions = _sessions(api, limit, every)
    if as_json:
        for session in sessions:
            print(json.dumps(session), flush=True)
        return
    rows = [_row(session) for session in sessions]
    print(table(_COLUMNS, rows, width=_width()))


@command("join-session show 123456")
@_code
@_with_api
def show_command(api: OperatorApi, code: str, as_json: bool) -> None:
    """Show a session: its participants, and its movies by rank."""
    session = api.ask("GET", _path(code))
    if as_json:
        print(json.dumps(session))
        return
    meta, data = session["meta"], session["sessionData"]
    print(printable(f"Session {session['sessionID']}, {meta['title'] or 'untitled'}, version {meta['version']}"))
    print(
        f"created {when(data['createdAt'])}, expires {when(meta['expiresAt'])}{', locked' if meta['locked'] else ''}\n"
    )
    people = [
        (each["id"], each["name"], each["role"], "yes" if each["connected"] else "no", when(each["joinedAt"]))
        for each in data["participants"]
    ]
    print(table(("PARTICIPANT", "NAME", "ROLE", "CONNECTED", "JOINED"), people, width=_width()), end="\n\n")
    movies = [
        (movie["rank"], movie["title"], movie["compatibility"], movie["count"], movie["vetoes"])
        for movie in sorted(data["movies"], key=lambda movie: movie["rank"] or 0)
    ]
    print(table(("RANK", "MOVIE", "COMPATIBILITY", "RATINGS", "VETOES"), movies, width=_width()))


@command("join-session end 123456")
@_code
@_with_api
def end_command(api: OperatorApi, code: str, as_json: bool) -> None:
    """End a session and notify its members."""
    _print_done(api.ask("DELETE", _path(code)), as_json, "The session has ended.")


@command("join-session kick 123456 PARTICIPANT --ban    # `show` prints the ids of participants")
@_code
@click.argument("participant", help="Id of the participant, as `show` prints it.")
@click.option("--ban", is_flag=True, help="Also void the token of the participant.")
@_with_api
def kick_command(api: OperatorApi, code: str, participant: str, ban: bool, as_json: bool) -> None:
    """Remove a participant from a session and notify them."""
    path = f"{_path(code)}/participants/{quote(participant, safe='')}"
    answer = api.ask("DELETE", path + ("?ban=true" if ban else ""))
    _print_done(answer, as_json, "Banned." if ban else "Removed.")


@command("join-session drain --wait")
@click.option("--wait", is_flag=True, help="Wait until all clients have moved.")
@_with_api
def drain_command(api: OperatorApi, wait: bool, as_json: bool) -> None:
    """Move the clients of a replica to the others.

    The replica accepts no new clients until it is restarted.
    """
    answer = api.ask("POST", "/drain")
    clients = answer["clients"]
    while wait and clients:
        show_progress(f"{clients} clients are still connected")
        time.sleep(_POLL_SECONDS)
        clients = api.ask("GET", "/replicas")["asked"]["connections"]
    show_progress("")
    said = "All clients moved." if not clients else f"{clients} clients are moving to other replicas."
    _print_done(answer | {"clients": clients}, as_json, said)


def _path(code: str) -> str:
    # A link would be several parts of the path.
    return f"/sessions/{quote(typed_code(code) or code, safe='')}"


def _sessions(api: OperatorApi, limit: int, every: bool) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = api.ask("GET", f"/sessions?{urlencode(query)}")
        for session in page["sessions"]:
            if session["sessionID"] not in seen:
                seen.add(session["sessionID"])
                yield session
        if page["next"] is None or not every:
            break
        query["cursor"] = page["next"]
        show_progress(f"{len(seen)} sessions")
    show_progress("")


def _row(session: dict[str, Any]) -> tuple[Any, ...]:
    code = session["sessionID"] + (" (locked)" if session["locked"] else "")
    counts = (session["participants"], session["movies"], session["version"])
    return (code, session["title"] or "", *counts, when(session["createdAt"]), when(session["expiresAt"]))


def _print_done(answer: Any, as_json: bool, text: str) -> None:
    print(json.dumps(answer) if as_json else text)


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
