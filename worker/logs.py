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


def _stderr(*_arguments: object) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)  # looked up each time: a progress bar puts itself in between


def _as_is(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
