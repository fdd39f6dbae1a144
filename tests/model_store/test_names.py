"""S7: names are refused by one function, before any path is built."""

from pathlib import Path

import pytest

from model_store.errors import InvalidName, ModelNotFound
from model_store.names import check_alias, check_model_name, check_version
from model_store.store import Store

BAD_NAMES = [
    "",
    ".",
    "..",
    "a/b",
    "a\\b",
    "/etc/x",
    "%2e%2e",
    "a\0",
    "a\n",
    "\na",
    "a" * 65,
    "a" * 300,
    ".hidden",
    "-option",
    "a.",
    "a..b",
    "CON",
    "con",
    "nul.csrve",
    "com1",
    "\u00e9",
    "e\u0301",
    "\u0430bc",  # a Cyrillic letter
    "A",
    "a b",
    "a:1",
    "\ud800",
]
BAD_VERSIONS = ["", "0", "01", "-1", "+1", "1.0", "1\n", " 1", "1e3", "\u0661", "1_0", "1000000000", "True"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_could_leave_the_folder_or_deceive_is_refused(name: str) -> None:
    with pytest.raises(InvalidName, match=r"^model name .*: must be 1\.\.64 of \[a-z0-9\._-\]"):
        check_model_name(name)


@pytest.mark.parametrize("name", ["a", "7", "a" * 64, "resnet20-cifar10", "lenet_5", "v1.2", "console", "com10"])
def test_an_ordinary_name_is_returned(name: str) -> None:
    assert check_model_name(name) == name


@pytest.mark.parametrize("version", BAD_VERSIONS)
def test_a_version_has_one_spelling(version: str) -> None:
    with pytest.raises(InvalidName, match="must be a decimal number from 1, without leading zeros"):
        check_version(version)


def test_versions_are_numbers_from_1() -> None:
    assert check_version("1") == 1
    assert check_version("999999999") == 999_999_999


@pytest.mark.parametrize("name", BAD_NAMES)
def test_every_operation_of_the_store_refuses_a_bad_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.csrve").write_bytes(b"secret")
    store = Store.create(tmp_path / "store")
    for operation in (
        lambda: store.versions(name),
        lambda: store.latest(name),
        lambda: store.read(name),
        lambda: store.read(name, 1),
        lambda: store.publish(name, b"not even a bundle"),
        lambda: store.remove(name, 1),
    ):
        with pytest.raises(InvalidName):
            operation()
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize("version", [0, -1, 10**9, True])
def test_every_operation_of_the_store_refuses_a_bad_version(tmp_path: Path, version: int) -> None:
    store = Store(tmp_path)
    for operation in (
        lambda: store.read("a", version),
        lambda: store.publish("a", b"", version),
        lambda: store.remove("a", version),
    ):
        with pytest.raises(InvalidName):
            operation()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_fine_but_absent_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match='^no model "a"$'):
        Store(tmp_path).read("a")


@pytest.mark.parametrize("alias", ["a", "stable", "v2", "a-b_c", "a" * 32])
def test_aliases_begin_with_a_letter(alias: str) -> None:
    assert check_alias(alias) == alias


@pytest.mark.parametrize(
    "alias", ["", "latest", "2", "A", "a.b", "a/b", "../a", "a\n", "a-", "\u00e9", "a" * 33, "a\0"]
)
def test_other_aliases_are_refused(alias: str) -> None:
    with pytest.raises(InvalidName):
        check_alias(alias)
