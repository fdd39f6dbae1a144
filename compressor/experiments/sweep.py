"""Many experiments at many seeds: which are to run, which are done, and which may run at the same time."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compressor.dense import RESULT
from compressor.errors import RecipeError
from compressor.experiments import EXPERIMENTS, experiment_named
from compressor.experiments.experiment import Experiment
from compressor.experiments.runner import Places
from compressor.publication import RECORD


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended.

    Attributes:
        run: `Experiment.run_name()`.
        record: the record's path; None where the run failed.
        error: one line saying why it failed; "" where it did not.
    """

    run: str
    record: Path | None
    error: str = ""


Note = Callable[[Outcome], object]  # told of each run as it ends


def plan_sweep(
    names: Sequence[str], networks: Collection[str], tiers: Collection[str], seeds: Sequence[int]
) -> list[Experiment]:
    """Each experiment chosen at each seed, in the order of declaration.

    Args:
        names: of experiments; empty for all that are declared.
        networks: only these; empty for all. Tiers likewise.
        seeds: instead of those that each experiment declares; empty for those.

    Raises:
        RecipeError: an unknown experiment, or nothing is left to run.
    """
    chosen = [
        experiment
        for experiment in map(experiment_named, names or EXPERIMENTS)
        if (not networks or experiment.network in networks) and (not tiers or experiment.tier in tiers)
    ]
    if not chosen:
        raise RecipeError(f"sweep: no experiment of networks {sorted(networks)} and tiers {sorted(tiers)}, must be one")
    seeded = (experiment.with_seed(seed) for experiment in chosen for seed in dict.fromkeys(seeds or experiment.seeds))
    return list({experiment.run_name(): experiment for experiment in seeded}.values())


def record_of(experiment: Experiment, places: Places) -> Path:
    """Where the record of a run is once it is done; a record is written last."""
    if places.records is None:
        return places.runs / experiment.run_name() / RECORD
    return places.records / f"{experiment.run_name()}.json"


def is_done(experiment: Experiment, places: Places) -> bool:
    """Whether the run has its record, of this seed and experiment."""
    try:
        record = json.loads(record_of(experiment, places).read_text())
    except (OSError, ValueError):
        return False
    return places.records is None or (isinstance(record, dict) and record.get("experiment") == experiment.name)


def startable(waiting: Sequence[Experiment], running: Collection[Experiment], places: Places) -> list[Experiment]:
    """Those of `waiting` that may start now: no two that would train the same dense network at once."""
    busy = {experiment.dense_name() for experiment in running}
    found = []
    for experiment in waiting:
        name = experiment.dense_name()
        if experiment.train is None or (places.runs / "dense" / name / RESULT).exists():
            found.append(experiment)
        elif name not in busy:
            busy.add(name)
            found.append(experiment)
    return found


def run_in_turn(plan: Iterable[Experiment], run: Callable[[Experiment], Outcome], note: Note) -> list[Outcome]:
    """One after the other in this process; `note` is told of each as it ends."""
    outcomes = []
    for experiment in plan:
        outcome = run(experiment)
        note(outcome)
        outcomes.append(outcome)
    return outcomes
