"""Turns custom resource definitions into closed JSON schemas, without their descriptions.

    python extract.py gateway.networking.k8s.io_httproutes.yaml ...

writes httproute.json ... beside this file. Made so of Gateway API 1.6.1 (standard channel), Prometheus Operator 0.85.0
and KEDA 2.21.0, all under the Apache License 2.0. Needs PyYAML, which the tools of tools.in have.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-not-found, import-untyped, unused-ignore]

# Keywords of Kubernetes, or rules that only an API server can check.
DROPPED = {"description", "format", "default", "nullable"}


def closed(schema: Any) -> Any:
    """The schema in which an object has only the properties that it names, metadata aside."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in DROPPED and not key.startswith("x-kubernetes")}
    if kept.get("pattern", "").startswith("^(?i)"):
        # Go's way of saying that case is of no account is unknown elsewhere.
        del kept["pattern"]
    if schema.get("x-kubernetes-int-or-string"):
        kept = {"type": ["integer", "string"]}
    elif "properties" in kept:
        kept["properties"] = {name: closed(value) for name, value in kept["properties"].items()}
        kept.setdefault("additionalProperties", False)
    return {key: value if key == "properties" else closed(value) for key, value in kept.items()}


for source in map(Path, sys.argv[1:]):
    definition = yaml.safe_load(source.read_text())["spec"]
    version = next(version for version in definition["versions"] if version["storage"])
    schema = closed(version["schema"]["openAPIV3Schema"])
    kind = definition["names"]["kind"]
    schema["properties"]["apiVersion"] = {"const": f"{definition['group']}/{version['name']}"}
    schema["properties"]["kind"] = {"const": kind}
    schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    target = Path(__file__).with_name(f"{kind.lower()}.json")
    target.write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n")
