"""As much of a Kubernetes API as Helm asks while it renders: which kinds there are, and objects, if one may see them.

What a real cluster answers, and that Helm can install with such rights, is seen in tests/e2e/test_installing.py.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["ApiServer", "api_server"]

_KINDS: Final = {
    "/api/v1": ["ConfigMap", "Pod", "Secret", "Service", "ServiceAccount"],
    "/apis/apps/v1": ["Deployment", "StatefulSet"],
    "/apis/autoscaling/v2": ["HorizontalPodAutoscaler"],
    "/apis/batch/v1": ["Job"],
    "/apis/keda.sh/v1alpha1": ["ScaledObject"],
    "/apis/policy/v1": ["PodDisruptionBudget"],
}
_VERBS: Final = ["create", "delete", "get", "list", "patch"]


class ApiServer(http.server.ThreadingHTTPServer):
    """Objects by their path; nothing outside the namespaces of `visible` may be read."""

    def __init__(self, visible: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.visible = visible
        self.objects: dict[str, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, version: str, release: str, item: dict[str, Any]) -> None:
        """Keeps an object as Helm makes it for a release."""
        name = item["metadata"]["name"]
        owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": self.visible}
        labels = {"app.kubernetes.io/managed-by": "Helm"}
        path = f"{version}/namespaces/{self.visible}/{_plural(item['kind'])}/{name}"
        self.objects[path] = {**item, "metadata": {"name": name, "labels": labels, "annotations": owner}}

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        if path == "/version":
            return 200, {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}
        if path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = [_group(path) for path in _KINDS if path.startswith("/apis/")]
            return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if path in _KINDS:
            return 200, _resources(path)
        name = path.rpartition("/")[2]
        if f"/namespaces/{self.visible}/" not in path:
            return 403, _status(403, "Forbidden", f"{name} is forbidden")
        if path in self.objects:
            return 200, self.objects[path]
        for version, kinds in _KINDS.items():
            for kind in kinds:
                if path == f"{version}/namespaces/{self.visible}/{_plural(kind)}":
                    return 200, _list(version, kind, [item for key, item in self.objects.items() if path in key])
        return 404, _status(404, "NotFound", f"{name} not found")


class _Handler(http.server.BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        status, answer = self.server.answer(self.path.partition("?")[0])
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def _plural(kind: str) -> str:
    return f"{kind.lower()}s"


def _group(path: str) -> dict[str, Any]:
    _, _, name, version = path.split("/")
    served = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _resources(path: str) -> dict[str, Any]:
    resources = [
        {"name": _plural(kind), "kind": kind, "singularName": kind.lower(), "namespaced": True, "verbs": _VERBS}
        for kind in _KINDS[path]
    ]
    return {
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": path.split("/", 2)[2], "resources": resources,
    }  # fmt: skip


def _list(path: str, kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    version = path.split("/", 2)[2]
    return {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": "1"}, "items": items}


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": message,
    }  # fmt: skip


@contextmanager
def api_server(visible: str) -> Iterator[ApiServer]:
    """A server whose caller has rights in one namespace only, which need not exist."""
    with ApiServer(visible) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
