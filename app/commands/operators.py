"""``list``, ``show``, ``end``, ``kick``, ``drain``: commands for operators, over the internal port."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlencode

from app.commands.api import Unreachable, http_url, request
from app.commands.exits import FAILED, OK
from app.commands.progress import show_progress
from app.commands.tables import table
from app.sessions.codes import typed_code
from app.settings import PREFIX, SettingsError, load_settings
from app.terminal import printable

__all__ = ["add_operator_commands"]

_POLL_SECONDS: Final = 0.5
_COLUMNS: Final = ("SESSION", "TITLE", "PEOPLE", "MOVIES", "VERSION", "CREATED", "EXPIRES")


class Refused(Exception):
    """The service refused the request; the text is the reason."""


def add_operator_commands(commands: Any) -> None:
    asking = argparse.ArgumentParser(add_help=False)
    asking.add_argument("--url", type=http_url, help=f"the internal port (default: localhost, {PREFIX}INTERNAL_PORT)")
    asking.add_argument("--json", action="store_true", help="print the response as JSON")

    command = commands.add_parser("list", parents=[asking], help="list the live sessions", description=list_.__doc__)
    command.add_argument("--limit", type=int, default=50, help="sessions per page, up to 500 (default: 50)")
    command.add_argument("--all", action="store_true", help="print all pages")
    command.set_defaults(command=_asking(list_))

    command = commands.add_parser("show", parents=[asking], help="show a session", description=show.__doc__)
    command.add_argument("code", metavar="CODE", help="the session's code, or its link")
    command.set_defaults(command=_asking(show))

    command = commands.add_parser("end", parents=[asking], help="end a session", description=end.__doc__)
    command.add_argument("code", metavar="CODE", help="the session's code, or its link")
    command.set_defaults(command=_asking(end))

    command = commands.add_parser("kick", parents=[asking], help="remove a participant", description=kick.__doc__)
    command.add_argument("code", metavar="CODE", help="the session's code, or its link")
    command.add_argument("participant", metavar="PARTICIPANT", help="the participant's id, as `show` prints it")
    command.add_argument("--ban", action="store_true", help="also void the token of the participant")
    command.set_defaults(command=_asking(kick))

    command = commands.add_parser(
        "drain", parents=[asking], help="move a replica's clients to the others", description=drain.__doc__
    )
    command.add_argument("--wait", action="store_true", help="wait until all clients have moved")
    command.set_defaults(command=_asking(drain))


class OperatorApi:
    """The operators' API of one replica. Raises ``SettingsError`` if no operator token is set."""

    def __init__(self, options: argparse.Namespace) -> None:
        settings = load_settings()
        if settings.operator_token is None:
            raise SettingsError([f"{PREFIX}OPERATOR_TOKEN is not set"])
        self._url = options.url or f"http://localhost:{settings.internal_port}"
        self._token = settings.operator_token.get_secret_value()

    def ask(self, method: str, path: str) -> Any:
        """Send a request; return the JSON of its response. Raises ``Refused`` and ``Unreachable``."""
        response = request(method, f"{self._url}/operator{path}", token=self._token)
        told = response.body if isinstance(response.body, dict) else {}
        if response.status < 400 and told:
            return told
        if response.status == 404 and told.get("code") == "not-found":
            raise Refused(f"the operators' API is off at {self._url}: it needs {PREFIX}OPERATOR_TOKEN there")
        raise Refused(
            told.get("message", f"{self._url} answers with HTTP status {response.status}: is it join-session?")
        )


def list_(api: OperatorApi, options: argparse.Namespace) -> None:
    """Print the live sessions, soonest to expire first. --all prints every page; --json prints one line per session."""
    sessions = _sessions(api, options.limit, options.all)
    if options.json:
        for session in sessions:
            print(json.dumps(session), flush=True)
        return
    rows = [_row(session) for session in sessions]
    print(table(_COLUMNS, rows, width=_width()))


def show(api: OperatorApi, options: argparse.Namespace) -> None:
    """Print a session's participants, and its movies by rank."""
    session = api.ask("GET", _path(options))
    if options.json:
        print(json.dumps(session))
        return
    meta, data = session["meta"], session["sessionData"]
    print(printable(f"Session {session['sessionID']}, {meta['title'] or 'untitled'}, version {meta['version']}"))
    print(f"created {data['createdAt']}, expires {meta['expiresAt']}{', locked' if meta['locked'] else ''}\n")
    people = [
        (each["id"], each["name"], each["role"], "yes" if each["connected"] else "no", each["joinedAt"])
        for each in data["participants"]
    ]
    print(table(("PARTICIPANT", "NAME", "ROLE", "CONNECTED", "JOINED"), people, width=_width()), end="\n\n")
    movies = [
        (movie["rank"], movie["title"], movie["compatibility"], movie["count"], movie["vetoes"])
        for movie in sorted(data["movies"], key=lambda movie: movie["rank"])
    ]
    print(table(("RANK", "MOVIE", "COMPATIBILITY", "RATINGS", "VETOES"), movies, width=_width()))


def end(api: OperatorApi, options: argparse.Namespace) -> None:
    """End a session and notify its members."""
    _done(api.ask("DELETE", _path(options)), options, "The session has ended.")


def kick(api: OperatorApi, options: argparse.Namespace) -> None:
    """Remove a participant from a session and notify them."""
    path = f"{_path(options)}/participants/{quote(options.participant, safe='')}"
    answer = api.ask("DELETE", path + ("?ban=true" if options.ban else ""))
    _done(answer, options, "Banned." if options.ban else "Removed.")


def drain(api: OperatorApi, options: argparse.Namespace) -> None:
    """Move the clients of a replica to the others. The replica accepts no new clients until it is restarted."""
    answer = api.ask("POST", "/drain")
    clients = answer["clients"]
    while options.wait and clients:
        show_progress(f"{clients} clients are still connected")
        time.sleep(_POLL_SECONDS)
        clients = api.ask("GET", "/replicas")["asked"]["connections"]
    show_progress("")
    said = "All clients moved." if not clients else f"{clients} clients are moving to other replicas."
    _done(answer | {"clients": clients}, options, said)


def _path(options: argparse.Namespace) -> str:
    # A link would be several parts of the path.
    return f"/sessions/{quote(typed_code(options.code) or options.code, safe='')}"


def _asking(command: Any) -> Any:
    """Decorate a command that calls the API: print its errors as one line and return an exit code."""

    def run(options: argparse.Namespace) -> int:
        try:
            command(OperatorApi(options), options)
        except (Unreachable, Refused) as error:
            print(error, file=sys.stderr)
            return FAILED
        return OK

    return run


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
    return (code, session["title"] or "", *counts, session["createdAt"], session["expiresAt"])


def _done(answer: Any, options: argparse.Namespace, text: str) -> None:
    print(json.dumps(answer) if options.json else text)


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
