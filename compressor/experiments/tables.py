"""What the records say of the targets and of every declared experiment, as Markdown."""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from compressor.experiments.aims import Aim, costs_of, method_of
from compressor.experiments.declared import EXPERIMENTS
from compressor.experiments.experiment import Experiment
from compressor.experiments.methods import METHODS
from compressor.experiments.seeds import accuracy_of_all, declared_runs, largest_of, seeds_of, verdict
from compressor.experiments.targets import ROWS, TIERS, Row, Target
from compressor.markdown import kilobytes, table

Fields = Mapping[str, Any]  # of one record
NOT_RUN = "not run"


def targets_table(records: Sequence[Fields]) -> str:
    """A row for each network: each tier's target, and whether any recorded bundle of that network meets it."""
    rows = []
    for row in ROWS:
        mine = [record for record in records if record["architecture"] == row.network]
        rows.append([row.title, *(_verdict(row, tier, mine) for tier in TIERS)])
    return table(("network", *TIERS.values()), rows)


def _verdict(row: Row, tier: str, records: Sequence[Fields]) -> str:
    target = row.targets.get(tier)
    if target is None:
        return "-"
    if not records:
        return f"{target}: {NOT_RUN}"
    best = _nearest(target, records)
    runs = seeds_of(best, records)
    size = kilobytes(largest_of(runs))
    return f"{target}: {verdict(runs, target.met_by)}, `{best['name']}` {size} at {accuracy_of_all(runs)}"


def _nearest(target: Target, records: Sequence[Fields]) -> Fields:
    """The most accurate bundle that is small enough, or else the smallest one."""
    small = [record for record in records if target.small_enough(record)]
    if small:
        return max(small, key=lambda record: (record["accuracy"], -record["bundle_bytes"]))
    return min(records, key=lambda record: (record["bundle_bytes"], -record["accuracy"]))


def experiments_table(records: Sequence[Fields]) -> str:
    """A row for each declared experiment: what it is meant for, and what its seeds reached."""
    rows = []
    for experiment in EXPERIMENTS.values():
        mine = [record for record in records if record.get("experiment") == experiment.name]
        meant = f"{TIERS[experiment.tier]}: {experiment.target}"
        rows.append([f"`{experiment.name}`", meant, *_outcome(experiment, mine)])
    return table(("experiment", "meant for", "seeds", "bundle", "accuracy of the file", "target"), rows)


def methods_table(records: Sequence[Fields]) -> str:
    """A row for each experiment of a method: the published row, ours, and the recorded bundle that comes nearest."""
    rows = []
    for experiment in METHODS.values():
        aim = experiment.aim or Aim()
        nearest = _nearest_by_aim(aim, _runs_for(experiment, records))
        rows.append([f"`{experiment.name}`", aim.published or "-", str(aim), *nearest])
    return table(METHOD_HEADS, rows)


def _runs_for(experiment: Experiment, records: Sequence[Fields]) -> list[Fields]:
    """Its own runs, and those of the same method on the same network that no experiment was named for."""
    recipe = json.loads(json.dumps(dataclasses.asdict(experiment.compress)))
    wanted = (experiment.network, method_of({"recipe": recipe}))

    def fits(record: Fields) -> bool:
        named = record.get("experiment")
        return named == experiment.name or (named is None and (record["architecture"], method_of(record)) == wanted)

    return [record for record in records if fits(record)]


METHOD_HEADS = ("experiment", "published", "ours should", "parameters", "operations", "bytes", "accuracy", "")


def _nearest_by_aim(aim: Aim, records: Sequence[Fields]) -> list[str]:
    """The most accurate bundle that is cheap enough, or else the one with the fewest weights."""
    if not records:
        return ["", "", "", "", NOT_RUN]
    cheap = [record for record in records if aim.cheap_enough(record)]
    best = max(cheap, key=lambda each: each["accuracy"]) if cheap else min(records, key=lambda each: each["nonzeros"])
    runs = seeds_of(best, records)
    costs = costs_of(best)
    dense = [run["dense"].get("test_accuracy") for run in runs]
    drop = (
        100 * statistics.mean(before - run["accuracy"] for before, run in zip(dense, runs, strict=True))
        if all(dense)
        else None
    )
    fewer = f"-{costs['parameters_down']:.1%}, " if costs.get("parameters_down") else ""
    return [
        f"{fewer}weights {costs['weight_ratio']:.1f}x fewer",
        f"-{costs['multiply_adds_down']:.1%}" if "multiply_adds_down" in costs else "",
        f"{kilobytes(largest_of(runs))} ({best['dense_bytes'] / largest_of(runs):.1f}x)",
        accuracy_of_all(runs) + (f" (drop {drop:.2f})" if drop is not None else ""),
        f"{verdict(runs, aim.met_by)}, `{best['name']}`",
    ]


def _outcome(experiment: Experiment, records: Sequence[Fields]) -> list[str]:
    """Seeds run of those declared, largest file, mean and spread of accuracy, and whether every run met the target.

    Runs of what was declared under that name before are told of where there is none of what is declared now.
    """
    runs = declared_runs(experiment.compress, records)
    seeds = f"{len(runs)} of {len(experiment.seeds)}"
    if not records:
        return [seeds, "", "", NOT_RUN]
    runs, note = (runs, "") if runs else (list(records), " (an earlier recipe)")
    size, accuracy = kilobytes(largest_of(runs)), accuracy_of_all(runs)
    return [seeds, size, accuracy, verdict(runs, experiment.target.met_by) + note]
