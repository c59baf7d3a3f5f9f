"""Structured logs on stderr: one event a line, for people or as JSON."""

import sys

import structlog


def configure(log_format: str) -> None:
    """Sets up logging; `log_format` is `console` or `json`."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        # Looked up at each event: whoever redirects stderr later gets the log as well.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def get() -> structlog.typing.FilteringBoundLogger:
    """The service's logger."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
