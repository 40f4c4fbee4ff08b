"""Structured logs: JSON lines, or readable lines on a terminal.

Write ``logger.info("session created", extra={"version": 1})``: a constant message that can be searched for, with
variable data as fields. Never log a secret, a token, a session code or data that a client sent.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import time
import traceback
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from opentelemetry import trace

from app.observability.log_writer import LineWriter
from app.settings import Settings
from app.terminal import printable

__all__ = [
    "JSONFormatter",
    "Throttle",
    "begin_request",
    "configure_logging",
    "dropped_log_records",
    "log_bug",
    "request_id",
]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request or event. Every line logged in its context has it."""

# At level info these loggers write payloads, or addresses with session ids. They must not follow the general level.
_CHATTY: Final = (
    "engineio",
    "socketio",
    "uvicorn",
    "websockets",
    "quart",
    "hypercorn",
    "httpx",
    "hpack",
    "httpcore",
    "urllib3",
)

# ``app.observability.tracing`` reports failed exports in one line. The other logger repeats headers that it cannot
# parse, which may contain a password.
_SILENT: Final = ("opentelemetry.exporter", "opentelemetry.util.re")

# Without configuration these loggers would get handlers from their libraries.
_FOREIGN: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "socketio", "engineio", "asyncio")

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
_MAX_ERROR_CHARACTERS: Final = 500
_MAX_FRAMES: Final = 20


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all loggers to ``stream`` (standard error), in the format and at the levels of the settings."""
    stream = stream or sys.stderr
    readable = settings.log_format == "text" or (settings.log_format == "auto" and stream.isatty())
    tracebacks = settings.log_level == "debug"
    handler = _Handler(stream)
    handler.addFilter(_Flood())
    handler.setFormatter(_TextFormatter(tracebacks) if readable else JSONFormatter(tracebacks))
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if not isinstance(other, _Handler)] + [handler]
    root.setLevel(settings.log_level.upper())
    for name in _FOREIGN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    levels = dict.fromkeys(_CHATTY, _at_least_warning(settings.log_level)) | dict.fromkeys(_SILENT, "critical")
    levels |= settings.log_levels
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(True)


def begin_request() -> None:
    """Start a new request or event: later log lines of this context carry its id."""
    request_id.set(f"{random.getrandbits(64):016x}")


def log_bug(
    logger: logging.Logger, message: str, error: BaseException, *, level: int = logging.ERROR, **extra: str
) -> None:
    """Log an unexpected error with its traceback, whatever the configured level."""
    frames = "".join(traceback.format_tb(error.__traceback__)[-_MAX_FRAMES:])
    logger.log(level, message, exc_info=error, extra={"traceback": frames.rstrip(), **extra})


class Throttle:
    """Logs at most one line for each key and interval, for lines that hostile traffic could repeat.

    Left-out lines are counted in the field ``suppressed`` of the key's next line. Keys must come from the code, not
    from clients. Beyond ``most_keys`` the oldest key is forgotten.
    """

    def __init__(
        self,
        logger: logging.Logger,
        interval: float = 10.0,
        *,
        most_keys: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._interval = interval
        self._most_keys = most_keys
        self._clock = clock
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def warning(self, message: str, *, key: Hashable = None, **fields: object) -> None:
        """Log ``message`` with ``fields`` unless ``key`` (default: the message) was logged within the interval."""
        key = message if key is None else key
        now = self._clock()
        since, suppressed = self._seen.get(key, (-self._interval, 0))
        if now - since < self._interval:
            self._seen[key] = since, suppressed + 1
            return
        self._seen.pop(key, None)
        if len(self._seen) >= self._most_keys:
            self._seen.pop(next(iter(self._seen)))
        self._seen[key] = now, 0
        self._logger.warning(message, extra=fields | ({"suppressed": suppressed} if suppressed else {}))


def dropped_log_records() -> int:
    """Return how many lines this process has dropped because standard error did not accept them."""
    handlers = (handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler))
    return sum(handler.writer.dropped for handler in handlers if handler.writer is not None)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream without blocking the caller. Streams without a file descriptor are written to directly.

    ``logging`` calls ``flush`` when the process ends.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        descriptor = _descriptor_of(stream)
        self.writer = None if descriptor is None else LineWriter(descriptor, self._dropped)

    def emit(self, record: logging.LogRecord) -> None:
        if self.writer is None:
            super().emit(record)
            return
        try:
            self.writer.put(self._line(record))
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        super().flush()
        if self.writer is not None:
            self.writer.flush()

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(errors="backslashreplace")

    def _dropped(self, count: int) -> bytes:
        fields = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"}
        return self._line(logging.makeLogRecord(fields | {"msg": "log records were dropped", "dropped": count}))


def _descriptor_of(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


class _Flood(logging.Filter):
    """Passes the first lines of a kind in each interval, and counts the others in the next interval's first line.

    Hostile clients, a broken library or an outage may repeat a line with every request. A kind is a logger, a level and
    a message before its arguments are inserted. Loggers at level debug are not limited.
    """

    def __init__(
        self,
        most: int = 20,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        most_kinds: int = 1000,
    ) -> None:
        super().__init__()
        self._most = most
        self._interval = interval
        self._clock = clock
        self._most_kinds = most_kinds
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG:
            return True
        kind = record.name, record.levelno, str(record.msg)[:_MAX_ERROR_CHARACTERS]
        now = self._clock()
        since, count = self._seen.pop(kind, (now, 0))
        if now - since >= self._interval:
            if count > self._most:
                record.__dict__.setdefault("suppressed", count - self._most)
            since, count = now, 0
        if len(self._seen) >= self._most_kinds:
            self._seen.pop(next(iter(self._seen)), None)
        self._seen[kind] = since, count + 1
        return count < self._most


class JSONFormatter(logging.Formatter):
    """Formats a record as one line of JSON; with ``tracebacks`` errors include theirs."""

    def __init__(self, tracebacks: bool) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"ts": moment, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        fields = _fields(record, self._tracebacks)
        return json.dumps(line | {name: value for name, value in fields.items() if name not in line}, default=str)


class _TextFormatter(logging.Formatter):
    def __init__(self, tracebacks: bool) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        fields = _fields(record, self._tracebacks)
        frames = fields.pop("traceback", "")
        parts = [moment, record.levelname.ljust(8), f"{record.name}:", record.getMessage()]
        parts += [f"{name}={value}" for name, value in fields.items()]
        return printable(" ".join(parts)) + (f"\n{frames}" if frames else "")


def _fields(record: logging.LogRecord, tracebacks: bool) -> dict[str, Any]:
    fields = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    if current := request_id.get():
        fields["request_id"] = current
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        fields["trace_id"] = trace.format_trace_id(span.trace_id)
        fields["span_id"] = trace.format_span_id(span.span_id)
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        fields |= _error_fields(error)
        if tracebacks:
            fields["traceback"] = "".join(traceback.format_exception(error)).rstrip()
    return fields


def _error_fields(error: BaseException) -> dict[str, str]:
    fields = {"error": f"{type(error).__name__}: {error}"[:_MAX_ERROR_CHARACTERS]}
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    if frames:
        fields["at"] = f"{frames[0].filename}:{frames[0].lineno} {frames[0].name}"
    return fields


def _at_least_warning(level: str) -> str:
    return "warning" if level in ("debug", "info") else level
