"""What holds for every test: a clean environment, and with CI=true no test may be skipped."""

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


# Seconds after which a test that has gone on in spite of its time-out is told again.
_TOLD_AGAIN: Final = 10.0


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the shell that runs the tests reaches them."""
    for name in os.environ:
        if name.upper().startswith((PREFIX, "OTEL_")) and not name.upper().startswith(f"{PREFIX}TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def documented() -> Iterator[None]:
    """Nothing was answered to a client of the harness that the documents do not show."""
    yield
    found = violations.copy()
    violations.clear()
    assert found == []


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(settings: Any) -> Generator[None, object, object]:
    """The signal of pytest-timeout comes once: it ends the test, but not an event loop that then hangs as it closes."""
    result = yield
    if settings.method == "signal":
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, _TOLD_AGAIN)
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
