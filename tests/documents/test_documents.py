"""The documents are valid, complete, up to date, and given to whoever asks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.documents.asyncapi import asyncapi
from app.documents.openapi import openapi
from app.documents.page import page
from app.documents.typescript import typescript
from app.http.addresses import ClientAddresses
from app.http.app import create_app
from app.http.sessions import BodyLimits
from app.sessions.events import SERVER_EVENTS
from app.sessions.operations import EVENTS
from tests.harness.here import served_here
from tests.harness.node import JS, check_declarations, compile_typescript, install, run_js
from tests.harness.redis import RedisServer
from tests.harness.service import Replica

ROOT: Final = Path(__file__).parent.parent.parent
FILES: Final = {"openapi": "openapi.json", "asyncapi": "asyncapi.json", "types": "join-session.d.ts"}


@pytest.mark.parametrize("command", FILES)
def test_the_committed_document_is_what_the_command_prints(command: str) -> None:
    printed = subprocess.run([sys.executable, "-m", "app", command], capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / FILES[command]).read_text() == printed, f"join-session {command} > docs/{FILES[command]}"


def test_the_openapi_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(openapi()).iter_errors()) == []


def test_the_asyncapi_document_is_valid() -> None:
    install()
    schema = json.loads((JS / "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json").read_text())
    assert [error.message for error in jsonschema_rs.Draft7Validator(schema).iter_errors(asyncapi())] == []


@pytest.mark.parametrize("document", [openapi, asyncapi])
def test_every_reference_leads_somewhere(document: Any) -> None:
    shown = document()
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(shown))):
        target = shown
        for part in reference.split("/"):
            target = target[part]


def test_every_route_and_method_is_documented_and_nothing_else() -> None:
    unused: Any = None
    app = create_app(unused, ClientAddresses([], []), BodyLimits(1, 1))
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", "{}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }
    documented = {
        (re.sub(r"{\w+}", "{}", path), method.upper())
        for path, operations in openapi()["paths"].items()
        for method in operations
    }
    assert documented == served


def test_removing_a_participant_says_that_participants_may_remove_themselves() -> None:
    removing = openapi()["paths"]["/api/session/{sessionID}/participants/{participantID}"]["delete"]
    assert removing["x-roles"] == {"host": "any", "member": "own", "stranger": "none"}
    assert removing["description"] == "Allowed: the host, members on what is their own."


@pytest.mark.parametrize("document", [openapi, asyncapi])
def test_ratings_are_one_of_five_and_no_field_that_may_be_left_out_has_a_default(document: Any) -> None:
    shapes = document()["components"]["schemas"]
    assert shapes["Rating"]["enum"] == [1, 2, 3, 4, 5]
    assert '"default"' not in json.dumps(shapes)


def test_every_event_is_documented() -> None:
    operations = asyncapi()["operations"]
    received = {name for name, operation in operations.items() if operation["action"] == "receive"}
    assert received == EVENTS.keys()
    assert operations.keys() - received == SERVER_EVENTS.keys()


async def test_a_replica_serves_the_documents(service: list[Replica]) -> None:
    async with httpx.AsyncClient(base_url=service[0].url, trust_env=False) as client:
        for path, document in (("/openapi.json", openapi()), ("/asyncapi.json", asyncapi())):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
            assert answer.json() == document


async def test_the_page_shows_everything_and_calls_only_the_service(service: list[Replica]) -> None:
    async with httpx.AsyncClient(base_url=service[0].url, trust_env=False) as client:
        answer = await client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "connect-src 'self';" in policy
    assert "unsafe" not in policy
    text = answer.text
    assert text == page()
    names = [f"http-{entry['operationId']}" for path in openapi()["paths"].values() for entry in path.values()]
    names += [*asyncapi()["operations"], *openapi()["components"]["schemas"]]
    assert [name for name in names if f"id='{name}'" not in text] == []
    html = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL)
    assert re.findall(r"<(?:script|link|img|iframe)|\bon\w+=|style=|(?:src|href)=[\"']\w+:", html) == []
    anchors = set(re.findall(r"href=[\"']#(\w[\w-]*)[\"']", text))
    assert anchors <= set(re.findall(r"id=[\"'](\w[\w-]*)[\"']", text))
    assert len(re.findall(r"\bid=[\"']", text)) == len(set(re.findall(r"\bid=[\"']([\w-]+)", text)))


def test_the_types_are_strict_typescript() -> None:
    check_declarations(ROOT / "docs" / "join-session.d.ts")
    assert "any" not in re.findall(r"\w+", re.sub(r"/\*\*.*?\*/|//.*", "", typescript()))


async def test_a_client_written_by_the_types_uses_every_event(redis_server: RedisServer) -> None:
    compile_typescript()
    # So that the end is near from the beginning.
    soon = {"lifetime": 40, "max_lifetime": 40, "expiry_warning": 60}
    async with served_here(redis_server.url(), **soon) as [replica]:
        done = await run_js(JS / "build" / "full-client.js", replica.url)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result.pop("told")) == SERVER_EVENTS.keys()
    assert result == {"added": ["m2"], "version": True, "code": "forbidden", "reason": "kicked", "end": "ended"}
