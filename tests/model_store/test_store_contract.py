"""What every store keeps to, in a folder, in memory, behind moto's S3 API and behind Swift's."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from model_store.bundle import digest_of, encode_bundle
from model_store.errors import (
    BundleError,
    InvalidName,
    ModelNotFound,
    StoreError,
    VersionExists,
)
from model_store.interface import BundleStore
from model_store.opening import create_store
from tests.model_store.sample_bundles import every_operator_bundle, tiny_bundle

DATA = encode_bundle(tiny_bundle())
OTHER = encode_bundle(every_operator_bundle())
BAD_NAMES = ["", "..", "a/b", "../a", "A", "a b", "con", "a%2fb", "é", "a" * 65]


@pytest.fixture
def store(place: str) -> BundleStore:
    return create_store(place)


def test_an_empty_store_has_no_models(store: BundleStore) -> None:
    assert store.models() == []
    with pytest.raises(ModelNotFound, match=r'^no model "tiny"$'):
        store.versions("tiny")


def test_what_is_published_is_listed_and_read(store: BundleStore) -> None:
    assert store.publish("tiny", DATA).version == 1
    assert store.publish("tiny", OTHER).version == 2
    store.publish("other", OTHER, 7)
    assert (store.models(), store.versions("tiny"), store.latest("tiny")) == (["other", "tiny"], [1, 2], 2)
    assert (store.read("tiny").data, store.read("tiny", 1).data) == (OTHER, DATA)
    assert store.digest("other", 7) == store.read("other").sha256 == digest_of(OTHER)
    assert store.verify() == [("other", 7, None), ("tiny", 1, None), ("tiny", 2, None)]


def test_a_version_never_changes(store: BundleStore) -> None:
    store.publish("tiny", DATA, 3)
    store.publish("tiny", DATA, 3)
    with pytest.raises(VersionExists, match=r"tiny/3: published already, with other bytes$"):
        store.publish("tiny", OTHER, 3)
    assert store.read("tiny", 3).data == DATA


def test_what_is_no_bundle_is_not_published(store: BundleStore) -> None:
    with pytest.raises(BundleError):
        store.publish("tiny", DATA[:-1])
    assert store.models() == []


def test_a_removed_version_is_gone(store: BundleStore) -> None:
    store.publish("tiny", DATA)
    store.remove("tiny", 1)
    assert store.models() == []
    with pytest.raises(ModelNotFound, match=r'^no (model "tiny"|version 1 of model "tiny")$'):
        store.read("tiny", 1)


def test_a_number_published_anew_with_other_bytes_has_another_stamp(store: BundleStore) -> None:
    store.publish("tiny", DATA)
    before = store.stamp("tiny", 1)
    assert store.stamp("tiny", 1) == before
    store.remove("tiny", 1)
    store.publish("tiny", OTHER, 1)
    assert store.stamp("tiny", 1) != before


def test_an_alias_is_made_moved_and_removed(store: BundleStore) -> None:
    store.publish("tiny", DATA)
    store.publish("tiny", OTHER)
    store.set_alias("tiny", "stable", 1)
    store.set_alias("tiny", "stable", 2)
    store.set_alias("tiny", "old", 1)
    assert store.aliases("tiny") == {"old": 1, "stable": 2}
    assert [store.resolve("tiny", selector) for selector in ("stable", None, 5)] == [2, 2, 5]
    store.remove_alias("tiny", "stable")
    assert store.aliases("tiny") == {"old": 1}
    with pytest.raises(ModelNotFound, match=r'^no alias "stable" of model "tiny"$'):
        store.resolve("tiny", "stable")
    store.set_alias("tiny", "stable", 1)
    assert store.resolve("tiny", "stable") == 1


def test_an_alias_of_nothing_is_refused(store: BundleStore) -> None:
    store.publish("tiny", DATA)
    with pytest.raises(ModelNotFound, match=r'^no version 2 of model "tiny"$'):
        store.set_alias("tiny", "stable", 2)
    assert store.aliases("tiny") == {}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_no_model_can_have_is_refused_by_every_call(store: BundleStore, name: str) -> None:
    calls = [
        lambda: store.versions(name),
        lambda: store.read(name),
        lambda: store.digest(name, 1),
        lambda: store.publish(name, DATA),
        lambda: store.remove(name, 1),
        lambda: store.aliases(name),
        lambda: store.set_alias(name, "stable", 1),
        lambda: store.resolve(name, "stable"),
        lambda: store.stamp(name, 1),
    ]
    for call in calls:
        with pytest.raises(InvalidName):
            call()
    assert store.models() == []


def test_of_several_writers_of_a_version_exactly_one_wins(racing_place: str) -> None:
    bundles = [DATA, OTHER]
    create_store(racing_place)

    def publish(index: int) -> bytes | None:
        try:
            return create_store(racing_place).publish("tiny", bundles[index % 2], 1).data
        except VersionExists:
            return None

    with ThreadPoolExecutor(6) as threads:
        published = list(threads.map(publish, range(6)))
    winner = create_store(racing_place).read("tiny", 1).data
    assert published == [winner if bundles[index % 2] == winner else None for index in range(6)]


def test_writers_without_a_number_each_get_their_own(racing_place: str) -> None:
    create_store(racing_place)
    with ThreadPoolExecutor(4) as threads:
        numbers = list(threads.map(lambda _: create_store(racing_place).publish("tiny", DATA).version, range(4)))
    assert sorted(numbers) == create_store(racing_place).versions("tiny") == [1, 2, 3, 4]


def test_racing_moves_of_an_alias_leave_what_a_winner_said(racing_place: str) -> None:
    store = create_store(racing_place)
    for _ in range(4):
        store.publish("tiny", DATA)

    def move(version: int) -> int | None:
        try:
            create_store(racing_place).set_alias("tiny", "stable", version)
        except StoreError:
            return None
        return version

    with ThreadPoolExecutor(4) as threads:
        winners = set(threads.map(move, [1, 2, 3, 4])) - {None}
    assert store.resolve("tiny", "stable") in winners
