"""S1, S3, S4: whatever call fails and whenever the power goes, the store holds the old state or the new."""

import errno
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from model_store import folder as folder_module
from model_store.bundle import encode_bundle
from model_store.errors import ModelNotFound, StoreUnavailable
from model_store.store import Store
from tests.model_store.failing_os import FailingOs, raise_afterwards, raise_error, write_short
from tests.model_store.sample_bundles import tiny_bundle

FIRST = encode_bundle(tiny_bundle(1))
SECOND = encode_bundle(tiny_bundle(2))
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.EINTR)
FAILURES = {  # what goes wrong, and whether it goes on
    **{f"{errno.errorcode[number]} before the call": (raise_error(number), False) for number in ERRORS},
    "EIO after the call": (raise_afterwards(errno.EIO), False),
    "EIO for good": (raise_error(errno.EIO), True),
    "EIO after the call for good": (raise_afterwards(errno.EIO), True),
}


def fail_each_call(
    operation: Callable[[Path], object], base: Path, fail: Callable[..., Any], *, persistent: bool
) -> Iterator[tuple[Path, str, Exception | None]]:
    """Run the operation on fresh stores, the k-th call failing, for k = 1 until it is no longer reached.

    Yields the store, the call that failed, and what the operation raised.
    """
    for number in count(1):
        root = base / str(number)
        Store.create(root).publish("old", FIRST)
        failing = FailingOs(fail, number, persistent)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folder_module, "os", failing)
            try:
                operation(root)
                error = None
            except StoreUnavailable as raised:
                error = raised
        if not failing.reached:
            assert error is None
            assert number > 3
            return
        yield root, failing.calls[number - 1], error


def open_descriptors() -> int:
    gc.collect()  # what an earlier test has left in a cycle is not closed amid this one
    return len(os.listdir("/proc/self/fd"))


def sweep(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an hour pass, and have the next publishers of both models sweep."""
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "STALE_AFTER_S", -1.0)
        for name in ("old", "new"):
            Store(root).publish(name, FIRST, 99)
    left = [name for _, _, names in os.walk(root) for name in names if name.endswith(".tmp")]
    assert left == []


@pytest.mark.parametrize("failure", FAILURES)
def test_a_publish_that_fails_at_any_call_leaves_the_old_state_or_the_new(
    tmp_path: Path, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail, persistent = FAILURES[failure]
    descriptors = open_descriptors()

    def publish(root: Path) -> None:
        store = Store(root)
        store.publish("new", SECOND, 1)
        assert store.read("new", 1).data == SECOND

    for root, _, error in fail_each_call(publish, tmp_path, fail, persistent=persistent):
        store = Store(root)
        if error is not None:
            assert str(error).startswith(
                (
                    "cannot open",
                    "cannot make",
                    "cannot list",
                    "cannot create",
                    "cannot write",
                    "cannot link",
                    "cannot sync",
                    "cannot read",
                )
            )
            assert str(error).endswith(os.strerror(getattr(errno, failure.split()[0])))
        assert store.read("old", 1).data == FIRST
        assert set(store.models()) <= {"old", "new"}
        if "new" in store.models():
            assert store.read("new", 1).data == SECOND
        assert all(finding.problem is None for finding in store.verify())
        assert store.publish("new", SECOND, 1).version == 1
        assert store.read("new").data == SECOND
        sweep(root, monkeypatch)
    assert open_descriptors() <= descriptors


def test_a_failure_names_the_operation_and_the_path_within_the_store(tmp_path: Path) -> None:
    def publish(root: Path) -> None:
        Store(root).publish("new", SECOND, 1)

    fail = raise_error(errno.ENOSPC)
    messages = [str(error) for _, _, error in fail_each_call(publish, tmp_path, fail, persistent=False) if error]
    operations = {message.replace(": No space left on device", "") for message in messages}
    in_store = {operation for operation in operations if str(tmp_path) not in operation}
    named = {operation if ".tmp" not in operation else operation.split('"')[0] for operation in in_store}
    assert named == {
        'cannot make "new"',
        'cannot sync "."',
        'cannot open "new"',
        'cannot list "new/"',
        "cannot create ",
        "cannot write ",
        'cannot link "new/1.csrve"',
        'cannot sync "new/"',
    }
    assert {operation.split('"')[0] for operation in operations - in_store} == {"cannot open "}  # the root itself


def test_short_writes_are_continued(tmp_path: Path) -> None:
    failing = FailingOs(write_short, at=1, persistent=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_module, "os", failing)
        Store(tmp_path).publish("m", FIRST)
    assert failing.calls.count("write") == len(FIRST)
    assert Store(tmp_path).read("m").data == FIRST


@pytest.mark.parametrize("persistent", [False, True], ids=["transient", "persistent"])
def test_a_removal_that_fails_at_any_call_leaves_the_version_or_removes_it(tmp_path: Path, persistent: bool) -> None:
    def remove(root: Path) -> None:
        Store(root).remove("old", 1)

    for root, _, _ in fail_each_call(remove, tmp_path, raise_error(errno.EIO), persistent=persistent):
        store = Store(root)
        if store.models():
            assert store.read("old", 1).data == FIRST
            store.remove("old", 1)
        with pytest.raises(ModelNotFound):
            store.read("old", 1)


@pytest.mark.parametrize("number", ERRORS)
def test_a_reader_for_whom_any_call_fails_says_so_and_can_read_later(tmp_path: Path, number: int) -> None:
    def read(root: Path) -> None:
        store = Store(root)
        assert store.models() == ["old"]
        assert store.read("old").data == FIRST

    for root, call, error in fail_each_call(read, tmp_path, raise_error(number), persistent=False):
        assert (error is None) == (call == "close")  # everything has been read by then
        read(root)


def test_a_power_cut_at_any_point_leaves_no_version_or_a_whole_one(tmp_path: Path) -> None:
    """S3. What was not fsynced may be lost or not, each on its own: so the data must be fsynced before the link, and
    every folder after its last change."""
    events: list[tuple[str, str]] = []

    class RecordingOs:
        def __getattr__(self, name: str) -> Any:
            call = getattr(os, name)
            if name not in {"mkdir", "write", "fsync", "link", "unlink"}:
                return call

            def record(*arguments: Any, **options: Any) -> Any:
                place = os.readlink(f"/proc/self/fd/{arguments[0]}") if name in {"write", "fsync"} else arguments[-1]
                events.append((name, os.path.basename(place)))
                return call(*arguments, **options)

            return record

    store = Store.create(tmp_path / "root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_module, "os", RecordingOs())
        store.publish("m", FIRST)
    temporary = events[2][1]
    assert folder_module.is_temporary(temporary)
    assert events == [
        ("mkdir", "m"),
        ("fsync", "root"),
        ("write", temporary),
        ("fsync", temporary),
        ("link", "1.csrve"),
        ("unlink", temporary),
        ("fsync", "m"),
    ]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from model_store.errors import StoreUnavailable
from model_store.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
store, data = Store(Path(sys.argv[1])), Path(sys.argv[2]).read_bytes()
try:
    store.publish("new", data)
except StoreUnavailable as error:
    print(str(error).rpartition(": ")[2])
assert store.read("old").data
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.publish("new", data).version)
"""


def test_where_files_cannot_grow_the_write_fails_and_leaves_nothing(tmp_path: Path) -> None:
    """S4: the first write is cut short, the next one is refused, by the kernel."""
    Store.create(tmp_path / "store").publish("old", FIRST)
    (tmp_path / "data").write_bytes(FIRST)
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "store"), str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "File too large\n1\n"
    assert os.listdir(tmp_path / "store" / "new") == ["1.csrve"]
