"""``watch``: print a session's events live."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from app.commands import options
from app.commands.command import command
from app.commands.exits import OK
from app.commands.failures import Failure
from app.terminal import printable

if TYPE_CHECKING:
    from app.client.participant import Frame, Participant

__all__ = ["watch_command"]

_RANKS_SHOWN: Final = 3


@command(
    "join-session watch 123456",
    "join-session watch 123456 --name Ada --json | jq -c .event",
)
@options.session
@options.name
@options.passcode
@options.token
@options.as_json
def watch_command(url: str, code: str, name: str | None, passcode: str | None, token: str | None, as_json: bool) -> int:
    """Join a session and print its events until it ends or Ctrl-C.

    Secrets are masked. The status of the connection goes to standard error. The exit code is 1 if the session does not
    exist or cannot be joined.
    """
    import uvloop

    from app.client.participant import CannotJoinError

    try:
        uvloop.run(_watch(url, code, {"name": name, "passcode": passcode, "token": token}, as_json))
    except CannotJoinError as error:
        raise Failure(str(error), error.code) from error
    return OK


async def _watch(url: str, code: str, identity: dict[str, str | None], as_json: bool) -> None:
    """Print frames until the session is over or the command is interrupted."""
    from app.client.participant import Participant

    loop = asyncio.get_running_loop()
    watching = asyncio.create_task(_print_all(Participant(url, code, **identity), as_json))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, watching.cancel)
    try:
        await watching
    except asyncio.CancelledError:
        return


async def _print_all(participant: Participant, as_json: bool) -> None:
    from app.client.changes import changes

    shown: Frame | None = None
    async with aclosing(participant.frames()) as frames:
        async for frame in frames:
            if frame.note:
                print(_note(frame), file=sys.stderr, flush=True)
            elif as_json:
                line = {"at": _time(frame), "event": frame.event, "arguments": frame.arguments}
                print(json.dumps(line), flush=True)
            elif frame.event == "session-update":
                what = "; ".join(changes(shown, frame)) or "nothing to see"
                data, meta, *_ = frame.arguments
                print(printable(f"{_time(frame)}  {frame.event} {meta['version']}  {what}{_ranking(data)}"), flush=True)
                shown = frame
            else:
                print(printable(f"{_time(frame)}  {frame.event}  {_words(frame.arguments)}".rstrip()), flush=True)


def _note(frame: Frame) -> str:
    told = frame.arguments[0] if frame.arguments else ""
    return printable(f"{_time(frame)}  {frame.event}" + (f": {told}" if isinstance(told, str) and told else ""))


def _ranking(data: dict[str, Any]) -> str:
    ranked = [movie for movie in data["movies"] if movie["rank"] is not None]
    best = sorted(ranked, key=lambda movie: int(movie["rank"]))[:_RANKS_SHOWN]
    shown = ", ".join(f"{movie['rank']}. {movie['title']} {movie['compatibility']}" for movie in best)
    return f"  [{shown}]" if shown else ""


def _words(arguments: list[Any]) -> str:
    told = arguments[0] if arguments and isinstance(arguments[0], dict) else {}
    return ", ".join(f"{name} {value}" for name, value in told.items() if name != "sessionID")


def _time(frame: Frame) -> str:
    return frame.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
