"""The reference of all settings, `docs/configuration.md`, made from the settings themselves."""

from __future__ import annotations

from typing import Final

from app.settings import PREFIX, SECRETS, Settings

__all__ = ["reference"]

# The field that each part begins with.
_PARTS: Final = {
    "host": "Network",
    "redis_url_file": "Redis",
    "secret_file": "Secrets",
    "lifetime": "Sessions",
    "miss_budget": "Budgets and limits",
    "ping_interval": "Connections",
    "demo": "Demo page and logs",
}

_INTRODUCTION: Final = f"""\
# Configuration

<!-- Made by `join-session check-config --reference`. -->

The service reads environment variables, and below them a file `.env` in the working directory (`--env-file` names
another one). Times are in seconds and may have fractions, sizes are in bytes. An empty variable counts as not set.
A name that begins with `{PREFIX}` and is not listed here stops the service with a message, so that no typing error
goes unnoticed. So does what Kubernetes sets for a Service called `join-session`: pods need
`enableServiceLinks: false`.

Each secret ({", ".join(f"`{name.upper()}`" for name in SECRETS)}) can be given as a file instead
(`..._FILE`); white space around the content is ignored.

`join-session check-config` prints the effective values, secrets masked, or everything that is wrong."""


def reference() -> str:
    """The whole page, in Markdown."""
    defaults = Settings.model_construct().shown()
    lines = [_INTRODUCTION]
    for name, field in Settings.model_fields.items():
        if name in _PARTS:
            lines += [f"\n## {_PARTS[name]}\n", "| Variable | Default | |", "|---|---|---|"]
        variable = PREFIX + name.upper()
        default = f"`{defaults[variable]}`" if defaults[variable] else ""
        lines.append(f"| `{variable}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"
