"""SECURITY.md's checklist is whole, and every test that it names is there."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text()
ROWS = re.findall(r"^\| ([IPSV]\d+) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
EXPECTED = {"I": 13, "P": 21, "S": 12, "V": 20}
EXCUSED = {"I3"}  # says why it does not apply
WALL_CLOCKS = {"time.time", "datetime.now", "datetime.utcnow", "time.time_ns"}
TELL_THE_TIME = {"logs.py", "statistics.py", "tracing.py", "surroundings.py"}  # to people, and to a span


@cache
def functions(path: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_row_is_there_once_and_in_order() -> None:
    rows = [row for row, _, _ in ROWS]
    assert rows == [f"{letter}{number}" for letter, count in EXPECTED.items() for number in range(1, count + 1)]
    assert Counter(rows).most_common(1)[0][1] == 1


def test_every_row_names_tests_that_are_there() -> None:
    for row, _, shown in ROWS:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", shown)
        assert named or row in EXCUSED, row
        for path, name in named:
            assert (ROOT / path).is_file(), f"{row}: {path}"
            assert name in functions(path), f"{row}: {path} has no {name}"


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:\w+/)*test_\w+\.py)", PAGE))
    assert named
    for name in named:
        assert any((ROOT / folder / name).is_file() for folder in (".", "tests", "tests/service", "tests/model_store"))


def test_v19_no_deadline_goes_by_the_wall_clock() -> None:
    """A clock that jumps changes what the log says, and no deadline."""
    for path in (ROOT / "service").rglob("*.py"):
        if path.name in TELL_THE_TIME:
            continue
        called = {
            ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        }
        assert not called & WALL_CLOCKS, path
