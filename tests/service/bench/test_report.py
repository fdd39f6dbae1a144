import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.bench.report import load_report, parse_report, save_report
from service.errors import BenchError
from tests.service.bench.reports import example_report


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "found.json"
    save_report(example_report(), path)
    return path


def test_a_report_comes_back_as_it_was_saved(saved: Path) -> None:
    assert load_report(saved) == example_report()


def test_the_file_has_these_fields(saved: Path) -> None:
    data = json.loads(saved.read_text())
    assert data["format"] == 2
    assert list(data) == ["format", "conditions", "networks", "rows", "loads", "decoders"]
    assert list(data["conditions"]) == [
        "command",
        "started",
        "seed",
        "processor",
        "processors",
        "instruction_sets",
        "versions",
        "peaks",
        "pace",
        "tolerance",
        "left_out",
    ]
    assert data["conditions"]["pace"] == {"rounds": 5, "turn_s": 0.15, "warm_up_s": 0.02}
    assert data["rows"][0] == {
        "network": "a.csrve",
        "threads": 1,
        "batch": 1,
        "engine": "native",
        "dense": False,
        "difference": 1e-7,
        "problem": "",
        "timing": {
            "runs": 15,
            "median_s": 0.0004,
            "lower_quartile_s": pytest.approx(0.00036),
            "upper_quartile_s": pytest.approx(0.00048),
            "best_s": pytest.approx(0.00032),
        },
        "ratio": 2.5,
        "share_of_peak": 0.281,
    }
    assert list(data["networks"][0]) == [
        "name",
        "architecture",
        "sha256",
        "bundle_bytes",
        "dense_bytes",
        "parameters",
        "weight_nonzeros",
        "multiply_adds",
        "dense_multiply_adds",
    ]
    assert data["loads"][0]["parts"] == {"read": 1e-4, "decode": 0.0022}
    assert list(data["decoders"][0]) == ["network", "threads", "symbols", "timing", "problem"]


def test_a_report_from_before_decoders_were_measured_is_read(saved: Path) -> None:
    data = json.loads(saved.read_text())
    del data["decoders"]
    assert parse_report({**data, "format": 1}) == replace(example_report(), decoders=())
    with pytest.raises(ValueError, match="decoders"):
        parse_report(data)


def _without(data: dict[str, Any], *path: str | int) -> dict[str, Any]:
    """The same without one field."""
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return data


@pytest.mark.parametrize(
    "path", [("format",), ("rows",), ("rows", 0, "ratio"), ("rows", 0, "timing", "runs"), ("conditions", "pace")]
)
def test_a_report_that_lacks_a_field_is_refused(saved: Path, path: tuple[str | int, ...]) -> None:
    data = _without(json.loads(saved.read_text()), *path)
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse_report(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 3}', "not a report of a measurement (format 3, must be 1 or 2)"),
        ("[]", "not a report of a measurement (list indices must be integers or slices, not str)"),
        ("nothing", "not a report of a measurement (Expecting value: line 1 column 1 (char 0))"),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "found.json"
    path.write_text(text)
    with pytest.raises(BenchError) as caught:
        load_report(path)
    assert str(caught.value) == f'"{path}": {message}'


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    for use in (load_report, lambda path: save_report(example_report(), path)):
        with pytest.raises(BenchError) as caught:
            use(tmp_path / "missing" / "found.json")
        assert str(caught.value) == f'"{tmp_path}/missing/found.json": No such file or directory'
