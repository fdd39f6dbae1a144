"""`gc` removes what nothing names, once it is old, and never what a publish beside it relies on."""

from datetime import UTC, datetime, timedelta

import pytest

from model_store.bundle import digest_of, encode_bundle
from model_store.cli import main
from model_store.collect import GUARD_S, collect
from model_store.errors import StoreUnavailable
from model_store.objects import Objects
from model_store.remote_store import RemoteStore
from tests.model_store.sample_bundles import every_operator_bundle, tiny_bundle
from tests.model_store.test_remote_store import uncached

DATA = encode_bundle(tiny_bundle())
OTHER = encode_bundle(every_operator_bundle())
BLOB, OTHER_BLOB = f"blobs/{digest_of(DATA)}", f"blobs/{digest_of(OTHER)}"


def later() -> datetime:
    """When everything written so far is old."""
    return datetime.now(UTC) + timedelta(seconds=GUARD_S + 60)


class Meanwhile(Objects):
    """Objects where somebody else publishes just before or after the first removal."""

    def __init__(self, store: RemoteStore, before: bool) -> None:
        super().__init__(store.objects.label, store.objects._store)
        self._other, self._before, self._done = store, before, False

    def remove(self, key: str) -> None:
        self._publish(self._before)
        super().remove(key)
        self._publish(not self._before)

    def _publish(self, now: bool) -> None:
        if now and not self._done:
            self._done = True
            self._other.publish("tiny", DATA)


def test_only_a_blob_that_nothing_names_is_removed(url: str) -> None:
    store = uncached(url)
    store.publish("tiny", DATA)
    store.publish("tiny", OTHER)
    store.publish("same", DATA)
    store.remove("tiny", 1)
    assert list(collect(store, now=later())) == []
    store.remove("same", 1)
    assert list(collect(store, now=later())) == [BLOB]
    assert [item.key for item in store.objects.list("blobs")] == [OTHER_BLOB]
    assert store.read("tiny").data == OTHER


def test_a_blob_that_is_young_stays_though_nothing_names_it_yet(url: str) -> None:
    store = uncached(url)
    store.objects.put(BLOB, DATA)
    assert list(collect(store)) == []
    assert store.objects.exists(BLOB)


@pytest.mark.parametrize("before", [True, False])
def test_what_is_published_in_the_moment_of_its_removal_is_whole_afterwards(url: str, before: bool) -> None:
    store = uncached(url)
    store.objects.put(BLOB, DATA)
    collector = uncached(url)
    collector.objects = Meanwhile(store, before)
    assert list(collect(collector, now=later())) == []
    assert store.read("tiny").data == DATA


def test_a_manifest_that_cannot_be_read_keeps_everything(memory: str) -> None:
    store = uncached(memory)
    store.objects.put(BLOB, DATA)
    store.objects.put("models/tiny/versions/1", b"damaged")
    with pytest.raises(StoreUnavailable, match=r"^manifest: must be JSON with sha256 and size_bytes$"):
        list(collect(store, now=later()))
    assert store.objects.exists(BLOB)


def test_moves_that_were_overtaken_go_and_the_alias_stays(url: str) -> None:
    store = uncached(url)
    store.publish("tiny", DATA)
    store.publish("tiny", OTHER)
    for version in (1, 2, 1):
        store.set_alias("tiny", "stable", version)
    assert list(collect(store)) == []
    assert list(collect(store, now=later())) == [f"models/tiny/aliases/stable/00000000{move}" for move in (1, 2)]
    assert store.resolve("tiny", "stable") == 1
    store.set_alias("tiny", "stable", 2)
    assert store.resolve("tiny", "stable") == 2


def test_gc_of_the_command_line(memory: str, capsys: pytest.CaptureFixture[str]) -> None:
    uncached(memory).objects.put(BLOB, DATA)
    assert main(["gc", "--store", memory]) == 0
    assert main(["gc", "--store", "folder"]) == 2
    assert main(["gc", "--store", memory, "--older-than", "0"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "model_store: gc: the store is a folder, which holds nothing to collect, must be a URL",
        "model_store: --older-than 0.0, must be in 1..87600 hours",
    ]
