"""The page and the client use nothing that Chrome 90 or Safari 15 do not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.node import CLIENT, JS, run_js
from tests.web.test_files import WEB

# The linters take seconds to start.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def problems_of(*folders: Path) -> list[str]:
    done = await run_js(JS / "lint-page.mjs", *map(str, folders), timeout=80)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


async def test_the_page_and_the_client_use_nothing_that_is_too_new() -> None:
    assert await problems_of(WEB, CLIENT / "dist") == []


async def test_what_is_too_new_is_found(tmp_path: Path) -> None:
    scripts = ("[2, 1].toSorted()", "[1].at(-1)", 'Object.hasOwn({}, "x")', "crypto.randomUUID()", "structuredClone(1)")
    styles = (
        "color: light-dark(red, blue)",
        "background: color-mix(in srgb, red, blue)",
        "translate: 1px",
        "height: 1cqh",
    )
    (tmp_path / "new.js").write_text("".join(f"{script};\n" for script in scripts))
    (tmp_path / "new.css").write_text("".join(f"a {{ {style}; }}\n" for style in styles) + "a:has(b) { color: red; }\n")
    found = await problems_of(tmp_path)
    lines = {line.removeprefix(f"{tmp_path}/").split(": ")[0] for line in found}
    assert lines == {f"new.js:{n}" for n in range(1, len(scripts) + 1)} | {
        f"new.css:{n}" for n in range(1, len(styles) + 2)
    }
