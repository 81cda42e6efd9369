"""Plasmid's own log: one line an event, on stderr."""

from __future__ import annotations

import logging
import os
import sys

import structlog


def configure() -> None:
    """Log from PLASMID_LOG's level (default warning): for people on a terminal, else as JSON."""
    name = os.environ.get("PLASMID_LOG", "warning").upper()
    level = logging.getLevelNamesMapping().get(name, logging.WARNING)
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
