"""The logs: one line for each thing, that machines or people can read, and nothing that must not be there."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext

from app.observability.logging import Throttle, _Flood, configure_logging, request_id
from app.settings import Settings

logger = logging.getLogger("app.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is one for the whole process: leave it as it was."""
    root = logging.getLogger()
    before, level, loggers = root.handlers, root.level, dict(logging.Logger.manager.loggerDict)
    levels = {name: other.level for name, other in loggers.items() if isinstance(other, logging.Logger)}
    yield
    root.handlers, root.level = before, level
    for name in logging.Logger.manager.loggerDict:
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))
    logging.captureWarnings(False)


def configured(**settings: Any) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(Settings(**settings), stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail(message: str) -> None:
    raise ValueError(message)


def test_a_line_is_json_with_time_level_logger_message_and_fields() -> None:
    stream = configured()
    logger.info("session created", extra={"version": 1, "message_count": 2})
    (line,) = lines(stream)
    assert list(line) == ["ts", "level", "logger", "message", "version", "message_count"]
    moment = datetime.fromisoformat(line.pop("ts"))
    assert moment.tzinfo is not None
    assert line == {
        "level": "info",
        "logger": "app.test",
        "message": "session created",
        "version": 1,
        "message_count": 2,
    }


def test_the_time_is_utc_with_milliseconds() -> None:
    stream = configured()
    record = logging.makeLogRecord({"name": "app", "levelno": 20, "levelname": "INFO", "msg": "x", "created": 0.25})
    logger.handle(record)
    assert lines(stream)[0]["ts"] == "1970-01-01T00:00:00.250Z"


def test_request_and_trace_are_on_every_line() -> None:
    stream = configured()
    span = NonRecordingSpan(SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=False))
    token = request_id.set("r-1")
    try:
        with trace.use_span(span):
            logger.info("inside")
    finally:
        request_id.reset(token)
    logger.info("outside")
    inside, outside = lines(stream)
    assert (inside["request_id"], inside["trace_id"], inside["span_id"]) == ("r-1", f"{0xABC:032x}", f"{0xDEF:016x}")
    assert not {"request_id", "trace_id", "span_id"} & outside.keys()


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_exception_is_one_line_without_a_traceback(log_format: str) -> None:
    stream = configured(log_format=log_format)
    try:
        fail("first\nsecond" + "x" * 10_000)
    except ValueError:
        logger.exception("it failed")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "ValueError: first" in text
    assert "test_logging.py" in text
    assert "in fail" not in text
    assert len(text) < 1000


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_debugging_shows_the_traceback(log_format: str) -> None:
    stream = configured(log_format=log_format, log_level="debug")
    try:
        fail("x")
    except ValueError:
        logger.exception("it failed")
    assert "in fail" in stream.getvalue()


def test_text_is_for_reading_and_stays_on_its_line() -> None:
    stream = configured(log_format="text")
    logger.warning("refused", extra={"why": "new\nline \x1b[2J"})
    line = stream.getvalue()
    assert line.endswith(" WARNING  app.test: refused why=new\\nline \\x1b[2J\n")


def test_a_value_that_json_does_not_know_is_written_as_text() -> None:
    stream = configured()
    logger.info("odd", extra={"value": {1}, "half": "\ud800"})
    assert lines(stream)[0] | {"ts": ""} == {
        "ts": "",
        "level": "info",
        "logger": "app.test",
        "message": "odd",
        "value": "{1}",
        "half": "\ud800",
    }


def test_fields_cannot_replace_the_line_s_own() -> None:
    stream = configured()
    logger.info("true", extra={"level": "false", "ts": "false", "logger": "false"})
    line = lines(stream)[0]
    assert (line["level"], line["logger"], line["message"]) == ("info", "app.test", "true")


@pytest.mark.parametrize("name", ["socketio.server", "engineio.server", "uvicorn.error", "websockets.server"])
def test_libraries_that_log_payloads_are_heard_from_warnings_on(name: str) -> None:
    stream = configured(log_level="debug")
    logging.getLogger(name).info("received event 'join-session' ['123456']")
    logging.getLogger(name).warning("heard")
    assert [line["message"] for line in lines(stream)] == ["heard"]


def test_a_single_logger_may_have_another_level() -> None:
    stream = configured(log_level="error", log_levels={"app.store": "debug"})
    logging.getLogger("app.store.sessions").debug("heard")
    logger.warning("not heard")
    assert [line["message"] for line in lines(stream)] == ["heard"]


def test_handlers_of_libraries_are_replaced_and_ours_is_there_once() -> None:
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler(io.StringIO()))
    configured()
    stream = configured()
    logging.getLogger("uvicorn").error("once")
    assert [line["message"] for line in lines(stream)] == ["once"]
    assert logging.getLogger("uvicorn").handlers == []


def test_a_repeated_line_is_written_once_an_interval_with_the_number_left_out() -> None:
    stream = configured()
    moments = [0.0, 1.0, 9.9, 10.0, 10.1, 30.0, 50.0]
    clock = iter(moments)
    throttle = Throttle(logger, 10.0, clock=lambda: next(clock))
    for _ in moments:
        throttle.warning("bad packet", reason="junk")
    assert [line.get("suppressed", 0) for line in lines(stream)] == [0, 2, 1, 0]
    assert lines(stream)[0]["reason"] == "junk"


def test_keys_are_throttled_apart_from_each_other() -> None:
    stream = configured()
    throttle = Throttle(logger)
    for reason in ("junk", "size", "junk"):
        throttle.warning("bad packet", key=reason, reason=reason)
    assert [line["reason"] for line in lines(stream)] == ["junk", "size"]


def test_the_number_of_throttled_keys_is_bounded() -> None:
    stream = configured()
    throttle = Throttle(logger, most_keys=2)
    for key in (1, 2, 3, 3, 1):
        throttle.warning("bad packet", key=key, which=key)
    assert [line["which"] for line in lines(stream)] == [1, 2, 3, 1]


def test_of_one_text_there_are_twenty_lines_in_ten_seconds_and_then_the_number_left_out() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    now = 0.0
    flood = _Flood(clock=lambda: now)
    for _ in range(50):
        now += 0.1
        record = logging.makeLogRecord(
            {"name": "app", "levelno": logging.WARNING, "msg": "request %d failed", "args": (1,)}
        )
        if flood.filter(record):
            handler.handle(record)
    assert len(stream.getvalue().splitlines()) == 20
    now += 10
    record = logging.makeLogRecord({"name": "app", "levelno": logging.WARNING, "msg": "request %d failed"})
    assert flood.filter(record)
    assert record.__dict__["suppressed"] == 30


def test_a_flood_of_one_text_hides_no_other_and_nothing_that_somebody_debugs() -> None:
    stream = configured(log_level="debug")
    for _ in range(30):
        logger.warning("again")
        logger.debug("looking")
    logger.warning("another")
    messages = [line["message"] for line in lines(stream)]
    assert (messages.count("again"), messages.count("looking"), messages.count("another")) == (20, 30, 1)
