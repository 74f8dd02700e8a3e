"""Logs: structlog, one line an event, to standard error. Imported late: a process that logs nothing does not pay."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any, Protocol

from actorkube.runtime.tracing import NOT_FOLLOWED, cause


class Log(Protocol):
    def bind(self, **values: Any) -> Log: ...
    def debug(self, event: str, **values: Any) -> Any: ...
    def info(self, event: str, **values: Any) -> Any: ...
    def warning(self, event: str, **values: Any) -> Any: ...
    def error(self, event: str, **values: Any) -> Any: ...


class Quiet:
    """A log that keeps nothing: for simulations, whose trace is the record."""

    def bind(self, **values: Any) -> Quiet:
        return self

    def debug(self, event: str, **values: Any) -> None:
        return

    info = warning = error = debug


def logger() -> Log:
    """The process's log, as `configure` set it up (structlog's defaults otherwise)."""
    structlog = _structlog()
    log: Log = structlog.get_logger()
    return log


def configure(level: str, *, json: bool = False) -> None:
    """Everything from `level` on, to standard error, as text for people or JSON lines for machines."""
    import logging

    structlog = _structlog()
    shape = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_cause,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if json else []),
            shape,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def add_cause(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The trace and span that a line belongs to, where what the code does is followed."""
    trace = cause.get()
    if trace is not None and trace is not NOT_FOLLOWED:
        event["trace_id"], event["span_id"] = trace.trace_id.hex(), f"{trace.span_id:016x}"
    return event


def _structlog() -> Any:
    """structlog, without `rich`: where that is installed, structlog imports it for tracebacks, which costs 40 ms."""
    if "structlog" not in sys.modules and "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]
        import structlog

        del sys.modules["rich"]
    import structlog

    return structlog
