"""One log for our events and those of libraries: lines for people on a terminal, JSON elsewhere, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

from aether.config.serving import Log

__all__ = ["set_up_logs"]


def set_up_logs(config: Log, stream: TextIO | None = None) -> None:
    """Send everything from ``config.level`` up to ``stream``, standard error by default."""
    stream = stream or sys.stderr
    people = config.format == "console" or (config.format == "auto" and stream.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if people else "iso", utc=not people, key="time"),
    ]
    last: list[structlog.types.Processor]
    if people:
        last = [structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time")]
    else:
        last = [
            structlog.processors.dict_tracebacks,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str),
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(config.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=config.level.upper(), force=True)
