"""Bytes by coder, and records that get them later."""

import json
from pathlib import Path

import pytest

from compressor.coders import bytes_by_coder
from compressor.completion import complete_records
from compressor.errors import CompressorError
from model_store.bundle import decode_bundle, encode_bundle
from model_store.store import Store
from tests.compressor.report.test_subject import tiny_data


def test_bytes_by_coder_are_those_of_whole_files() -> None:
    bundle = decode_bundle(tiny_data())
    sizes = bytes_by_coder(bundle)
    assert sizes == {coder: len(encode_bundle(bundle, coder)) for coder in ("huffman", "arithmetic")}  # type: ignore[arg-type]
    assert sizes["huffman"] != sizes["arithmetic"]


def test_records_are_completed_where_the_store_has_their_very_bundle(tmp_path: Path) -> None:
    store, records = Store.create(tmp_path / "store"), tmp_path / "records"
    records.mkdir()
    stored = store.publish("tiny", tiny_data())
    has = {"sha256": stored.sha256, "bytes_by_coder": {"huffman": 1, "arithmetic": 2}, "multiply_adds": 3}
    lacks = {"sha256": stored.sha256, "recipe": {}}
    removed = {
        "sha256": stored.sha256,
        "recipe": {"remove": {"epochs": 1}},
        "bytes_by_coder": {"huffman": 1, "arithmetic": 2},
    }
    contents = {"lacks": lacks, "removed": removed, "has": has, "other": {"sha256": "0" * 64}}
    for name, content in contents.items():
        (records / f"{name}.json").write_text(json.dumps(content))
    assert complete_records(records, store) == [records / "lacks.json", records / "removed.json"]
    read = {name: json.loads((records / f"{name}.json").read_text()) for name in contents}
    bundle = decode_bundle(stored.data)
    assert read["lacks"] == lacks | {
        "bytes_by_coder": bytes_by_coder(bundle),
        "multiply_adds": bundle.multiply_adds(),
        "multiply_adds_of_structure": bundle.multiply_adds(dense=True),
        "dense_multiply_adds": bundle.multiply_adds(dense=True),
        "parameters_left": bundle.parameters,
    }
    assert read["removed"]["multiply_adds"] == bundle.multiply_adds()
    assert read["removed"]["bytes_by_coder"] == {"huffman": 1, "arithmetic": 2}
    assert "dense_multiply_adds" not in read["removed"]  # nobody knows any more
    assert (read["has"], read["other"]) == (contents["has"], contents["other"])
    assert complete_records(records, store) == []


@pytest.mark.parametrize("content", ["[]", "{", "{}"])
def test_what_is_no_record_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(content)
    with pytest.raises(CompressorError, match=r"one.json: not a record of a compression"):
        complete_records(tmp_path, Store.create(tmp_path / "store"))
