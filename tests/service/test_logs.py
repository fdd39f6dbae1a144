import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from service.logs import configure_logs, log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers, root.level
    stream = io.StringIO()
    configure_logs("info", stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers, root.level = before


def test_an_event_is_one_line_of_json(stream: io.StringIO) -> None:
    log("event\n\u2028", {"path": '"\n\u00e9', "number": 1})
    (line,) = stream.getvalue().splitlines()
    assert line.isascii()
    entry = json.loads(line)
    assert entry.pop("ts").endswith("+00:00")
    assert entry == {"level": "info", "event": "event\n\u2028", "path": '"\n\u00e9', "number": 1}


def test_an_exception_is_logged_with_its_traceback_in_the_same_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        log("crash", {}, logging.ERROR, error)
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: boom" in json.loads(line)["exception"]


def test_other_loggers_and_warnings_come_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("x %d", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("careful", stacklevel=1)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["logger"], first["level"]) == ("x 1", "uvicorn.error", "warning")
    assert "careful" in second["event"]


def test_what_is_below_the_level_is_dropped(stream: io.StringIO) -> None:
    log("detail", {}, logging.DEBUG)
    assert stream.getvalue() == ""
