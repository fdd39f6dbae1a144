"""README's table and the results page, from two made-up records, to the letter."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import CompressorError
from compressor.experiments.tables import experiments_table, methods_table, targets_table
from compressor.results import (
    EXPERIMENTS,
    HEAD,
    METHODS,
    TARGETS,
    Record,
    read_records,
    results_page,
    summary_table,
    unbeaten,
    with_summary,
    write_results,
)

LARGE: dict[str, Any] = {
    "name": "small-cifar10",
    "version": 2,
    "sha256": "0123456789abcdef" * 4,
    "architecture": "resnet20",
    "accuracy": 0.91234,
    "holdout_accuracies": {"dense": 0.92, "prune": 0.9155, "decoded": 0.9149},
    "bundle_bytes": 64_000,
    "dense_bytes": 1_088_000,
    "bytes_by_kind": {"indices": 24_000, "values": 38_000, "header": 2_000},
    "parameters": 269_722,
    "nonzeros": 80_100,
    "sparsity": 0.7004,
    "dense": {"test_accuracy": 0.9217, "data": "ab", "recipe": {"holdout": 2000, "seed": 3}},
    "recipe": {"retrain": {"seed": 3, "holdout": 2000}},
    "data": {"train": "ab", "test": "cd"},
    "minutes": {"prune": 50.4, "share": 0.2},
    "command": "python -m compressor compress --name small-cifar10",
    "processor": "Some Processor",
    "cores": 2,
    "accelerator": None,
    "torch": "2.10.0",
}
SMALL = LARGE | {
    "name": "digits",
    "architecture": "lenet300",
    "bundle_bytes": 21_340,
    "dense_bytes": 1_066_440,
    "dense": {},
    "accelerator": "An Accelerator",
}
SUMMARY = """\
| network, bundle | dense | bundle | ratio | sparsity | dense accuracy | accuracy of the file |
| --- | --- | --- | --- | --- | --- | --- |
| lenet300, `digits` | 1,066.4 kB | 21.3 kB | 50.0x | 70.0% | not recorded | 91.23% |
| resnet20, `small-cifar10` | 1,088.0 kB | 64.0 kB | 17.0x | 70.0% | 92.17% | 91.23% |"""
SECTION = """\
## resnet20, `small-cifar10`

269,722 parameters, 80,100 weights left; the bundle's SHA-256 begins `0123456789abcdef`.

| bytes | size | share |
| --- | --- | --- |
| indices | 24,000 | 37.5% |
| values | 38,000 | 59.4% |
| header | 2,000 | 3.1% |
| **file** | 64,000 | 100.0% |

| stage | accuracy on the part held out |
| --- | --- |
| dense | 92.00% |
| prune | 91.55% |
| decoded | 91.49% |

Seed 3; Some Processor, 2 cores, no accelerator; torch 2.10.0; 51 minutes of compression. Command:

    python -m compressor compress --name small-cifar10
"""


@pytest.mark.parametrize("changed", ["", "-dirty"])
def test_a_record_with_its_revision_and_minutes_of_training_shows_both(changed: str) -> None:
    record = Record("b", LARGE | {"git": "89abcdef" * 5 + changed, "dense": {"minutes": 12.6}})
    times = "13 minutes of training and 51 minutes of compression. Command:"
    assert f"torch 2.10.0; revision `89abcdef89ab{changed}`; {times}" in results_page([record])


BROKEN = [
    *({name: value for name, value in LARGE.items() if name != missing} for missing in LARGE if missing != "version"),
    *(
        LARGE | wrong
        for wrong in ({"dense": 3}, {"sparsity": "high"}, {"bundle_bytes": 0}, {"minutes": 3}, {"sha256": 1})
    ),
]


def write_records(folder: Path, **records: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, fields in records.items():
        (folder / f"{name}.json").write_text(json.dumps(fields))
    return folder


def test_the_summary_has_a_row_for_each_record() -> None:
    assert summary_table([Record("a", SMALL), Record("b", LARGE)]) == SUMMARY


def test_the_unbeaten_are_those_that_no_other_of_their_network_is_as_small_and_as_accurate_as() -> None:
    def record(name: str, size_bytes: int, accuracy: float, network: str = "resnet20") -> Record:
        fields = {"name": name, "bundle_bytes": size_bytes, "accuracy": accuracy, "architecture": network}
        return Record(name, LARGE | fields)

    other = record("other network", 70, 0.5, "vgg16")
    twin = record("twin", 50, 0.91)
    records = [
        record("smallest", 40, 0.90), record("larger and worse", 60, 0.905), record("best", 60, 0.92),
        record("as good, larger", 61, 0.92), record("between", 50, 0.91), twin, other,
    ]  # fmt: skip
    assert [one.name for one in unbeaten(iter(records))] == ["best", "between", "smallest", "other network"]


def test_the_page_is_the_head_the_tables_and_a_section_for_each_record() -> None:
    assert results_page(iter([Record("b", LARGE)])) == "\n\n".join(
        [
            HEAD.strip(),
            "\n".join([*SUMMARY.splitlines()[:2], SUMMARY.splitlines()[3]]),
            TARGETS.strip(),
            targets_table([LARGE]),
            METHODS.strip(),
            methods_table([LARGE]),
            EXPERIMENTS.strip(),
            experiments_table([LARGE]),
            SECTION,
        ]
    )
    both = results_page([Record("a", SMALL), Record("b", LARGE)])
    assert both.startswith(f"{HEAD.strip()}\n\n{SUMMARY}\n\n## Targets\n")
    assert "\n\n## lenet300, `digits`\n" in both
    assert both.endswith(f"\n\n{SECTION}")
    assert "2 cores, An Accelerator; torch" in both


def test_records_are_read_by_name_and_other_files_left_alone(tmp_path: Path) -> None:
    folder = write_records(tmp_path, b=LARGE, a=SMALL)
    (folder / "notes.txt").write_text("not a record")
    records = read_records(folder)
    assert [record.name for record in records] == ["a", "b"]
    assert [record.ratio for record in records] == [pytest.approx(49.974, abs=1e-3), 17.0]


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompressorError) as caught:
        read_records(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no records (*.json)"


@pytest.mark.parametrize("content", ["", "{", "3", "[]", "{}", '"text"', *map(json.dumps, BROKEN)])
def test_what_is_no_record_is_refused_by_name(tmp_path: Path, content: str) -> None:
    write_records(tmp_path, good=SMALL)
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(CompressorError) as caught:
        read_records(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/bad.json: not a record of a compression (")


def test_readmes_table_is_made_anew_between_its_markers() -> None:
    record = [Record("a", SMALL)]
    readme = "# Title\n\n<!-- results -->\n| old |\n<!-- /results -->\n\nThe rest.\n"
    made = with_summary(readme, iter(record))
    tables = f"{summary_table(record)}\n\n{targets_table([SMALL])}"
    assert made == f"# Title\n\n<!-- results -->\n{tables}\n<!-- /results -->\n\nThe rest.\n"
    assert with_summary(made, record) == made


@pytest.mark.parametrize(
    "readme", ["", "<!-- results -->", "<!-- /results -->", "<!-- /results --> in wrong order <!-- results -->"]
)
def test_a_readme_without_both_markers_is_refused(readme: str) -> None:
    with pytest.raises(CompressorError, match="^README: must hold <!-- results --> and <!-- /results -->$"):
        with_summary(readme, [Record("a", SMALL)])


def test_both_documents_are_written(tmp_path: Path) -> None:
    folder = write_records(tmp_path / "records", small=SMALL, large=LARGE)
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results --><!-- /results -->")
    write_results(folder, tmp_path / "results.md", readme)
    records = [Record("large", LARGE), Record("small", SMALL)]
    assert (tmp_path / "results.md").read_text() == results_page(records)
    tables = f"{summary_table(reversed(records))}\n\n{targets_table([LARGE, SMALL])}"
    assert readme.read_text() == f"<!-- results -->\n{tables}\n<!-- /results -->"


def test_nothing_is_written_where_the_markers_are_missing(tmp_path: Path) -> None:
    folder = write_records(tmp_path / "records", small=copy.deepcopy(SMALL))
    readme = tmp_path / "README.md"
    readme.write_text("no markers")
    with pytest.raises(CompressorError):
        write_results(folder, tmp_path / "results.md", readme)
    assert readme.read_text() == "no markers"
    assert not (tmp_path / "results.md").exists()


def test_what_huffman_costs_is_told_where_the_record_has_it() -> None:
    known = LARGE | {"bytes_by_coder": {"huffman": 64_000, "arithmetic": 60_800}}
    sentence = "The whole file by coder: Huffman 64,000 bytes, the adaptive arithmetic coder 60,800 (-5.0%)."
    sentence += " This one has Huffman's codes."
    assert f"\n\n{sentence}\n\n| stage |" in results_page([Record("small", known)])
    assert "by coder" not in results_page([Record("small", LARGE)])
    other = known | {"recipe": known["recipe"] | {"coder": "arithmetic"}}
    assert "(-5.0%). This one has the arithmetic coder's." in results_page([Record("small", other)])


def test_a_section_says_why_the_part_held_out_may_have_been_learnt() -> None:
    doubt = "They may be too high: nothing says what the network was trained on."
    assert doubt in results_page([Record("a", SMALL)])
    assert "They may be too high" not in results_page([Record("b", LARGE)])
    moved = LARGE | {"data": {"train": "ef", "test": "cd"}}
    assert "may be too high: the network was trained on other pictures" in results_page([Record("c", moved)])
