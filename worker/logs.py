"""Logging: events are constants, facts are fields, everything goes to stderr.

A person's terminal gets readable lines, anything else gets one JSON object a line. Facts are internal ids and
counts, never patient data.
"""

import logging
import sys

import structlog


def configure_logs(level: str) -> None:
    """Set the process up; called once, by the command line."""
    pretty = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks if not pretty else _as_is,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=_stderr,
    )
    logging.getLogger().addHandler(_Forward(logging.WARNING))


class _Forward(logging.Handler):
    """What libraries warn of, Celery above all, as an event of ours. Their texts hold no patient's data."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on."""
        text = (record.getMessage().splitlines() or [""])[0]
        event = structlog.get_logger().error if record.levelno >= logging.ERROR else structlog.get_logger().warning
        event("library_told", library=record.name, text=text)


def _stderr(*_arguments: object) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)  # looked up each time: a progress bar puts itself in between


def _as_is(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
