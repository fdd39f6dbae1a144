"""`results`: which files it reads and writes."""

import argparse
import json
from pathlib import Path

import pytest

from compressor.commands import results
from compressor.results import read_records, results_page, with_summary
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
    run(*(("--records", names[0], "--page", names[1], "--readme", names[2]) if given else ()))
    assert page.read_text() == results_page(read_records(records))
    assert readme.read_text() == with_summary(MARKERS, read_records(records))
    assert capsys.readouterr().out == f"{page} and {readme}: made from {records}\n"
