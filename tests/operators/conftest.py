"""Fixtures: replicas that operators may use, and their clients."""

from __future__ import annotations

from tests.harness.people import node

__all__ = ["node"]
