from dataclasses import replace
from pathlib import Path

import pytest

from service.bench.page import HEAD, ON_GPU, render_page, render_text
from service.bench.report import load_report
from service.bench.tables import decoders_table, loads_table, problems, runs_table, subjects_table, summary_table
from tests.service.bench.reports import example_report

DOCS = Path(__file__).parents[3] / "docs"


def test_every_engine_has_a_row_with_what_was_found() -> None:
    assert runs_table(example_report(), "a.csrve") == [
        ["engine", "threads", "batch", "median ms", "quartiles ms", "pictures/s", "ratio", "FMA peak", "remark"],
        ["native", "1", "1", "0.4", "0.36..0.48", "2500", "2.50x", "28.1%", ""],
        ["torch", "1", "1", "1", "0.9..1.2", "1000", "1.00x", "11.2%", "best dense"],
        ["onnxruntime", "1", "1", "0.2", "0.18..0.24", "5000", "-", "-", "disagrees"],
        ["native", "1", "64", "20", "18..24", "3200", "3.00x", "-", ""],
        ["torch", "1", "64", "60", "54..72", "1067", "1.00x", "-", "best dense"],
        ["onnxruntime", "1", "64", "-", "-", "-", "-", "-", "failed"],
    ]
    (_, only) = runs_table(example_report(), "synthetic:b")
    assert only[3:5] == ["1234", "1111..1481"]


def test_the_summary_holds_our_fastest_beside_the_best_dense_runtime() -> None:
    assert summary_table(example_report()) == [
        ["network", "threads", "batch 1", "batch 64"],
        ["a.csrve", "1", "2.50x (native : torch)", "3.00x (native : torch)"],
        ["synthetic:b", "2", "-", "-"],
    ]


def test_loading_is_told_in_parts() -> None:
    assert loads_table(example_report(), "a.csrve") == [
        ["engine", "threads", "file bytes", "parts, median ms", "ready ms", "quartiles ms", "first picture ms"],
        ["native", "1", "69,408", "read 0.1 + decode 2.2", "2.3", "2.07..2.76", "0.4"],
        ["torch", "1", "1,084,880", "failed", "-", "-", "-"],
    ]
    assert len(loads_table(example_report(), "synthetic:b")) == 1


def test_decoders_are_told_with_their_speed() -> None:
    assert decoders_table(example_report()) == [
        ["network", "threads", "symbols", "median ms", "quartiles ms", "Msymbols/s"],
        ["a.csrve", "1", "160,000", "0.2", "0.18..0.24", "800"],
        ["a.csrve", "2", "-", "failed", "-", "-"],
    ]
    assert "| a.csrve | 1 | 160,000 | 0.2 | 0.18..0.24 | 800 |" in render_page(example_report())
    assert "Msymbols/s" not in render_page(replace(example_report(), decoders=()))


def test_sizes_and_multiply_adds_of_each_network() -> None:
    assert subjects_table(example_report())[2] == [
        "synthetic:b", "663,236", "44,734,248", "11,173,962", "559,662", "71.2", "555.4"
    ]  # fmt: skip


def test_a_run_with_a_gpu_says_what_its_times_are_of() -> None:
    report = example_report()
    versions = {**report.conditions.versions, "gpu": "a large one"}
    with_gpu = replace(report, conditions=replace(report.conditions, versions=versions))
    assert f"- {ON_GPU}\n" in render_page(with_gpu)
    assert ", gpu a large one\n" in render_page(with_gpu)
    assert ON_GPU not in render_page(report)


def test_reasons_are_told_once() -> None:
    report = example_report()
    doubled = replace(report, rows=report.rows + report.rows)
    assert problems(doubled, "a.csrve") == [
        "onnxruntime: disagrees: logits differ by 0.5 of the largest, more than 0.0001",
        "onnxruntime: its process ended with status -11",
        "torch: no answer in 600 s",
        "decoder: its process ended with status -11",
    ]
    assert problems(report, "synthetic:b") == []


@pytest.mark.parametrize("render", [render_text, render_page])
def test_conditions_and_problems_are_told(render: object) -> None:
    assert callable(render)
    text = render(example_report())
    for line in (
        "a processor, 2 processors; instruction sets of the native engine: avx2, plain",
        "FMA peak, threads 2: 117.0 GMAC/s",
        "python 3.11.7, numpy 2.4.6",
        "5 rounds, turns of 0.15 s after 0.02 s of warm-up, seed 0, tolerance 0.0001, "
        "started 2026-01-02T03:04:05+00:00",
        "left out: openvino: it needs openvino, which is not installed",
        "onnxruntime: its process ended with status -11",
    ):
        assert line in text


def test_threads_that_must_share_a_processor_are_told() -> None:
    report = example_report()
    assert "more than there are processors" not in render_text(report)
    alone = replace(report, conditions=replace(report.conditions, processors=1))
    assert "\nthreads 2: more than there are processors\n" in render_text(alone)


def test_the_page_is_markdown_from_its_head_to_the_last_table() -> None:
    page = render_page(example_report())
    assert page.startswith(HEAD)
    assert "\n    python -m service bench a.csrve synthetic:b\n" in page
    assert "\n## synthetic:b\n\n| engine | threads |" in page
    assert "\n| --- | --- | --- | --- |\n| a.csrve | 1 | 2.50x (native : torch) | 3.00x (native : torch) |\n" in page
    assert page.endswith("|\n")


def test_text_is_aligned_and_has_no_trailing_spaces() -> None:
    lines = render_text(example_report()).splitlines()
    assert "native             1      1        0.4    0.36..0.48        2500  2.50x     28.1%" in lines
    assert not [line for line in lines if line != line.rstrip()]


@pytest.mark.parametrize("run", sorted(path.stem for path in DOCS.glob("benchmarks*.json")))
def test_a_recorded_page_is_what_its_run_makes_of_it(run: str) -> None:
    assert (DOCS / f"{run}.md").read_text() == render_page(load_report(DOCS / f"{run}.json"))
