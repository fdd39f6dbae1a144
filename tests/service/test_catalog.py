import pytest

from model_store.errors import ModelNotFound
from model_store.store import Store
from service.catalog import Listing, read_catalog


def test_the_catalog_has_every_model_with_its_versions_and_aliases(store: Store) -> None:
    store.set_alias("colour", "stable", 1)
    assert read_catalog(store) == {
        "colour": Listing((1, 2), {"stable": 1}),
        "grey": Listing((1,), {}),
    }


def test_latest_and_aliases_mean_versions_that_are_there() -> None:
    listing = Listing((2, 5, 11), {"stable": 5, "gone": 3})
    assert listing.targets() == {"latest": 11, "stable": 5}


def test_a_model_that_goes_while_the_store_is_listed_is_left_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = Store.versions

    def going(store: Store, name: str) -> list[int]:
        if name == "colour":
            raise ModelNotFound(name)
        return versions(store, name)

    monkeypatch.setattr(Store, "versions", going)
    assert list(read_catalog(store)) == ["grey"]
