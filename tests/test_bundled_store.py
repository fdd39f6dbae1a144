"""The bundles in store/, what README says of them, and, where real pictures are at hand, whether it is true."""

import json
import math
import os
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from starlette.testclient import TestClient

from compressor.results import read_records, results_page, with_summary
from model_store.accounting import account
from model_store.bundle import Bundle, decode_bundle, digest_of
from model_store.store import Store
from model_store.stream_costs import stream_costs
from service.app import build_app
from service.settings import Settings

ROOT = Path(__file__).parents[1]
STORE = ROOT / "store"
RECORDS = ROOT / "docs" / "results"
POSTED = 500
SMALLEST = 8000  # bytes of a file, below which single bits tell


def bundles() -> list[tuple[str, bytes]]:
    store = Store(STORE)
    return [(name, store.read(name, version).data) for name in store.models() for version in store.versions(name)]


def test_every_bundle_is_sound_and_nothing_else_is_in_the_store() -> None:
    assert [finding for finding in Store(STORE).verify() if finding.problem] == []
    assert bundles()


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in bundles()])
def test_every_byte_of_a_bundle_is_accounted_for_and_its_streams_are_tight(data: bytes) -> None:
    rows = account(data).rows
    streams = [row for row in rows if row.section == "payload" and row.kind in ("indices", "values")]

    assert sum(row.size_bytes for row in rows) == len(data)
    if len(data) > SMALLEST:  # a Huffman code takes a bit at least, also of gaps that are all but always 0
        assert sum(row.size_bytes for row in streams) <= 1.02 * sum(cost.entropy_bytes for cost in stream_costs(data))


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in bundles()])
def test_every_bundle_has_a_record_that_agrees_with_it(data: bytes) -> None:
    bundle = decode_bundle(data)
    records = [json.loads(path.read_text()) for path in RECORDS.glob("*.json")]
    (record,) = [record for record in records if record["sha256"] == digest_of(data)]

    assert record["bundle_bytes"] == len(data)
    assert record["bytes_by_kind"] == account(data).by_kind()
    assert record["accuracy"] == bundle.provenance["accuracy"]


def test_readme_and_results_are_what_the_records_make_of_them() -> None:
    records, readme = read_records(RECORDS), (ROOT / "README.md").read_text()

    assert (ROOT / "docs" / "results.md").read_text() == results_page(records)
    assert readme == with_summary(readme, records)


def posted_pictures(data: str) -> list[tuple[str, bytes]]:
    """(class, encoded picture), spread evenly over the test set."""
    place = Path(os.environ.get("CSRVE_DATA", "/nowhere")) / data / "test.zip"
    if not place.exists():
        pytest.skip(f"CSRVE_DATA names no folder with {data}/test.zip")
    with zipfile.ZipFile(place) as pictures:
        names = [name for name in sorted(pictures.namelist()) if name.endswith(".png")]
        chosen = names[:: len(names) // POSTED][:POSTED]
        return [(PurePosixPath(name).parent.name, pictures.read(name)) for name in chosen]


def data_of(bundle: Bundle) -> str:
    return "cifar10" if "airplane" in bundle.class_names else "mnist"


@pytest.mark.data
@pytest.mark.parametrize("name", Store(STORE).models())
def test_pictures_posted_one_by_one_are_right_as_often_as_recorded(name: str) -> None:
    version = Store(STORE).versions(name)[-1]
    pictures = posted_pictures(data_of(decode_bundle(Store(STORE).read(name, version).data)))
    with TestClient(build_app(Settings(store=STORE, log_level="error"))) as client:
        recorded = client.get(f"/models/{name}").json()["accuracy"]
        answers = [
            client.post(f"/predict?model={name}", content=picture, headers={"content-type": "image/png"}).json()
            for _, picture in pictures
        ]
    right = sum(answer["label"] == label for answer, (label, _) in zip(answers, pictures, strict=True))

    sampling_error = math.sqrt(recorded * (1 - recorded) / len(pictures))
    assert abs(right / len(pictures) - recorded) <= 3 * sampling_error
