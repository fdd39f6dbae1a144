"""The comparison: its numbers are those of records and measured times; the page is whole."""

import json
from pathlib import Path
from typing import Any

import pytest

from compressor.cli import main
from compressor.errors import CompressorError
from compressor.report.comparison import compared, comparison_page, comparison_pictures, read_latencies
from compressor.results import Record
from tests.compressor.experiments.test_aims import record
from tests.compressor.report.test_page import Balanced

PNG = b"\x89PNG\r\n"


def bench(folder: Path, sha256: str, median_s: float, engine: str = "native", fastest: str = "avx2") -> Path:
    networks = [{"name": "n", "sha256": sha256}]
    row = {"network": "n", "threads": 1, "batch": 1, "engine": engine, "timing": {"median_s": median_s}}
    rows: list[dict[str, Any]] = [row, {**row, "batch": 16}, {**row, "threads": 2}, {**row, "engine": "torch"}]
    path = folder / f"{sha256}-{fastest}.json"
    conditions = {"instruction_sets": [fastest, "plain"]}
    path.write_text(json.dumps({"conditions": conditions, "networks": networks, "rows": rows}))
    return path


def records() -> list[Record]:
    digit = record(name="digit", architecture="lenet5", sha256="d", multiply_adds=5)
    things = record(name="thing<>", sha256="t", multiply_adds=10)
    old = record(name="old", sha256="o", dense={})
    del old["dense_multiply_adds"], old["parameters_left"], old["multiply_adds_of_structure"]
    return [Record(fields["name"], fields) for fields in (things, old, digit)]


def test_latencies_are_those_of_our_engine_alone_with_one_picture(tmp_path: Path) -> None:
    files = [bench(tmp_path, "a", 0.001), bench(tmp_path, "b", 0.002), tmp_path / "none.json"]
    assert read_latencies(files) == {"a": {"avx2": 0.001}, "b": {"avx2": 0.002}}
    assert read_latencies([bench(tmp_path, "c", 1.0, "numpy")]) == {}


def test_each_instruction_set_has_a_latency_of_its_own_and_the_last_file_counts(tmp_path: Path) -> None:
    older, newer = tmp_path / "older", tmp_path / "newer"
    older.mkdir()
    newer.mkdir()
    files = [bench(older, "a", 0.001), bench(older, "a", 0.003, fastest="avx512"), bench(newer, "a", 0.002)]
    assert read_latencies(files) == {"a": {"avx2": 0.002, "avx512": 0.003}}


@pytest.mark.parametrize("text", ["[]", '{"conditions": {"instruction_sets": []}, "networks": [], "rows": []}'])
def test_what_no_bench_wrote_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(CompressorError, match=r"x\.json: not what `python -m service bench --json` writes"):
        read_latencies([tmp_path / "x.json"])


def test_the_page_has_every_bundle_and_every_picture(tmp_path: Path) -> None:
    bundles = compared(records(), {"t": {"avx512": 0.0005}, "o": {"avx2": 0.0007}})
    assert [each.name for each in bundles] == ["digit", "thing<>", "old"]
    pictures = comparison_pictures(bundles)
    assert [picture.name for picture in pictures] == [
        "comparison-cifar10-bytes.png",
        "comparison-cifar10-operations.png",
        "comparison-cifar10-latency-avx512.png",
        "comparison-cifar10-latency-avx2.png",
        "comparison-mnist-bytes.png",
        "comparison-mnist-operations.png",
    ]
    assert all(picture.png.startswith(PNG) for picture in pictures)
    page = comparison_page(bundles, pictures)
    Balanced().feed(page.replace("<!doctype html>", ""))
    assert "<td>thing&lt;&gt;</td><td>50,000</td><td>20.0x</td><td>91.00%</td><td>0.74</td>" in page
    assert "<th scope=col>of the dense</th><th scope=col>ms, avx512</th><th scope=col>ms, avx2</th>" in page
    assert "<td>0.00</td><td>25.0%</td><td>0.500</td><td>-</td>" in page
    assert "<td>-</td><td>0.700</td>" in page
    assert page.count("data:image/png;base64,") == 6
    assert "http" not in page.replace("https://www.w3.org", "")
    assert "CNN-FCF: Li et al." in page


def test_the_command_makes_it_from_the_projects_own_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "comparison", "--output", str(tmp_path)]) == 0
    assert "comparison.html" in capsys.readouterr().out
    assert (tmp_path / "comparison-cifar10-bytes.png").read_bytes().startswith(PNG)
