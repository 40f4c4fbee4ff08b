"""Rules for all tests: a clean environment, only documented responses, and with CI=true no skipped tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from typing import Any, Final

import pytest

from app.settings import PREFIX
from tests.harness.conformance import violations
from tests.harness.fixtures import redis_server, service

__all__ = ["redis_server", "service"]


# Seconds after the time-out of a test until the signal is repeated.
_REPEAT_SECONDS: Final = 10.0


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove settings of the shell from the environment."""
    for name in os.environ:
        if name.upper().startswith((PREFIX, "OTEL_")) and not name.upper().startswith(f"{PREFIX}TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def documented() -> Iterator[None]:
    """Fail the test if a client of the harness received something that the documents do not describe."""
    yield
    found = violations.copy()
    violations.clear()
    assert found == []


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(settings: Any) -> Generator[None, object, object]:
    """Repeat the signal of pytest-timeout.

    The first signal ends the test, but not an event loop that then hangs while it is closed.
    """
    result = yield
    if settings.method == "signal":
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, _REPEAT_SECONDS)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _may_not_skip(report) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if _may_not_skip(report):
        report.outcome = "failed"
    return report


def _may_not_skip(report: pytest.TestReport | pytest.CollectReport) -> bool:
    return report.skipped and os.environ.get("CI") == "true"
