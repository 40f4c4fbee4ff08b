"""The page's modules as one script."""

from __future__ import annotations

from graphlib import CycleError
from pathlib import Path

import pytest

from app.http.web_bundle import bundle
from tests.harness.node import run_js
from tests.web.test_files import WEB


async def test_it_does_what_the_modules_do(tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "library.mjs").write_text("export const bang = '!', dot = '.';\n")
    (tmp_path / "words.js").write_text("const hidden = 'world';\nexport const greet = () => `hello ${hidden}`;\n")
    (tmp_path / "loud.js").write_text(
        'import { bang } from "./vendor/library.mjs";\n\n'
        'import {\n  greet as quiet,\n} from "./words.js";\n\n'
        "// Not one of theirs.\nconst hidden = 1;\n"
        "export class Loud {\n  greet() {\n    return quiet().toUpperCase() + bang + hidden;\n  }\n}\n"
    )
    (tmp_path / "main.js").write_text(
        'import { Loud } from "./loud.js";\nimport * as words from "./words.js";\nimport "./effect.js";\n\n'
        "console.log(new Loud().greet(), words.greet(), globalThis.effect);\n"
    )
    (tmp_path / "effect.js").write_text(
        'import { bang, dot } from "./vendor/library.mjs";\n\nglobalThis.effect = `done${dot}${bang}`;\n'
    )
    (tmp_path / "bundle.mjs").write_bytes(bundle(tmp_path, "main.js"))
    done = await run_js(tmp_path / "bundle.mjs")
    assert (done.stderr, done.stdout) == ("", "HELLO WORLD!1 hello world done.!\n")
    assert "Not one of theirs" not in (tmp_path / "bundle.mjs").read_text()


def test_modules_that_import_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "main.js").write_text('import { one } from "./one.js";\n')
    (tmp_path / "one.js").write_text('import { main } from "./main.js";\n')
    with pytest.raises(CycleError):
        bundle(tmp_path, "main.js")


def test_each_module_of_the_page_is_in_it() -> None:
    # Functions and the entry itself.
    assert bundle(WEB, "main.js").count(b"})();\n") >= len(list(WEB.glob("*.js")))
