"""Logs: one JSON object a line, to stderr. Never the contents of a picture."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

_LOGGER = logging.getLogger("csrve")


class JsonFormatter(logging.Formatter):
    """A record as one line: ts, level, event, and what the event says of itself."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON, in ASCII, so that nothing a client sends can begin a line of its own."""
        entry: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if record.name != _LOGGER.name:
            entry["logger"] = record.name
        entry.update(getattr(record, "entry", {}))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Send every logger of the process, and Python's warnings, through the JSON formatter."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    for noisy in ("PIL", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def is_logged(level: int) -> bool:
    """Whether anything of that level is written."""
    return _LOGGER.isEnabledFor(level)


def log(
    event: str, entry: Mapping[str, object], level: int = logging.INFO, exception: BaseException | None = None
) -> None:
    """Write one line; `entry` becomes members of the object."""
    _LOGGER.log(level, event, extra={"entry": entry}, exc_info=exception)
