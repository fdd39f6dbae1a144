"""Aliases: names for versions that can be moved, in the folder beside them."""

from pathlib import Path

import pytest

from model_store.bundle import encode_bundle
from model_store.errors import InvalidName, ModelNotFound, StoreUnavailable
from model_store.findings import Finding
from model_store.store import Store
from tests.model_store.sample_bundles import tiny_bundle
from tests.model_store.test_store_faults import FAILURES, fail_each_call

FIRST = encode_bundle(tiny_bundle(1))
SECOND = encode_bundle(tiny_bundle(2))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "store")
    store.publish("m", FIRST)
    store.publish("m", SECOND)
    return store


def test_an_alias_means_its_version_until_it_is_moved(store: Store) -> None:
    store.set_alias("m", "stable", 1)
    assert (store.resolve("m", "stable"), store.resolve("m", None), store.resolve("m", 1)) == (1, 2, 1)
    store.set_alias("m", "stable", 2)
    store.set_alias("m", "canary", 1)
    assert store.aliases("m") == {"canary": 1, "stable": 2}
    store.remove_alias("m", "stable")
    assert store.aliases("m") == {"canary": 1}
    assert store.versions("m") == [1, 2]


def test_what_is_not_there_cannot_be_named(store: Store) -> None:
    with pytest.raises(ModelNotFound) as no_version:
        store.set_alias("m", "stable", 3)
    assert str(no_version.value) == 'no version 3 of model "m"'
    for call in (lambda: store.resolve("m", "stable"), lambda: store.remove_alias("m", "stable")):
        with pytest.raises(ModelNotFound) as no_alias:
            call()
        assert str(no_alias.value) == 'no alias "stable" of model "m"'
    with pytest.raises(ModelNotFound):
        store.aliases("nothing")
    for alias in ("latest", "../m", "1"):
        with pytest.raises(InvalidName):
            store.set_alias("m", alias, 1)


def test_verify_tells_of_aliases_that_lead_nowhere(store: Store, tmp_path: Path) -> None:
    store.set_alias("m", "good", 2)
    store.set_alias("m", "lost", 1)
    store.remove("m", 1)
    for name, content in (("empty", ""), ("text", "x"), ("zero", "0"), ("long", "1" * 99)):
        (tmp_path / "store" / "m" / f"{name}.alias").write_text(content)
    (tmp_path / "store" / "m" / "link.alias").symlink_to("good.alias")
    found = {finding.name: finding.problem for finding in store.verify() if finding.version is None}
    assert found == {
        "m:good": None,
        "m:lost": "alias of version 1, which is not there",
        "m/link.alias": "foreign entry, must be a regular file VERSION.csrve",
        **{
            f"m:{n}": f'"m/{n}.alias": not an alias, must be a version\'s number'
            for n in ("empty", "text", "zero", "long")
        },
    }
    assert Finding("m", 2, None) in store.verify()
    assert store.aliases("m") == {"good": 2, "lost": 1}


def test_a_folder_in_place_of_an_alias_is_neither_read_nor_replaced(store: Store, tmp_path: Path) -> None:
    (tmp_path / "store" / "m" / "stable.alias").mkdir()
    with pytest.raises(StoreUnavailable):
        store.resolve("m", "stable")
    with pytest.raises(StoreUnavailable):
        store.set_alias("m", "stable", 1)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_move_that_fails_at_any_call_leaves_the_old_version_or_the_new(tmp_path: Path, failure: str) -> None:
    fail, persistent = FAILURES[failure]

    def move(root: Path) -> None:
        store = Store(root)
        store.set_alias("old", "stable", 1)

    for root, _, _ in fail_each_call(move, tmp_path, fail, persistent=persistent):
        assert Store(root).aliases("old") in ({}, {"stable": 1})
        Store(root).set_alias("old", "stable", 1)
        assert Store(root).resolve("old", "stable") == 1


def test_a_version_published_anew_under_its_number_has_another_stamp(store: Store) -> None:
    before = store.stamp("m", 1)
    assert store.stamp("m", 1) == before
    store.remove("m", 1)
    with pytest.raises(ModelNotFound):
        store.stamp("m", 1)
    store.publish("m", SECOND, 1)
    assert store.stamp("m", 1) != before
