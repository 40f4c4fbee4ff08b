"""Patches, applied in JavaScript."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from hypothesis import given, settings

from app.sessions.model import Session
from app.sessions.patches import patch
from tests.harness.histories import HISTORIES
from tests.harness.node import JS, run_js


async def test_fast_json_patch_turns_them_into_the_same(tmp_path: Path) -> None:
    cases: list[bytes] = []

    @settings(max_examples=100, deadline=None, database=None)
    @given(HISTORIES)
    def collect(versions: list[Session]) -> None:
        for before, after in itertools.combinations(versions[-6:], 2):
            if made := patch(before, after):
                cases.append(b'{"before":%b,"patch":%b,"after":%b}' % (before.data, made, after.data))

    collect()
    (tmp_path / "cases").write_bytes(b"\n".join(cases))
    done = await run_js(JS / "patches.mjs", str(tmp_path / "cases"))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"cases": len(cases)}
