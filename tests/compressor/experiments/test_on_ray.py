"""A sweep on a cluster that loses a node in the middle of a run."""

import functools
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from compressor.commands.sweep import run_one
from compressor.experiments.experiment import Experiment
from compressor.experiments.runner import Places
from compressor.experiments.sweep import Outcome
from compressor.training.trainer import Trainer
from model_store.store import Store
from tests.cluster import two_nodes
from tests.compressor.blobs import draw, write_pictures
from tests.compressor.experiments.tiny import tiny_experiment

WAIT_S = 120


def run_and_hang_once(experiment: Experiment, places: Places, notes: Path) -> Outcome:
    """Run it, noting every epoch; the first time that seed 1 is in its second epoch of pruning, say where and hang."""
    import ray

    run_epoch = Trainer._run_epoch

    def noted(trainer: Trainer, *arguments: Any) -> float:
        epoch = f"{trainer.name} {trainer.epoch}"
        with (notes / experiment.run_name()).open("a") as file:
            file.write(epoch + "\n")
        hung = notes / "hung"
        if (experiment.run_name(), epoch) == ("tiny-seed1", "prune 1") and not hung.exists():
            (notes / "hanging").write_text(ray.get_runtime_context().get_node_id())
            (notes / "hanging").rename(hung)
            time.sleep(WAIT_S)
        return run_epoch(trainer, *arguments)

    Trainer._run_epoch = noted  # type: ignore[method-assign]
    try:
        return run_one(experiment, places, 1, False)
    finally:
        Trainer._run_epoch = run_epoch  # type: ignore[method-assign]


def lose_the_node_that_hangs(cluster: Any, nodes: list[Any], notes: Path, lost: list[str]) -> None:
    ends = time.monotonic() + WAIT_S
    while not (notes / "hung").exists() and time.monotonic() < ends:
        time.sleep(0.05)
    (node,) = (node for node in nodes if node.node_id == (notes / "hung").read_text())
    cluster.remove_node(node, allow_graceful=False)
    lost.append(node.node_id)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_run_whose_node_is_lost_goes_on_elsewhere_from_its_checkpoint(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data", draw(96, 1), "train")
    write_pictures(tmp_path / "data", draw(30, 2), "test")
    (notes := tmp_path / "notes").mkdir()
    plan = [tiny_experiment().with_seed(seed) for seed in (1, 2, 3)]
    whole, swept = (
        Places(str(tmp_path / "data"), tmp_path / name / "runs", tmp_path / name / "store", tmp_path / name / "records")
        for name in ("whole", "swept")
    )
    expected = run_one(plan[0], whole, 1, False)
    assert expected.record is not None
    ended: list[Outcome] = []
    lost: list[str] = []
    with two_nodes({}) as (cluster, nodes):
        from compressor.experiments.on_ray import Resources, run_on_ray

        arguments = (cluster, nodes, notes, lost)
        threading.Thread(target=lose_the_node_that_hangs, args=arguments, daemon=True).start()
        run = functools.partial(run_and_hang_once, places=swept, notes=notes)
        outcomes = run_on_ray(plan, swept, run, Resources(cpus=1, retries=2), ended.append)
    assert ended == outcomes
    assert sorted(outcomes, key=lambda outcome: outcome.run) == [
        Outcome(f"tiny-seed{seed}", tmp_path / "swept" / "records" / f"tiny-seed{seed}.json") for seed in (1, 2, 3)
    ]
    assert len(lost) == 1
    epochs = (notes / "tiny-seed1").read_text().splitlines()
    assert epochs.count("prune 0") == 1
    assert epochs.count("prune 1") == 2
    record = json.loads((tmp_path / "swept" / "records" / "tiny-seed1.json").read_text())
    assert record["sha256"] == json.loads(expected.record.read_text())["sha256"]
    assert Store(tmp_path / "swept" / "store").models() == ["tiny-seed1", "tiny-seed2", "tiny-seed3"]
