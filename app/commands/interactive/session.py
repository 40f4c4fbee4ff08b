"""Connects a participant, the screen and the keys."""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

from app.client.changes import changes
from app.client.participant import Frame, Participant
from app.commands.failures import Failure
from app.commands.interactive.line import TypedLine
from app.commands.interactive.screen import Screen, unbuffered
from app.commands.interactive.typed import HELP, parse
from app.commands.interactive.view import View
from app.commands.movies import find_movie, movie_of

__all__ = ["InteractiveSession"]

_ENDS: Final = {
    "ended": "The host has ended the session.",
    "expired": "The session has expired.",
    "kicked": "The host has removed you from the session.",
    "replaced": "You continue in another place.",
    "lost": "The session was lost.",
}
_READ_BYTES: Final = 4096


class InteractiveSession:
    """A session that is shown and changed in the terminal of this process. ``run`` returns when it is over."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self._screen = Screen(sys.stdout)
        self._view = View()
        self._last: Frame | None = None
        self._status = ""
        self._line = TypedLine()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
        self._outcome = "You have left the session."

    async def run(self) -> None:
        """Join, and stay until the session ends, Ctrl-C or Ctrl-D. Raises CannotJoinError and Failure."""
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        tasks = [asyncio.create_task(each) for each in (self._follow(), self._obey(), stopped.wait())]
        terminal = sys.stdin.fileno()
        loop.add_reader(terminal, self._read, terminal)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGWINCH, self._resize)
        try:
            with unbuffered(terminal):
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                loop.remove_reader(terminal)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                self._close()
        finally:
            loop.remove_reader(terminal)
        for task in tasks:
            if not task.cancelled():
                # Raises what has ended the task.
                task.result()

    async def _follow(self) -> None:
        """Show what happens in the session until it is over."""
        async with aclosing(self._participant.frames()) as frames:
            async for frame in frames:
                self._show(self._take(frame))

    def _take(self, frame: Frame) -> list[str]:
        """Return the lines to show of a frame."""
        match frame.event:
            case "session-update":
                before, self._last = self._last, frame
                data, meta, *_ = frame.arguments
                self._view.take(data, meta)
                if before is not None:
                    return [*changes(before, frame)]
                return [f"You are {self._view.name_of(self._participant.id)}. Type help for the commands."]
            case "session-decided":
                return [f"Decided: {self._view.title_of(frame.arguments[0]['decision']['movieID'])}"]
            case "session-ended":
                self._outcome = _ENDS.get(frame.arguments[0]["reason"], "The session is over.")
            case "session-expiring":
                return ["The session has lasted as long as it may, and ends soon."]
            case "gone":
                self._outcome = "The session has ended."
            case "unreachable" if self._last is None:
                raise Failure(f"The service cannot be reached: {frame.arguments[0]}", "unreachable")
            case "disconnected" | "unreachable":
                self._status = "Not connected; trying again…"
            case "joined":
                self._status = ""
        return []

    async def _obey(self) -> None:
        """Do what is typed, one line after another."""
        while (line := await self._lines.get()) is not None:
            if not line.strip():
                continue
            try:
                name, rest = parse(line)
                if name == "leave":
                    return
                lines = await self._do(name, rest)
            except ValueError as error:
                lines = [str(error)]
            except TimeoutError:
                lines = ["The service does not answer; the change may have been made."]
            self._show([f"> {line}", *lines] if lines else [])

    async def _do(self, name: str, rest: str) -> Sequence[str]:
        """Execute a command; return the lines to show. Raises ValueError for a movie that is not there."""
        width, _ = self._screen.size
        match name:
            case "help":
                return HELP
            case "ranking":
                return self._view.ranking(self._participant.votes, width).splitlines()
            case "people":
                return self._view.people(width).splitlines()
        ack = await self._change(name, rest)
        return [] if ack.get("ok") else [str(ack.get("message"))]

    async def _change(self, name: str, rest: str) -> dict[str, Any]:
        """Make the change that a command asks for; return its acknowledgement."""
        participant = self._participant
        match name:
            case "add":
                return await participant.do("add-movie", movies=[movie_of(rest)])
            case "rate":
                movie, _, rating = rest.rpartition(" ")
                if not movie or rating not in ("1", "2", "3", "4", "5"):
                    raise ValueError("Type rate MOVIE 1…5")
                return await participant.rate(self._movie(movie), int(rating))
            case "veto":
                return await participant.rate(self._movie(rest), 1)
            case "unrate":
                return await participant.rate(self._movie(rest), None)
            case "remove":
                return await participant.do("remove-movie", movieID=self._movie(rest))
            case "decide":
                return await participant.do("decide", **({"movieID": self._movie(rest)} if rest else {}))
            case _:
                return await participant.do("reopen")

    def _movie(self, text: str) -> str:
        """Return the id of the movie with a number or a title."""
        movie = self._view.numbered(int(text)) if text.strip().isdecimal() else None
        return str((movie or find_movie(self._view.data["movies"], text))["id"])

    def _read(self, terminal: int) -> None:
        try:
            keys = os.read(terminal, _READ_BYTES)
            if not keys:
                raise EOFError
            for line in self._line.press(self._decoder.decode(keys)):
                self._lines.put_nowait(line)
        except (EOFError, OSError):
            # Ctrl-D, or the terminal is gone.
            asyncio.get_running_loop().remove_reader(terminal)
            self._lines.put_nowait(None)
        else:
            self._show([])

    def _resize(self) -> None:
        self._screen.clear()
        self._show([])

    def _show(self, lines: Sequence[str]) -> None:
        width, height = self._screen.size
        block = self._view.block(self._participant.votes, width, height, self._status)
        self._screen.draw(lines, block, self._line.text)

    def _close(self) -> None:
        """Leave the ranking on the terminal."""
        width, height = self._screen.size
        last = self._view.block(self._participant.votes, width, height) if self._last else []
        self._screen.close([*last, self._outcome] if last else [])
