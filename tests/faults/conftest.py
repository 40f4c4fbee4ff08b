"""Fixtures: the shared replicas' HTTP API, for tests that break nothing."""

from __future__ import annotations

from tests.harness.people import api

__all__ = ["api"]
