"""Fixtures: stock clients in Node, and clients of the shared replicas."""

from __future__ import annotations

from tests.harness.people import api, node, people

__all__ = ["api", "node", "people"]
