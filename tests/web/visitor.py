"""Somebody at the demo page: what they do with pointer, finger and keyboard, and what they see."""

from __future__ import annotations

import base64
import functools
import json
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.harness.chromium import Browser, Page, PageError, Screen
from tests.harness.node import JS
from tests.harness.scratch import scratch
from tests.harness.waiting import until

__all__ = ["DESKTOP", "PHONE", "SHOTS", "Visitor"]

ROOT: Final = Path(__file__).parent.parent.parent
SHOTS: Final = ROOT / ".cache" / "web"

DESKTOP: Final = Screen()
PHONE: Final = Screen(390, 844, 2, phone=True)

_WAIT: Final = 20_000
_KEYS: Final[dict[str, tuple[int, str | None]]] = {
    "Enter": (13, "\r"),
    "Tab": (9, None),
    "Escape": (27, None),
    "Delete": (46, None),
    "ArrowLeft": (37, None),
    "ArrowRight": (39, None),
    " ": (32, " "),
    **{digit: (ord(digit), digit) for digit in "012345"},
}
# What the browser's own report says of the policy, too.
_WATCH: Final = """
addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI}) => {
    console.error(`violated: ${violatedDirective} ${blockedURI}`);
});
// For browsers before 2023.
Element.prototype.checkVisibility ??= function () { return this.getClientRects().length > 0; };
"""


class Saved(NamedTuple):
    """A file that a page has saved."""

    name: str
    text: str


class Visitor:
    """One tab of a browser of their own; elements are named by CSS selectors."""

    def __init__(self, browser: Browser, context: str, page: Page, screen: Screen) -> None:
        self.page = page
        self._browser = browser
        self._context = context
        self._screen = screen

    @classmethod
    async def at(cls, browser: Browser, url: str, screen: Screen = DESKTOP) -> Visitor:
        """Opens the page in a browser of its own."""
        return await cls._in(browser, await browser.context(), url, screen)

    @classmethod
    async def _in(cls, browser: Browser, context: str, url: str, screen: Screen) -> Visitor:
        page = await browser.open("about:blank", context=context, screen=screen)
        await page.command("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        await page.go(url)
        return cls(browser, context, page, screen)

    async def another_tab(self, url: str) -> Visitor:
        """Opens the page in another tab of the same browser."""
        return await self._in(self._browser, self._context, url, self._screen)

    async def read(self, expression: str) -> Any:
        """The value of an expression of the page's; `$` and `$$` find elements."""
        return await self.page.evaluate(_with_finders(expression))

    async def sees(self, expression: str) -> None:
        """Waits until the expression is true in the page; raises AssertionError with what is shown instead."""
        waiting = f"""new Promise((done) => {{
            const end = Date.now() + {_WAIT};
            const look = () => {{
                if ({expression}) done(true);
                else if (Date.now() > end) done(false);
                else setTimeout(look, 25);
            }};
            look();
        }})"""
        if not await self.read(waiting):
            shown = await self.page.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {expression}\nshown:\n{shown}\nerrors: {self.page.errors}")

    async def sees_text(self, selector: str, text: str) -> None:
        """Waits until an element that is shown has the text in it, however it is broken into lines."""
        shown = 'e.checkVisibility() && e.innerText.replace(/\\s+/g, " ")'
        await self.sees(f"$$({json.dumps(selector)}).some((e) => {shown}.includes({json.dumps(text)}))")

    async def has_text(self, selector: str, text: str) -> None:
        """Waits until an element has the text in it, also in a part of the session that is not shown."""
        content = 'e.textContent.replace(/\\s+/g, " ")'
        await self.sees(f"$$({json.dumps(selector)}).some((e) => {content}.includes({json.dumps(text)}))")

    async def click(self, selector: str) -> None:
        """With the pointer, or with a finger on a phone, where the element is."""
        x, y = await self._where(selector)
        if self._screen.phone:
            await self.page.command("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
            await self.page.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            return
        for kind in ("mousePressed", "mouseReleased"):
            await self.page.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def swipe(self, selector: str, by: int) -> None:
        """With a finger, from the element so many pixels to the right."""
        x, y = await self._where(selector)
        await self.page.command("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for part in (0.25, 0.5, 0.75, 1):
            points = [{"x": x + by * part, "y": y}]
            await self.page.command("Input.dispatchTouchEvent", type="touchMove", touchPoints=points)
        await self.page.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    async def press(self, *keys: str) -> None:
        """Keys, into whatever has the focus."""
        for key in keys:
            code, text = _KEYS[key]
            pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            typed = {"text": text} if text else {}
            await self.page.command("Input.dispatchKeyEvent", type="keyDown", **pressed, **typed)
            await self.page.command("Input.dispatchKeyEvent", type="keyUp", **pressed)

    async def write(self, selector: str, text: str) -> None:
        """Into a field, instead of what is in it."""
        await self.read(f"($({json.dumps(selector)}).focus(), $({json.dumps(selector)}).select())")
        await self.page.command("Input.insertText", text=text)

    async def choose(self, selector: str, value: str, *, by_text: bool = False) -> None:
        """An option of a list, by its value or its text."""
        await self.sees(f"$({json.dumps(selector)})?.checkVisibility()")
        name = "textContent" if by_text else "value"
        await self.read(
            f"""(() => {{
                const list = $({json.dumps(selector)});
                list.value = [...list.options].find((option) => option.{name} == {json.dumps(value)}).value;
                list.dispatchEvent(new Event("change", {{bubbles: true}}));
            }})()"""
        )

    async def saved(self, selector: str) -> Saved:
        """Clicks on what saves a file of text."""
        with tempfile.TemporaryDirectory(dir=scratch()) as folder:
            await self.page.command("Page.setDownloadBehavior", behavior="allow", downloadPath=folder)
            await self.click(selector)
            # Chromium gives a file its name when it is whole.
            saved = await until(lambda: list(Path(folder).glob("*.csv")), f"{selector} has saved a file")
            return Saved(saved[0].name, saved[0].read_text())

    async def shot(self, name: str) -> None:
        """A picture of the whole page."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.evaluate("scrollTo(0, 0)")
        taken = await self.page.command("Page.captureScreenshot", captureBeyondViewport=True)
        (SHOTS / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))

    async def accessibility_problems(self) -> list[str]:
        """What axe-core finds in the page as it is, in light and in dark."""
        found = []
        for dark in (False, True):
            features = [
                {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ]
            await self.page.command("Emulation.setEmulatedMedia", features=features)
            await self.page.evaluate(_axe())
            violations = await self.page.evaluate(
                """axe.run(document, {resultTypes: ["violations"]}).then(({violations}) => violations.flatMap(
                    ({id, impact, nodes}) => nodes.map(({html, failureSummary}) =>
                        `${impact} ${id}: ${html} ${failureSummary}`)))"""
            )
            found += [f"{'dark' if dark else 'light'}: {violation}" for violation in violations]
        await self.page.show_on(self._screen)
        return found

    async def sideways_overflow(self) -> int:
        """By how many pixels the page is wider than the screen."""
        overflow: int = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return overflow

    async def small_targets(self) -> list[str]:
        """What can be pressed, and is smaller than a fingertip."""
        small: list[str] = await self.read(
            """$$("button, summary, .step, .switch, input:not(.hidden, [role=switch]), textarea, select, a.button")
            .filter((e) => e.checkVisibility())
            .filter((e) => e.getBoundingClientRect().height < 44 || e.getBoundingClientRect().width < 44)
            .map((e) => e.outerHTML)"""
        )
        return small

    async def _where(self, selector: str) -> tuple[float, float]:
        quoted = json.dumps(selector)
        await self.sees(f"$({quoted})?.checkVisibility()")
        where = await self.read(
            f"""(() => {{
                const element = $({quoted});
                element.scrollIntoView({{block: "center", behavior: "instant"}});
                const box = element.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        if where is None:
            raise PageError(f"there is no {selector}")
        x, y = where
        return x, y


@functools.cache
def _axe() -> str:
    return (JS / "node_modules" / "axe-core" / "axe.min.js").read_text() + ";0"


def _with_finders(expression: str) -> str:
    finders = "const $ = (s) => document.querySelector(s), $$ = (s) => [...document.querySelectorAll(s)];"
    return f"(() => {{ {finders} return {expression}; }})()"
