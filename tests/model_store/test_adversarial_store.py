"""Rows S4 to S12 of the checklist in SECURITY.md that need disks, links and clocks of their own."""

import os
from pathlib import Path

import pytest

from model_store.bundle import decode_bundle, encode_bundle
from model_store.errors import BundleError, InvalidName
from model_store.store import Store
from tests.model_store.sample_bundles import tiny_bundle
from tests.namespaces import run_after

FIRST = encode_bundle(tiny_bundle(1))

IMPORTS = """
import os, sys
from pathlib import Path
from model_store.bundle import encode_bundle
from model_store.errors import StoreUnavailable
from model_store.store import Store
from tests.model_store.sample_bundles import tiny_bundle
first = encode_bundle(tiny_bundle(1))
root = Path(sys.argv[1])
"""

FULL = (
    IMPORTS
    + """
store = Store.create(root / "store")
store.publish("old", first)
error = None
if sys.argv[2] == "bytes":
    with (root / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError:
            pass
else:
    try:
        for number in range(10_000):
            (root / f"ballast{number}").touch()
    except OSError:
        pass
try:
    store.publish("new", first)
    raise SystemExit("published where there was no room")
except StoreUnavailable as failure:
    print(failure)
print(store.models(), store.read("old").data == first)
print([name for _, _, names in os.walk(root / "store") for name in names if "tmp" in name])
for ballast in root.glob("ballast*"):
    ballast.unlink()
print(store.publish("new", first).version)
"""
)


@pytest.mark.parametrize(
    ("options", "what"), [("size=256k", "bytes"), ("size=1m,nr_inodes=16", "inodes")], ids=["bytes", "inodes"]
)
def test_s4_a_disk_that_is_full_refuses_what_comes_and_serves_what_is_there(
    tmp_path: Path, options: str, what: str
) -> None:
    output = run_after(f"mount -t tmpfs -o {options} none {tmp_path}", FULL, tmp_path, what)
    refusal, *rest = output.splitlines()
    assert refusal.startswith("cannot ")
    assert refusal.endswith(": No space left on device")
    assert rest == ["['old'] True", "[]", "1"]


READ_ONLY = (
    IMPORTS
    + """
store = Store(root)
print(store.read("m").data == first, store.models(), [finding.problem for finding in store.verify()])
for operation in (lambda: store.publish("m", first), lambda: store.remove("m", 1), lambda: store.publish("n", first)):
    try:
        operation()
        raise SystemExit("written where nothing can be")
    except StoreUnavailable as failure:
        print(str(failure).rpartition(": ")[2])
"""
)


def test_s10_a_store_that_is_mounted_read_only_serves_reads_and_refuses_writes_in_one_line(tmp_path: Path) -> None:
    Store.create(tmp_path / "store").publish("m", FIRST)
    place = tmp_path / "store"
    mounts = f"mount --bind {place} {place}; mount -o remount,bind,ro {place}"
    assert run_after(mounts, READ_ONLY, place).splitlines() == [
        "True ['m'] [None]",
        *["Read-only file system"] * 3,
    ]


def test_s8_a_hard_link_to_a_file_of_somebody_elses_is_no_bundle(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    store.publish("m", FIRST)
    (tmp_path / "secret").write_text("root:x:0:0:root:/root:/bin/sh\n")
    os.link(tmp_path / "secret", tmp_path / "store" / "m" / "2.csrve")
    (finding,) = [finding for finding in store.verify() if finding.problem]
    assert (finding.name, finding.version) == ("m", 2)
    with pytest.raises(BundleError) as caught:
        decode_bundle(store.read("m", 2).data)
    assert "root" not in str(caught.value)


@pytest.mark.parametrize("stamp_s", [0, 2**31 - 1, 4_000_000_000], ids=["1970", "2038", "2096"])
def test_s12_what_a_store_holds_does_not_depend_on_what_time_its_files_say(tmp_path: Path, stamp_s: int) -> None:
    store = Store.create(tmp_path / "store")
    store.publish("m", FIRST)
    store.publish("m", encode_bundle(tiny_bundle(2)))
    folder = tmp_path / "store" / "m"
    os.utime(folder / "1.csrve", (stamp_s, stamp_s))
    os.utime(folder, (stamp_s, stamp_s))
    assert store.versions("m") == [1, 2]
    assert store.read("m").version == 2
    assert store.publish("m", FIRST).version == 3
    assert [finding.problem for finding in store.verify()] == [None, None, None]


@pytest.mark.parametrize("name", ["../outside", "..", "m/../../outside", "/etc"])
def test_s7_a_name_that_leads_out_is_refused_although_its_target_is_there(tmp_path: Path, name: str) -> None:
    """TorchServe's CVE-2024-35198: the check came after the question whether the file exists."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1.csrve").write_bytes(FIRST)
    store = Store.create(tmp_path / "store")
    store.publish("m", FIRST)
    for operation in (store.versions, store.read, lambda name: store.publish(name, FIRST, 1)):
        with pytest.raises(InvalidName):
            operation(name)
    assert (outside / "1.csrve").read_bytes() == FIRST
