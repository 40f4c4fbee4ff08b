"""An HTML page with both documents: static, without scripts or other files."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from html import escape
from typing import Final

from app.documents.asyncapi import asyncapi
from app.documents.openapi import openapi
from app.documents.schemas import Schema, schemas
from app.sessions.errors import CATALOGUE

__all__ = ["PAGE_POLICY", "page"]

_STYLE: Final = """
:root { color-scheme: light dark; --line: light-dark(#d0d5dd, #3a4150); --soft: light-dark(#f4f6f9, #1b2029);
  --text: light-dark(#17202e, #e6eaf0); --dim: light-dark(#4a5568, #a9b3c1); --link: light-dark(#0b57b8, #8bbcff);
  --back: light-dark(#ffffff, #12161d); }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1rem 4rem; font: 1rem/1.6 system-ui, sans-serif;
  color: var(--text); background: var(--back) }
a { color: var(--link) }
a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
h1 { line-height: 1.2 } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line) }
h3 { margin: 0; font-size: 1rem; overflow-wrap: anywhere }
section > article { margin: 1rem 0; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .5rem }
article p { margin: .25rem 0; color: var(--dim) }
code, pre { font-family: ui-monospace, monospace; font-size: .9em }
code { background: var(--soft); padding: .1em .3em; border-radius: .25rem; overflow-wrap: anywhere }
pre { background: var(--soft); padding: .75rem; border-radius: .5rem; overflow: auto; max-height: 30rem }
nav ul { padding-left: 1.2rem } summary { cursor: pointer; padding: .25rem 0 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .35rem .5rem;
  border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere }
"""

PAGE_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)
"""The Content-Security-Policy of the page: only its own style sheet."""


@functools.cache
def page() -> str:
    """Return the page at ``/docs``."""
    http, sockets = openapi(), asyncapi()
    client, server = _events(sockets, "receive"), _events(sockets, "send")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>join-session API</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>join-session API</h1>
<p>For programs: <a href="/openapi.json">OpenAPI 3.1</a>, <a href="/asyncapi.json">AsyncAPI 3</a>.</p>
<nav aria-label="Contents"><ul>
<li><a href="#http">HTTP</a></li>
<li><a href="#client">Events from the client</a></li>
<li><a href="#server">Events from the server</a></li>
<li><a href="#errors">Errors</a></li>
<li><a href="#shapes">Shapes</a></li>
</ul></nav>
</header>
<main>
<section id="http"><h2>HTTP</h2><p>{_prose(http["info"]["description"])}</p>
{_operations(http)}</section>
<section id="client"><h2>Events from the client</h2><p>{_prose(sockets["info"]["description"])}</p>
{client}</section>
<section id="server"><h2>Events from the server</h2>
{server}</section>
<section id="errors"><h2>Errors</h2>
{_errors()}</section>
<section id="shapes"><h2>Shapes</h2>
{"".join(map(_shape, schemas().items()))}</section>
</main>
</body>
</html>
"""


def _operations(document: Schema) -> str:
    return "".join(
        _operation(method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )


def _operation(method: str, path: str, operation: Schema) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{status}</th><td>{_prose(response['description'])}</td><td>{_content(response)}</td></tr>"
        for status, response in operation["responses"].items()
    )
    body = "none"
    if "requestBody" in operation:
        body = _body(operation["requestBody"]["content"]["application/json"]["schema"])
    return (
        f"<article id='http-{operation['operationId']}'><h3>{method} {escape(path)}</h3>"
        f"<p>{_prose(operation['summary'])}</p>"
        f"<p>Who: {_roles(operation)}</p><p>Body: {body}</p><details><summary>Answers</summary><table>"
        f"<thead><tr><th scope='col'>Status</th><th scope='col'>Meaning</th><th scope='col'>Body</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></details></article>\n"
    )


def _events(document: Schema, action: str) -> str:
    messages = document["components"]["messages"]
    return "".join(
        f"<article id='{name}'><h3>{name}</h3><p>{_prose(operation['summary'])}</p>"
        + (f"<p>Who: {_roles(operation)}</p>" if action == "receive" else "")
        + f"<p>Arguments: {_links(messages[name])}</p>"
        + (f"<p>Acknowledgement: {_links(messages[f'{name}-ack'])}</p>" if action == "receive" else "")
        + "</article>\n"
        for name, operation in document["operations"].items()
        if operation["action"] == action
    )


def _errors() -> str:
    rows = "".join(
        f"<tr><th scope='row'><code>{code}</code></th><td>{kind.status}</td><td>{escape(kind.message)}</td>"
        f"<td>{'yes' if kind.retryable else 'no'}</td></tr>"
        for code, kind in CATALOGUE.items()
    )
    heads = "".join(f"<th scope='col'>{head}</th>" for head in ("Code", "HTTP", "Message", "May be repeated"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _shape(named: tuple[str, Schema]) -> str:
    name, schema = named
    bare = {key: value for key, value in schema.items() if key not in ("title", "description")}
    text = escape(json.dumps(bare, indent=2))
    shown = re.sub(r"&quot;#/components/schemas/(\w+)&quot;", r'<a href="#\1">\1</a>', text)
    return (
        f"<article id='{name}'><h3>{name}</h3><p>{_prose(schema.get('description', ''))}</p>"
        f"<details><summary>Schema of {name}</summary><pre tabindex='0'>{shown}</pre></details></article>\n"
    )


def _body(schema: Schema) -> str:
    if "$ref" in schema:
        return _links(schema)
    if "properties" not in schema:
        return " or ".join(map(_body, schema["anyOf"]))
    required = schema.get("required", [])
    return f"<code>{{{', '.join(name if name in required else f'{name}?' for name in schema['properties'])}}}</code>"


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
