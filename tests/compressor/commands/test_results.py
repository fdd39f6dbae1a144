"""`results`: which files it reads and writes."""

import argparse
import json
from pathlib import Path

import pytest

from compressor.commands import results
from compressor.results import read_records, results_page, with_summary
from model_store.store import Store
from tests.compressor.report.test_subject import tiny_data
from tests.compressor.test_results import LARGE

MARKERS = "<!-- results -->\n<!-- /results -->\n"


def run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    results.add_arguments(parser)
    results.run(parser.parse_args(arguments))


@pytest.mark.parametrize("given", [False, True])
def test_the_documents_are_those_of_the_project_unless_others_are_given(
    given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("r", "page.md", "front.md") if given else ("docs/results", "docs/results.md", "README.md")
    records, page, readme = (Path(name) for name in names)
    records.mkdir(parents=True)
    (records / "one.json").write_text(json.dumps(LARGE))
    readme.write_text(MARKERS)
    monkeypatch.delenv("CSRVE_STORE", raising=False)
    run(*(("--records", names[0], "--page", names[1], "--readme", names[2]) if given else ()))
    assert page.read_text() == results_page(read_records(records))
    assert readme.read_text() == with_summary(MARKERS, read_records(records))
    assert capsys.readouterr().out == f"{page} and {readme}: made from {records}\n"


@pytest.mark.parametrize("given", [False, True])
def test_with_a_store_records_get_what_their_bundles_take_by_either_coder(
    given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CSRVE_STORE", raising=False)
    (tmp_path / "records").mkdir()
    stored = Store.create(tmp_path / "store").publish("tiny", tiny_data())
    record = tmp_path / "records" / "one.json"
    record.write_text(json.dumps(LARGE | {"sha256": stored.sha256}))
    (tmp_path / "front.md").write_text(MARKERS)
    places = ("--records", str(record.parent), "--page", str(tmp_path / "p.md"), "--readme", str(tmp_path / "front.md"))
    run(*places, *(("--store", str(tmp_path / "store")) if given else ()))
    assert ("The whole file by coder: Huffman" in (tmp_path / "p.md").read_text()) == given
    assert (f"{record}: completed" in capsys.readouterr().out) == given
