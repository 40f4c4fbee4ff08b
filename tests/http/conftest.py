"""Fixtures: the shared replicas' HTTP API and their clients."""

from __future__ import annotations

from tests.harness.people import api, node, people

__all__ = ["api", "node", "people"]
