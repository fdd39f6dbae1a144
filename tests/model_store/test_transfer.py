"""`push` and `pull`: what they copy, that they change nothing twice, and that they go on after any failure."""

from pathlib import Path

import pytest

from model_store.bundle import encode_bundle
from model_store.cache import BlobCache
from model_store.cli import main
from model_store.errors import ModelNotFound, StoreUnavailable, VersionExists
from model_store.objects import open_objects
from model_store.opening import create_store
from model_store.remote_store import RemoteStore
from model_store.store import Store
from model_store.transfer import copy_models
from tests.model_store.sample_bundles import every_operator_bundle, tiny_bundle
from tests.model_store.test_remote_store import Failing

DATA = encode_bundle(tiny_bundle())
OTHER = encode_bundle(every_operator_bundle())
LINES = ["other:7: copied", "tiny:1: copied", "tiny:2: copied", "tiny:old: version 1", "tiny:stable: version 2"]


@pytest.fixture
def source(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "source")
    store.publish("tiny", DATA)
    store.publish("tiny", OTHER)
    store.publish("other", OTHER, 7)
    store.set_alias("tiny", "stable", 2)
    store.set_alias("tiny", "old", 1)
    return store


def test_everything_is_copied_once_and_under_the_same_numbers(source: Store, place: str) -> None:
    target = create_store(place)
    assert list(copy_models(source, target)) == LINES
    assert list(copy_models(source, target)) == []
    assert (target.models(), target.versions("tiny")) == (["other", "tiny"], [1, 2])
    assert target.aliases("tiny") == {"old": 1, "stable": 2}
    assert target.read("tiny", 1).data == DATA


def test_only_the_models_named_are_copied(source: Store, memory: str) -> None:
    target = create_store(memory)
    assert list(copy_models(source, target, ["other"])) == ["other:7: copied"]
    with pytest.raises(ModelNotFound, match=r'^no model "missing"$'):
        list(copy_models(source, target, ["missing"]))


def test_a_version_with_other_bytes_at_the_target_is_left_and_told(source: Store, place: str) -> None:
    target = create_store(place)
    target.publish("tiny", OTHER, 1)
    with pytest.raises(VersionExists, match=r"^tiny:1: the target has it with other bytes, must be the same$"):
        list(copy_models(source, target, ["tiny"]))
    assert target.read("tiny", 1).data == OTHER


@pytest.mark.parametrize("operation", ["put", "create"])
def test_a_copy_that_failed_at_any_step_is_completed_by_the_next(source: Store, memory: str, operation: str) -> None:
    steps = {"put": 3, "create": 5}[operation]  # three versions, two aliases
    for step in range(steps):
        url = f"{memory}-{step}"
        failing = RemoteStore(Failing(open_objects(url), {operation}, step), BlobCache(None))
        told = []
        with pytest.raises(StoreUnavailable, match=f"^no {operation}$"):
            told.extend(copy_models(source, failing))
        target = create_store(url)
        assert all(finding.problem is None for finding in target.verify())
        rest = list(copy_models(source, target))
        assert rest == LINES[step:]
        assert list(copy_models(source, target)) == []


def test_push_and_pull_of_the_command_line(
    source: Store, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", "--store", str(tmp_path / "source"), url]) == 0
    assert capsys.readouterr().out.splitlines() == LINES
    assert main(["pull", "--store", str(tmp_path / "copy"), url, "tiny"]) == 0
    assert capsys.readouterr().out.splitlines() == LINES[1:]
    assert main(["pull", "--store", str(tmp_path / "copy"), url, "tiny"]) == 0
    assert capsys.readouterr().out == "nothing to copy\n"
    assert main(["verify", "--store", url]) == 0
    assert main(["ls", "--store", url]) == 0
    assert (tmp_path / "copy" / "tiny" / "1.csrve").read_bytes() == DATA
