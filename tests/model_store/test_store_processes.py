"""S2, S5, S6: killed publishers, and many at once."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from model_store import folder as folder_module
from model_store.bundle import encode_bundle
from model_store.errors import ModelNotFound, VersionExists
from model_store.store import Store
from tests.model_store.sample_bundles import tiny_bundle

FIRST = encode_bundle(tiny_bundle(1))
SECOND = encode_bundle(tiny_bundle(2))
PROCESSES = 4
ROUNDS = [8, pytest.param(100, marks=pytest.mark.slow)]

KILL_AT_EACH_CALL = """
import os, sys
from itertools import count
from pathlib import Path
from model_store import folder
from model_store.store import Store
from tests.model_store.failing_os import FailingOs, kill_process

base, first, second = Path(sys.argv[1]), *(Path(path).read_bytes() for path in sys.argv[2:])
for number in count(1):
    root = base / str(number)
    Store.create(root).publish("m", first)
    child = os.fork()
    if not child:
        folder.os = FailingOs(kill_process, number)
        Store(root).publish("m", second)
        Store(root).publish("n", second)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status))
    if status == 0:
        break
"""


def test_a_publisher_killed_before_any_call_leaves_the_old_state_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first").write_bytes(FIRST)
    (tmp_path / "second").write_bytes(SECOND)
    files = [str(tmp_path / "first"), str(tmp_path / "second")]
    command = [sys.executable, "-c", KILL_AT_EACH_CALL, str(tmp_path), *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    codes = [int(line) for line in done.stdout.split()]
    assert codes == [-signal.SIGKILL] * (len(codes) - 1) + [0]
    assert len(codes) > 30

    monkeypatch.setattr(folder_module, "STALE_AFTER_S", -1.0)
    kept = [bytes_in_store(tmp_path / str(number)) for number in range(1, len(codes) + 1)]
    old, between, new = {"m/1": FIRST}, {"m/1": FIRST, "m/2": SECOND}, {"m/1": FIRST, "m/2": SECOND, "n/1": SECOND}
    assert sorted(kept, key=len) == kept  # the further it came, the more is there
    assert [state for state in kept if state not in (old, between, new)] == []
    assert all(state in kept for state in (old, between, new))
    for number in range(1, len(codes) + 1):
        store = Store(tmp_path / str(number))
        assert all(finding.problem is None for finding in store.verify())
        for name in ("m", "n"):
            store.publish(name, SECOND, 9)
        assert [name for _, _, names in os.walk(tmp_path / str(number)) for name in names if ".tmp" in name] == []


def bytes_in_store(root: Path) -> dict[str, bytes]:
    store = Store(root)
    return {f"{n}/{v}": store.read(n, v).data for n in store.models() for v in store.versions(n)}


def run_together(target: object, *arguments: object) -> list[object]:
    """Run `target(number, barrier, *arguments)` in several processes at once; return what they gave."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(PROCESSES) as pool:
        barrier = manager.Barrier(PROCESSES)
        jobs = [pool.apply_async(target, (number, barrier, *arguments)) for number in range(PROCESSES)]  # type: ignore[arg-type]
        return [job.get(timeout=120) for job in jobs]


def publish_rounds(number: int, barrier: object, root: Path, rounds: int) -> Counter[str]:
    """Each round all publish: the same bytes as m:1, their own as n:1, and their own as the next o."""
    store, own = Store(root), encode_bundle(tiny_bundle(100 + number))
    seen: Counter[str] = Counter()
    for turn in range(rounds):
        barrier.wait()  # type: ignore[attr-defined]
        store.publish(f"m{turn}", FIRST, 1)
        try:
            store.publish(f"n{turn}", own, 1)
            seen["won"] += 1
        except VersionExists:
            seen["lost"] += 1
        store.publish("o", own)
        assert set(store.models()) <= {"o", *(f"{name}{before}" for name in "mn" for before in range(turn + 2))}
    return seen


@pytest.mark.parametrize("rounds", ROUNDS)
def test_concurrent_publishers_get_one_winner_and_no_gap(tmp_path: Path, rounds: int) -> None:
    totals: Counter[str] = sum(run_together(publish_rounds, tmp_path, rounds), Counter())  # type: ignore[call-overload]
    assert totals == {"won": rounds, "lost": rounds * (PROCESSES - 1)}
    store = Store(tmp_path)
    own = {encode_bundle(tiny_bundle(100 + number)) for number in range(PROCESSES)}
    assert store.versions("o") == list(range(1, rounds * PROCESSES + 1))
    assert Counter(store.read("o", version).data for version in store.versions("o")) == dict.fromkeys(own, rounds)
    for turn in range(rounds):
        assert store.read(f"m{turn}").data == FIRST
        assert store.read(f"n{turn}").data in own
    assert all(finding.problem is None for finding in store.verify())
    assert [name for _, _, names in os.walk(tmp_path) for name in names if ".tmp" in name] == []


def publish_remove_and_read(number: int, barrier: object, root: Path, rounds: int) -> Counter[str]:
    """Half publish and remove the same version, half list and read it."""
    store, seen = Store(root), Counter[str]()
    barrier.wait()  # type: ignore[attr-defined]
    for _ in range(10 * rounds):
        try:
            if number % 2:
                store.publish("m", FIRST, 2)
                store.remove("m", 2)
            else:
                assert store.models() == ["m"]
                assert set(store.versions("m")) <= {1, 2}
                assert store.read("m").data in {FIRST, SECOND}
                seen["two" if store.read("m", 2).data == FIRST else "other"] += 1
        except ModelNotFound:
            seen["none"] += 1
    return seen


@pytest.mark.parametrize("rounds", ROUNDS)
def test_readers_beside_publishers_and_removers_never_see_a_part(tmp_path: Path, rounds: int) -> None:
    Store(tmp_path).publish("m", SECOND, 1)
    seen: Counter[str] = sum(run_together(publish_remove_and_read, tmp_path, rounds), Counter())  # type: ignore[call-overload]
    assert set(seen) <= {"two", "none"}
    assert Store(tmp_path).read("m", 1).data == SECOND


def test_a_reader_finishes_although_the_version_is_removed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S6."""
    store = Store(tmp_path)
    store.publish("m", FIRST)

    class RemovingOs:
        def __getattr__(self, name: str) -> object:
            if name == "read" and (tmp_path / "m" / "1.csrve").exists():
                (tmp_path / "m" / "1.csrve").unlink()
            return getattr(os, name)

    monkeypatch.setattr(folder_module, "os", RemovingOs())
    assert store.read("m", 1).data == FIRST
    assert store.models() == []
