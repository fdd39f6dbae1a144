import json
from typing import Any

import pytest

from model_store.bundle import decode_bundle, encode_bundle
from tests.model_store.golden import CODERS, FOLDER, content_of, golden_bundles, refusal_of, refused_files

CONTENTS: dict[str, Any] = json.loads((FOLDER / "contents.json").read_text())
ERRORS: dict[str, Any] = json.loads((FOLDER / "errors.json").read_text())


@pytest.mark.parametrize("name", CONTENTS)
def test_a_golden_file_holds_what_it_held(name: str) -> None:
    assert content_of((FOLDER / f"{name}.csrve").read_bytes()) == CONTENTS[name]


@pytest.mark.parametrize("name", CONTENTS)
def test_todays_encoder_writes_the_golden_bytes(name: str) -> None:
    data = (FOLDER / f"{name}.csrve").read_bytes()
    assert encode_bundle(decode_bundle(data), CODERS.get(name, "huffman")) == data


def test_the_golden_files_are_made_of_these_bundles() -> None:
    """Apart from the test above: it also holds that numpy draws as it did."""
    assert {name: encode_bundle(bundle, CODERS.get(name, "huffman")) for name, bundle in golden_bundles().items()} == {
        name: (FOLDER / f"{name}.csrve").read_bytes() for name in CONTENTS
    }


@pytest.mark.parametrize("name", ERRORS)
def test_golden_errors_have_these_messages(name: str) -> None:
    assert refusal_of(bytes.fromhex(ERRORS[name]["hex"])) == ERRORS[name]["error"]


def test_every_golden_error_is_still_made_the_same() -> None:
    assert {name: data.hex() for name, data in refused_files().items()} == {
        name: entry["hex"] for name, entry in ERRORS.items()
    }
