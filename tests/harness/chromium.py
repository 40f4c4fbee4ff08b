"""A headless Chromium, driven by its DevTools protocol (https://chromedevtools.github.io/devtools-protocol/).

async with chromium() as browser:
    page = await browser.open(url)
    value = await page.evaluate("document.title")
    message = await page.said("Joined session:")
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.harness.conformance import check_event
from tests.harness.programs import program
from tests.harness.scratch import scratch

__all__ = ["Browser", "Page", "PageError", "Screen", "chromium"]

_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Treat all tabs as visible.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--remote-debugging-port=0",
)
_START_TIMEOUT: Final = 25.0
_LOAD_TIMEOUT: Final = 30.0
_STOP_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Screen:
    """The screen of a page. `phone` has touch, `calm` prefers reduced motion."""

    width: int = 1280
    height: int = 900
    scale: float = 1
    phone: bool = False
    dark: bool = False
    calm: bool = False


class PageError(Exception):
    """An exception of a script in a page, or a command that the browser refused."""


class Page:
    """A tab. `console` and `errors` are its output, `sent` and `received` the frames of its WebSockets, in order."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self._said = 0
        self._loaded = 0
        self._changed = asyncio.Event()
        self.console: list[list[Any]] = []
        self.errors: list[str] = []
        self.sent: list[str] = []
        self.received: list[str] = []

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, awaited if it is a promise; raises PageError if it throws."""
        answer = await self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if thrown := answer.get("exceptionDetails"):
            raise PageError(_first_line(thrown))
        return answer["result"].get("value")

    async def said(self, first: str, timeout: float = 10.0) -> list[Any]:
        """Return the arguments of the next console line that begins with `first`; raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                for arguments in self.console[self._said :]:
                    self._said += 1
                    if arguments and arguments[0].get("value") == first:
                        return [await self._value(argument) for argument in arguments]
                await self._more()

    async def until(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Wait until `condition` holds, checking after each event of the page; raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while not condition():
                await self._more()

    async def go(self, url: str | None = None) -> None:
        """Load another address, or reload; return when the page and its scripts are loaded."""
        loaded = self._loaded
        await (self.command("Page.reload") if url is None else self.command("Page.navigate", url=url))
        await self.until(lambda: self._loaded > loaded, _LOAD_TIMEOUT)

    async def show_on(self, screen: Screen) -> None:
        """Emulate another screen. Several pages can have the focus at once."""
        await self.command("Emulation.setFocusEmulationEnabled", enabled=True)
        size = {"width": screen.width, "height": screen.height, "deviceScaleFactor": screen.scale}
        await self.command("Emulation.setDeviceMetricsOverride", **size, mobile=screen.phone)
        await self.command("Emulation.setTouchEmulationEnabled", enabled=screen.phone)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if screen.dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if screen.calm else "no-preference"},
        ]
        await self.command("Emulation.setEmulatedMedia", features=features)

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol to this page."""
        return await self._browser.command(method, self._session, **parameters)

    def see(self, method: str, parameters: dict[str, Any]) -> None:
        """Handle an event of the protocol."""
        if method == "Runtime.consoleAPICalled":
            self.console.append(parameters["args"])
            if parameters["type"] == "error":
                self.errors.append(" ".join(str(argument.get("value")) for argument in parameters["args"]))
        elif method == "Runtime.exceptionThrown":
            self.errors.append(_first_line(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])
        elif method == "Page.loadEventFired":
            self._loaded += 1
        elif method == "Network.webSocketFrameSent":
            self.sent.append(parameters["response"]["payloadData"])
        elif method == "Network.webSocketFrameReceived":
            frame = parameters["response"]["payloadData"]
            self.received.append(frame)
            if frame.startswith("42["):
                event, *args = json.loads(frame[2:])
                check_event(event, args)
        self._changed.set()

    async def _more(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _value(self, argument: dict[str, Any]) -> Any:
        """Return the value of an argument of a console line; objects arrive as references."""
        if "objectId" not in argument:
            return argument.get("value")
        itself = {"functionDeclaration": "function () { return this; }", "returnByValue": True}
        answer = await self.command("Runtime.callFunctionOn", objectId=argument["objectId"], **itself)
        return answer["result"]["value"]


class Browser:
    """A running browser; other programs can drive it by `port`, too."""

    def __init__(self, connection: ClientConnection, port: int) -> None:
        self.port = port
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._contexts: list[str] = []

    async def context(self) -> str:
        """Create a separate profile, like another person's browser, for `open`."""
        context: str = (await self.command("Target.createBrowserContext"))["browserContextId"]
        self._contexts.append(context)
        return context

    async def close_contexts(self) -> None:
        """Close all profiles with their pages."""
        while self._contexts:
            await self.command("Target.disposeBrowserContext", browserContextId=self._contexts.pop())

    async def open(self, url: str, *, context: str | None = None, screen: Screen | None = None) -> Page:
        """Open a tab; return when the page and its scripts are loaded."""
        where = {} if context is None else {"browserContextId": context}
        target = (await self.command("Target.createTarget", url="about:blank", **where))["targetId"]
        session = (await self.command("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Runtime", "Log", "Network", "Page"):
            await page.command(f"{domain}.enable")
        if screen is not None:
            await page.show_on(screen)
        await page.go(url)
        return page

    async def command(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol; raises PageError if the browser refuses it."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        line = {"id": number, "method": method, "params": parameters}
        await self._connection.send(json.dumps(line if session is None else line | {"sessionId": session}))
        return await answer

    async def read(self) -> None:
        """Handle the browser's messages until it ends; then raise PageError for pending commands."""
        with suppress(ConnectionClosed):
            async for line in self._connection:
                self._take(json.loads(line))
        for answer in self._answers.values():
            answer.set_exception(PageError("the browser has ended"))

    def _take(self, line: dict[str, Any]) -> None:
        if "id" not in line:
            if page := self._pages.get(line.get("sessionId", "")):
                page.see(line["method"], line["params"])
        elif "error" in line:
            self._answers.pop(line["id"]).set_exception(PageError(line["error"]["message"]))
        else:
            self._answers.pop(line["id"]).set_result(line["result"])


@asynccontextmanager
async def chromium(binary: str | None = None, **environment: str) -> AsyncIterator[Browser]:
    """Run a browser with a fresh profile; close it and remove the profile at the end."""
    binary = binary or program("chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True, dir=scratch()) as profile:
        command, variables = (binary, *_FLAGS, f"--user-data-dir={profile}"), os.environ | environment
        try:
            process, address = await _start(command, variables)
        except TimeoutError:
            # Now its files are in the page cache.
            process, address = await _start(command, variables)
        try:
            ended = asyncio.create_task(process.communicate())
            # Without a proxy, and for messages of any size.
            async with connect(address, proxy=None, max_size=None) as connection:
                browser = Browser(connection, urlsplit(address).port or 0)
                reader = asyncio.create_task(browser.read())
                try:
                    yield browser
                finally:
                    with suppress(PageError, ConnectionClosed):
                        await browser.command("Browser.close")
                    await reader
            await asyncio.wait_for(ended, _STOP_TIMEOUT)
        finally:
            await _kill(process)


class _Started(NamedTuple):
    process: Process
    address: str


async def _start(command: Sequence[str], environment: Mapping[str, str]) -> _Started:
    """Start a browser; raises TimeoutError."""
    process = await asyncio.create_subprocess_exec(*command, stderr=PIPE, start_new_session=True, env=environment)
    try:
        return _Started(process, await asyncio.wait_for(_address(process), _START_TIMEOUT))
    except BaseException:
        await _kill(process)
        raise


async def _kill(process: Process) -> None:
    # The browser consists of many processes.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _address(process: Process) -> str:
    assert process.stderr is not None
    lines = []
    async for line in process.stderr:
        lines.append(line.decode(errors="replace"))
        if found := re.search(r"DevTools listening on (ws://\S+)", lines[-1]):
            return found[1]
    raise AssertionError(f"Chromium did not start:\n{''.join(lines)}")


def _first_line(thrown: dict[str, Any]) -> str:
    described: str = thrown.get("exception", {}).get("description") or thrown["text"]
    return described.partition("\n")[0]
