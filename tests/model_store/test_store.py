"""What the store promises while nothing fails, and what it makes of folders that somebody else filled."""

import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from model_store import folder as folder_module
from model_store.bundle import encode_bundle
from model_store.errors import (
    BundleError,
    BundleTooLarge,
    ModelNotFound,
    StoreUnavailable,
    VersionExists,
)
from model_store.findings import Finding
from model_store.store import Store
from tests.model_store.sample_bundles import tiny_bundle

FIRST = encode_bundle(tiny_bundle(1))
SECOND = encode_bundle(tiny_bundle(2))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / "m"
    folder.mkdir(exist_ok=True)
    return folder


def test_what_is_published_is_read_back(store: Store) -> None:
    published = store.publish("m", FIRST)
    assert (published.name, published.version, published.data) == ("m", 1, FIRST)
    assert store.read("m") == store.read("m", 1) == published
    assert len(published.sha256) == 64
    assert store.models() == ["m"]


def test_without_a_number_the_version_after_the_highest_is_taken(store: Store) -> None:
    store.publish("m", FIRST, 41)
    assert store.publish("m", FIRST).version == 42
    assert store.versions("m") == [41, 42]
    assert store.latest("m") == 42


def test_versions_are_ordered_as_numbers(store: Store) -> None:
    for version in (10, 9, 2):
        store.publish("m", FIRST, version)
    assert store.versions("m") == [2, 9, 10]


def test_publishing_the_same_bytes_again_under_the_same_number_does_nothing(store: Store, tmp_path: Path) -> None:
    store.publish("m", FIRST, 1)
    before = (model_folder(tmp_path) / "1.csrve").stat()
    assert store.publish("m", FIRST, 1).version == 1
    after = (model_folder(tmp_path) / "1.csrve").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert os.listdir(model_folder(tmp_path)) == ["1.csrve"]


def test_a_version_never_changes(store: Store) -> None:
    store.publish("m", FIRST, 1)
    with pytest.raises(VersionExists, match="^m/1: published already, with other bytes$"):
        store.publish("m", SECOND, 1)
    assert store.read("m", 1).data == FIRST


def test_what_is_no_bundle_is_not_published(store: Store, tmp_path: Path) -> None:
    for data in (b"", b"hello", FIRST[:-1], FIRST + b"\0"):
        with pytest.raises(BundleError):
            store.publish("m", data)
    assert os.listdir(tmp_path / "store") == []


def test_a_removed_version_is_gone_and_its_number_free(store: Store) -> None:
    store.publish("m", FIRST)
    read_before = store.read("m")
    store.remove("m", 1)
    assert store.models() == []
    for operation in (lambda: store.read("m"), lambda: store.versions("m"), lambda: store.latest("m")):
        with pytest.raises(ModelNotFound, match='^no model "m"$'):
            operation()
    with pytest.raises(ModelNotFound, match='^no version 1 of model "m"$'):
        store.remove("m", 1)
    with pytest.raises(ModelNotFound, match='^no model "other"$'):
        store.remove("other", 1)
    assert read_before.data == FIRST
    assert store.publish("m", SECOND, 1).version == 1


def test_the_latest_that_is_still_there_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.publish("m", FIRST)
    monkeypatch.setattr(store, "versions", lambda name: [1, 2])  # 2 was removed after it was listed
    assert store.read("m").version == 1


@pytest.mark.parametrize("umask", [0o777, 0o077, 0o022, 0])
def test_whatever_the_umask_the_owner_can_use_what_was_published(store: Store, tmp_path: Path, umask: int) -> None:
    """S12."""
    before = os.umask(umask)
    try:
        store.publish("m", FIRST)
    finally:
        os.umask(before)
    assert (model_folder(tmp_path) / "1.csrve").stat().st_mode & 0o777 == 0o444 & ~umask | 0o400
    assert model_folder(tmp_path).stat().st_mode & 0o777 == 0o777 & ~umask | 0o700
    assert store.read("m").data == FIRST


@pytest.mark.parametrize(("models", "limit_s"), [(1000, 0.1), pytest.param(10_000, 1.0, marks=pytest.mark.slow)])
def test_listing_is_fast(store: Store, tmp_path: Path, models: int, limit_s: float) -> None:
    """S12. Processor time, so that a busy machine does not fail it."""
    store.publish("m0", FIRST)
    for index in range(1, models):
        folder = tmp_path / "store" / f"m{index}"
        folder.mkdir()
        os.link(tmp_path / "store" / "m0" / "1.csrve", folder / "1.csrve")
    started = time.process_time()
    assert len(store.models()) == models
    assert time.process_time() - started < limit_s
    shutil.rmtree(tmp_path / "store")  # pytest keeps the folders of its last runs


def test_a_missing_root_is_refused_at_once(tmp_path: Path) -> None:
    """S10."""
    with pytest.raises(StoreUnavailable, match=r'^store ".*/absent": No such file or directory, must be a folder$'):
        Store(tmp_path / "absent")


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """S10."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="not a folder, must be one$"):
        Store(tmp_path / "file")
    with pytest.raises(StoreUnavailable, match="cannot make it: File exists$"):
        Store.create(tmp_path / "file")


def test_a_link_to_the_root_is_followed_once(store: Store, tmp_path: Path) -> None:
    """S8."""
    (tmp_path / "link").symlink_to(tmp_path / "store")
    linked = Store(tmp_path / "link")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("/")
    linked.publish("m", FIRST)
    assert store.read("m").data == FIRST


@pytest.mark.parametrize("target", ["loop", "nowhere"])
def test_a_root_that_leads_nowhere_is_refused(tmp_path: Path, target: str) -> None:
    """S8."""
    (tmp_path / "loop").symlink_to(target)
    with pytest.raises(StoreUnavailable, match="must be a folder$"):
        Store(tmp_path / "loop")


@pytest.mark.parametrize("target", ["/etc/passwd", "1.csrve", "absent", "../outside"])
def test_a_link_in_place_of_a_bundle_is_never_followed(store: Store, tmp_path: Path, target: str) -> None:
    """S8."""
    (tmp_path / "store" / "outside").write_bytes(FIRST)
    (model_folder(tmp_path) / "1.csrve").symlink_to(target)
    with pytest.raises(StoreUnavailable, match=r'^cannot read "m/1\.csrve": a symbolic link, must be a regular file$'):
        store.read("m", 1)
    assert store.models() == []
    assert store.publish("m", FIRST).version == 2
    with pytest.raises(StoreUnavailable):
        store.publish("m", FIRST, 1)


def test_a_link_in_place_of_a_model_is_never_followed(store: Store, tmp_path: Path) -> None:
    """S8."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1.csrve").write_bytes(FIRST)
    (tmp_path / "store" / "m").symlink_to(outside)
    assert store.models() == []
    for operation in (
        lambda: store.read("m"),
        lambda: store.versions("m"),
        lambda: store.publish("m", SECOND),
        lambda: store.remove("m", 1),
    ):
        with pytest.raises(StoreUnavailable, match='^cannot open "m": Not a directory$'):
            operation()
    assert os.listdir(outside) == ["1.csrve"]


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket"])
def test_what_is_no_regular_file_is_refused_without_waiting(
    store: Store, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S9."""
    monkeypatch.chdir(model_folder(tmp_path))  # the path of a socket must be short
    if kind == "fifo":
        os.mkfifo("1.csrve")
    elif kind == "folder":
        os.mkdir("1.csrve")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("1.csrve")
    with pytest.raises(StoreUnavailable, match=r'^cannot read "m/1\.csrve": '):
        store.read("m", 1)
    assert store.models() == []
    assert store.verify() == [Finding("m/1.csrve", None, "foreign entry, must be a regular file VERSION.csrve")]


def test_a_device_is_refused(tmp_path: Path) -> None:
    """S9."""
    with (
        folder_module.Folder.opened(Path("/dev"), "dev/") as devices,
        pytest.raises(StoreUnavailable, match='^cannot read "dev/zero": not a regular file$'),
    ):
        devices.read("zero", 10)


def test_a_file_longer_than_any_bundle_is_not_read(store: Store, tmp_path: Path) -> None:
    (model_folder(tmp_path) / "1.csrve").touch()
    os.truncate(model_folder(tmp_path) / "1.csrve", (1 << 30) + 1)
    with pytest.raises(BundleTooLarge, match=r'^"m/1\.csrve": 1073741825 bytes, must be at most 1073741824$'):
        store.read("m")


@pytest.mark.parametrize("size_bytes", [0, len(FIRST) - 1, len(FIRST) + 1, 10 * len(FIRST)])
def test_a_file_that_changes_its_size_while_it_is_read_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_bytes: int
) -> None:
    """P17."""
    store.publish("m", FIRST)
    path = model_folder(tmp_path) / "1.csrve"
    path.chmod(0o644)

    class ChangingOs:
        def __getattr__(self, name: str) -> object:
            if name == "read":
                os.truncate(path, size_bytes)
            return getattr(os, name)

    monkeypatch.setattr(folder_module, "os", ChangingOs())
    with pytest.raises(StoreUnavailable, match=r'^cannot read "m/1\.csrve": its size changed meanwhile$'):
        store.read("m")


def test_verify_names_every_kind_of_damage(store: Store, tmp_path: Path) -> None:
    """S11."""
    for _ in range(5):
        store.publish("m", FIRST)
    folder = model_folder(tmp_path)
    flipped = bytearray(FIRST)
    flipped[len(FIRST) // 2] ^= 1
    for version, data in ((2, bytes(flipped)), (3, FIRST[:-1]), (4, b"")):
        (folder / f"{version}.csrve").chmod(0o644)
        (folder / f"{version}.csrve").write_bytes(data)
    (folder / "notes.txt").write_text("mine")
    (folder / "01.csrve").write_bytes(FIRST)
    (tmp_path / "store" / "README").write_text("mine")
    (tmp_path / "store" / "Not-A-Model").mkdir()
    findings = {(finding.name, finding.version): finding.problem for finding in store.verify()}
    assert [place for place, problem in findings.items() if problem is None] == [("m", 1), ("m", 5)]
    assert {place for place, problem in findings.items() if problem} == {
        ("m", 2),
        ("m", 3),
        ("m", 4),
        ("m/01.csrve", None),
        ("m/notes.txt", None),
        ("README", None),
        ("Not-A-Model", None),
    }


def test_verify_goes_on_after_a_folder_that_vanishes_or_cannot_be_opened(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("denied", "fine", "vanished"):
        store.publish(name, FIRST)

    class FailingOs:
        def __getattr__(self, name: str) -> object:
            return self.open if name == "open" else getattr(os, name)

        def open(self, path: str, *arguments: object, **options: object) -> int:
            if path == "denied":
                raise PermissionError(13, "Permission denied")
            if path == "vanished":
                raise FileNotFoundError(2, "No such file or directory")
            return os.open(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(folder_module, "os", FailingOs())
    assert store.verify() == [
        Finding("denied", None, 'cannot open "denied": Permission denied'),
        Finding("fine", 1, None),
    ]


def test_temporary_files_are_invisible_and_swept_when_stale(store: Store, tmp_path: Path) -> None:
    """S2, S12: a clock that was set back leaves files from the future; those are stale too."""
    store.publish("m", FIRST)
    folder = model_folder(tmp_path)
    names = {age: f".m.123.{age:016x}.tmp" for age in (0, 3500, 3700, 86_400)}
    for age, name in names.items():
        (folder / name).write_bytes(b"half a bun")
        os.utime(folder / name, (time.time() - age,) * 2)
    future = ".m.123.ffffffffffffffff.tmp"
    (folder / future).write_bytes(b"")
    os.utime(folder / future, (time.time() + 86_400,) * 2)
    (folder / ".mine.tmp").write_bytes(b"")
    os.utime(folder / ".mine.tmp", (0, 0))
    assert store.versions("m") == [1]
    assert store.verify() == [
        Finding("m/.mine.tmp", None, "foreign entry, must be a regular file VERSION.csrve"),
        Finding("m", 1, None),
    ]
    store.publish("m", SECOND)
    assert sorted(os.listdir(folder)) == sorted([".mine.tmp", names[0], names[3500], "1.csrve", "2.csrve"])
