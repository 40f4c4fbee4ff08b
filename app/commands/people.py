"""``create``, ``join``, ``watch``: commands for users of a session."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.commands.api import Unreachable, http_url, request
from app.commands.exits import FAILED, OK
from app.settings import load_settings
from app.terminal import printable

if TYPE_CHECKING:
    from app.client.watching import Frame

__all__ = ["add_people_commands"]

_URL: Final = "http://localhost:8080"
_RANKS_SHOWN: Final = 3
# The options by the fields of the request.
_OPTIONS: Final = {"title": "--title", "capacity": "--capacity", "ttlSeconds": "--ttl", "movies": "--movies"}


def add_people_commands(commands: Any) -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", metavar="URL", type=http_url, default=_URL, help=f"service URL (default: {_URL})")
    common.add_argument("--json", action="store_true", help="print JSON")

    command = commands.add_parser(
        "create", parents=[common], help="create a session", description=create.__doc__, allow_abbrev=False
    )
    command.add_argument("--title", help="title of the session")
    command.add_argument("--capacity", metavar="N", type=int, help="maximum number of participants")
    command.add_argument("--ttl", metavar="S", type=float, help="seconds until the idle session expires")
    command.add_argument("--movies", metavar="FILE", type=_movies, help="JSON file: a list of movies, {id, title, ...}")
    command.add_argument("--show-token", action="store_true", help="also print the host token")
    command.set_defaults(command=create)

    command = commands.add_parser(
        "join", parents=[common], help="check whether a session exists", description=join.__doc__
    )
    command.add_argument("code", metavar="CODE", help="the session's code, or its link")
    command.set_defaults(command=join)

    command = commands.add_parser(
        "watch", parents=[common], help="print a session's events live", description=watch.__doc__
    )
    command.add_argument("code", metavar="CODE", help="the session's code, or its link")
    command.add_argument("--name", help="your name (default: Guest N)")
    command.set_defaults(command=watch)


def create(options: argparse.Namespace) -> int:
    """Create a session and print its code and link.

    The host token, which grants the host's rights, is printed with --json or --show-token only. JOIN_SESSION_CREATE_KEY
    is sent if set.
    """
    key = load_settings().create_key
    wanted = {
        "title": options.title,
        "capacity": options.capacity,
        "ttlSeconds": options.ttl,
        "movies": options.movies,
    }
    made = _ask(
        f"{options.url}/api/session/create",
        {name: value for name, value in wanted.items() if value is not None},
        201,
        token=key.get_secret_value() if key else None,
    )
    if made is None:
        return FAILED
    if options.json:
        print(json.dumps(made))
        return OK
    code, token = made["sessionID"], made["hostToken"]
    print(f"code        {code}")
    print(f"link        {options.url}/#{code}")
    print(f"host token  {token if options.show_token else '********  (--show-token shows it)'}")
    return OK


def join(options: argparse.Namespace) -> int:
    """Check whether a session exists, as clients do before they connect. Exit code 1 if it does not."""
    found = _ask(f"{options.url}/api/session/join", {"sessionID": options.code}, 200)
    if found is None:
        return FAILED
    if options.json:
        print(json.dumps(found))
        return OK
    data = found["sessionData"]
    print(printable(found["message"]))
    print(f"{len(data['participants'])} participants, {len(data['movies'])} movies, created {data['createdAt']}")
    return OK


def watch(options: argparse.Namespace) -> int:
    """Join a session and print its events until it ends or Ctrl-C; secrets are masked.

    Connection status goes to standard error. Exit code 1 if the session does not exist or cannot be joined.
    """
    import uvloop

    from app.client.watching import CannotWatchError

    try:
        uvloop.run(_watch(options))
    except CannotWatchError as error:
        print(f"join-session: {error}", file=sys.stderr)
        return FAILED
    return OK


async def _watch(options: argparse.Namespace) -> None:
    """Print frames until the session is over or the command is interrupted."""
    loop = asyncio.get_running_loop()
    watching = asyncio.create_task(_show_all(options))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, watching.cancel)
    try:
        await watching
    except asyncio.CancelledError:
        return


async def _show_all(options: argparse.Namespace) -> None:
    from contextlib import aclosing

    from app.client import watching

    shown: watching.Frame | None = None
    async with aclosing(watching.watch(options.url, options.code, options.name)) as frames:
        async for frame in frames:
            if frame.note:
                print(_note(frame), file=sys.stderr, flush=True)
            elif options.json:
                line = {"at": _time(frame), "event": frame.event, "arguments": frame.arguments}
                print(json.dumps(line), flush=True)
            elif frame.event == "session-update":
                what = "; ".join(watching.changes(shown, frame)) or "nothing to see"
                data, meta, *_ = frame.arguments
                print(printable(f"{_time(frame)}  {frame.event} {meta['version']}  {what}{_ranking(data)}"), flush=True)
                shown = frame
            else:
                print(printable(f"{_time(frame)}  {frame.event}  {_words(frame.arguments)}".rstrip()), flush=True)


def _note(frame: Frame) -> str:
    told = frame.arguments[0] if frame.arguments else ""
    return printable(f"{_time(frame)}  {frame.event}" + (f": {told}" if isinstance(told, str) and told else ""))


def _ranking(data: dict[str, Any]) -> str:
    best = sorted(data["movies"], key=lambda movie: int(movie["rank"]))[:_RANKS_SHOWN]
    shown = ", ".join(f"{movie['rank']}. {movie['title']} {movie['compatibility']}" for movie in best)
    return f"  [{shown}]" if shown else ""


def _words(arguments: list[Any]) -> str:
    told = arguments[0] if arguments and isinstance(arguments[0], dict) else {}
    return ", ".join(f"{name} {value}" for name, value in told.items() if name != "sessionID")


def _time(frame: Frame) -> str:
    return frame.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ask(address: str, body: dict[str, Any], right: int, *, token: str | None = None) -> Any:
    """Return the body of the response, or print an error and return None if the status is not ``right``."""
    try:
        response = request("POST", address, body=body, token=token)
    except Unreachable as error:
        print(f"join-session: {error}", file=sys.stderr)
        return None
    if response.status == right and isinstance(response.body, dict):
        return response.body
    print(f"join-session: {printable(response.message + _where(response.field))}", file=sys.stderr)
    return None


def _where(field: str | None) -> str:
    """Return the option by which a field was given, and the entry of its list."""
    first, *rest = (field or "").split(".")
    if first not in _OPTIONS:
        return ""
    return f" ({_OPTIONS[first]}, entry {int(rest[0]) + 1})" if rest else f" ({_OPTIONS[first]})"


def _movies(name: str) -> list[Any]:
    try:
        given = json.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{name} is not JSON") from error
    if not isinstance(given, list):
        raise argparse.ArgumentTypeError(f"{name} is not a list of movies")
    return given
