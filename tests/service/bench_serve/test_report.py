import json
from pathlib import Path

import pytest

from service.bench.report import save_report
from service.bench_serve.command import main
from service.bench_serve.report import FORMAT, OverloadRow, Report, Row, Service, load_report, render_page
from service.errors import BenchError


def example() -> Report:
    return Report(
        FORMAT,
        "python -m service bench-serve",
        "2026-01-02T03:04:05+00:00",
        "a processor",
        {"python": "3.11.7"},
        "store/net/1.csrve",
        "ab" * 32,
        61082,
        "wrk",
        [0],
        [0],
        3,
        2,
        0,
        {"other": "is not installed"},
        [Service("csrve", 0.5, 70 << 20)],
        [Row("csrve", 8, [90.0, 110.0], 8.0, 12.5, 0, 100.0), Row("peer", 8, [40.0], 20.0, 30.0, 2, 40.0)],
        [OverloadRow("csrve", 5.0, 500.0, 95.0, 285, 1200, 3, 12, 80.0, None)],
    )


def test_what_was_saved_is_what_is_read(tmp_path: Path) -> None:
    save_report(example(), tmp_path / "report.json")
    assert render_page(load_report(tmp_path / "report.json")) == render_page(example())


def test_the_page_says_all_of_it() -> None:
    page = render_page(example())
    for line in (
        "- a processor; services on 1 processors, wrk on 1 (the same)",
        "- left out: other: is not installed",
        "| csrve | 0.50 | 70 |",
        "| csrve | 8 | 100 | 90..110 | 8.00 | 12.50 | 0 | 2.50x |",
        "| peer | 8 | 40 | 40..40 | 20.00 | 30.00 | 2 | 0.40x |",
        "| csrve | 5x | 500 | 95 | 285 | 1200 | 3 | 12 | 80 | none |",
    ):
        assert line in page.splitlines()


def test_a_file_that_is_no_report_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for text in ("[]", "no", json.dumps({"format": 9}), json.dumps({"format": FORMAT})):
        path.write_text(text)
        with pytest.raises(BenchError, match="not a report of services"):
            load_report(path)


def test_the_command_prints_a_saved_run_or_says_in_a_line_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_report(example(), tmp_path / "report.json")
    assert main(["--render", str(tmp_path / "report.json")]) == 0
    assert capsys.readouterr().out == render_page(example())
    for arguments, reason in (
        (["--rounds", "0"], "rounds 0, must be in 1..100"),
        (["--connections", "x"], 'argument --connections: "x", must be whole numbers with commas between'),
        (["--json", str(tmp_path)], f'"{tmp_path}": must be a file in a folder that exists'),
        (["--render", str(tmp_path / "none")], f'"{tmp_path / "none"}": No such file or directory'),
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err == f"csrve: {reason}\n"
