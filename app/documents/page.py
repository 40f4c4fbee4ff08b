"""An HTML page with both documents: readable without its script, which adds forms to try requests and events."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import shlex
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, Final

from app.documents.asyncapi import asyncapi
from app.documents.examples import examples
from app.documents.openapi import openapi
from app.documents.schemas import Schema, schemas
from app.sessions.errors import CATALOGUE
from app.sessions.events import SERVER_EVENTS

__all__ = ["PAGE_POLICY", "page"]

_STYLE: Final = (Path(__file__).parent / "docs.css").read_text()
_SCRIPT: Final = (Path(__file__).parent / "docs.js").read_text()
_ADDRESS: Final = "http://localhost:8080"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


PAGE_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; "
    f"script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}"
)
"""The Content-Security-Policy of the page: its own style sheet and script, which call only the service."""


@functools.cache
def page() -> str:
    """Return the page at ``/docs``."""
    http, sockets = openapi(), asyncapi()
    client, server = _events(sockets, "receive"), _events(sockets, "send")
    routes = {
        f"http-{shown['operationId']}": f"{method} {path.removeprefix('/api/session')}"
        for path, method, shown in _operations(http)
    }
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>join-session API</title>
<style>{_STYLE}</style>
</head>
<body>
<nav aria-label="Contents">
{_list("HTTP, below <code>/api/session</code>", routes)}
{_list("Events from the client", {name: name for name, _ in client})}
{_list("Events from the server", {name: name for name, _ in server})}
{_list("Reference", {"errors": "Errors", "shapes": "Shapes"})}
</nav>
<main>
<h1>join-session API</h1>
<p>For programs: <a href="/openapi.json">OpenAPI 3.1</a>, <a href="/asyncapi.json">AsyncAPI 3</a>.</p>
<section id="http"><h2>HTTP</h2><p>{_prose(http["info"]["description"])}</p>
{"".join(_operation(*each) for each in _operations(http))}</section>
<section id="client"><h2>Events from the client</h2><p>{_prose(sockets["info"]["description"])}</p>
{"".join(_event(name, shown, sockets) for name, shown in client)}</section>
<section id="server"><h2>Events from the server</h2>
<div id="hearing" hidden><p>Events that came to this page, the newest first:</p>
<pre id="heard" role="log" tabindex="0" aria-label="Events that came"></pre></div>
{"".join(_told(name, shown, sockets) for name, shown in server)}</section>
<section id="errors"><h2>Errors</h2>
{_errors()}</section>
<section id="shapes"><h2>Shapes</h2>
{"".join(map(_shape, schemas().items()))}</section>
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _list(title: str, links: dict[str, str]) -> str:
    rows = "".join(f"<a href='#{anchor}'>{escape(text)}</a>" for anchor, text in links.items())
    return f"<h2>{title}</h2>{rows}"


def _operations(document: Schema) -> list[tuple[str, str, Schema]]:
    return [
        (path, method.upper(), operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


def _operation(path: str, method: str, operation: Schema) -> str:
    name = operation["operationId"]
    seen = examples()["routes"][name]
    body = _content(operation["requestBody"]) if "requestBody" in operation else "none"
    sent = [*seen["bodies"].values()]
    example = "".join(_json(value, "sent") for value in sent) + _json(seen["answer"])
    example += "" if seen["csv"] is None else _pre(seen["csv"])
    secured = operation["security"] == [{"token": []}]
    return (
        f"<article id='http-{name}' data-method='{method}' data-path='{path}' data-target='{escape(seen['target'])}'>"
        f"<h3>{method} {escape(path)}</h3>"
        f"<p>{_prose(operation['summary'])}</p><p>Who: {_roles(operation)}</p><p>Body: {body}</p>"
        f"{_folded('Example', example)}"
        f"{_folded('curl', _curl(method, seen['target'], sent[0] if sent else None, secured=secured))}"
        f"{_folded('Answers', _responses(operation))}</article>\n"
    )


def _responses(operation: Schema) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{status}</th><td>{_prose(response['description'])}</td><td>{_content(response)}</td></tr>"
        for status, response in operation["responses"].items()
    )
    return _table(("Status", "Meaning", "Body"), rows)


def _curl(method: str, target: str, body: Any, *, secured: bool) -> str:
    parts = ["curl", *([] if method == "GET" else ["-X", method])]
    if secured:
        parts += ["-H", "Authorization: Bearer TOKEN"]
    if body is not None:
        parts += ["-d", json.dumps(body, ensure_ascii=False)]
    return _pre(shlex.join([*parts, _ADDRESS + target]), "curl")


def _events(document: Schema, action: str) -> list[tuple[str, Schema]]:
    return [(name, shown) for name, shown in document["operations"].items() if shown["action"] == action]


def _event(name: str, operation: Schema, document: Schema) -> str:
    messages, seen = document["components"]["messages"], examples()["events"][name]
    sent = "".join(_json(each, "sent") for each in seen["arguments"])
    arguments = ", ".join(json.dumps(each, ensure_ascii=False) for each in (name, *seen["arguments"][0]))
    snippet = f"socket.emit({arguments}, (ack) => console.log(ack));"
    return (
        f"<article id='{name}' data-event='{name}'><h3>{name}</h3>"
        f"<p>{_prose(operation['summary'])}</p><p>Who: {_roles(operation)}</p>"
        f"<p>Arguments: {_links(messages[name])}</p><p>Acknowledgement: {_links(messages[f'{name}-ack'])}</p>"
        f"{_folded('Example', sent + _json(seen['done']) + _json(seen['refused']))}"
        f"{_folded('socket.io-client', _pre(snippet))}</article>\n"
    )


def _told(name: str, operation: Schema, document: Schema) -> str:
    arguments = ", ".join(SERVER_EVENTS[name].arguments)
    snippet = f'socket.on("{name}", ({arguments}) => console.log({arguments}));'
    return (
        f"<article id='{name}'><h3>{name}</h3><p>{_prose(operation['summary'])}</p>"
        f"<p>Arguments: {_links(document['components']['messages'][name])}</p>"
        f"{_folded('Example', _json(examples()['server_events'][name][0]))}"
        f"{_folded('socket.io-client', _pre(snippet))}</article>\n"
    )


def _table(heads: Iterable[str], rows: str) -> str:
    head = "".join(f"<th scope='col'>{text}</th>" for text in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>{content}</details>"


def _json(value: Any, kind: str = "answer") -> str:
    return "" if value is None else _pre(json.dumps(value, indent=2, ensure_ascii=False), kind)


def _pre(text: str, kind: str = "code") -> str:
    """Return a text as it is, which can be scrolled by keys."""
    return f"<pre class='{kind}' tabindex='0'>{escape(text, quote=False)}</pre>"


def _errors() -> str:
    rows = "".join(
        f"<tr><th scope='row'><code>{code}</code></th><td>{kind.status}</td><td>{escape(kind.message)}</td>"
        f"<td>{'yes' if kind.retryable else 'no'}</td><td><code>{_compact(code)}</code></td></tr>"
        for code, kind in CATALOGUE.items()
    )
    return _table(("Code", "HTTP", "Message", "May be repeated", "Example"), rows)


def _compact(code: str) -> str:
    seen = examples()
    return escape(json.dumps(seen["errors"].get(code) or seen["join_errors"].get(code) or seen["refusals"][code]))


def _shape(named: tuple[str, Schema]) -> str:
    name, schema = named
    bare = {key: value for key, value in schema.items() if key not in ("title", "description")}
    text = escape(json.dumps(bare, indent=2))
    shown = re.sub(r"&quot;#/components/schemas/(\w+)&quot;", r'<a href="#\1">\1</a>', text)
    return (
        f"<article id='{name}'><h3>{name}</h3><p>{_prose(schema.get('description', ''))}</p>"
        f"<details><summary>Schema of {name}</summary><pre tabindex='0'>{shown}</pre></details></article>\n"
    )


def _content(part: Schema) -> str:
    return _links(part["content"]) if "content" in part else ""


def _links(part: Schema) -> str:
    names = dict.fromkeys(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(part)))
    return ", ".join(f"<a href='#{name}'>{name}</a>" for name in names)


def _roles(operation: Schema) -> str:
    roles = operation.get("x-roles")
    if roles is None:
        return "anyone"
    return ", ".join(f"{role} ({grant})" for role, grant in roles.items() if grant != "none")


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
