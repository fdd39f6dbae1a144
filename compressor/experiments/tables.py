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
    word = "**met**" if target.met_by(best) else "not met"
    return f"{target}: {word}, {_result(best)}"


def _nearest(target: Target, records: Sequence[Fields]) -> Fields:
    """The most accurate bundle that is small enough, or else the smallest one."""
    small = [record for record in records if target.small_enough(record)]
    if small:
        return max(small, key=lambda record: (record["accuracy"], -record["bundle_bytes"]))
    return min(records, key=lambda record: (record["bundle_bytes"], -record["accuracy"]))


def _result(record: Fields) -> str:
    return f"`{record['name']}` {kilobytes(record['bundle_bytes'])} at {record['accuracy']:.2%}"


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
        recipe = json.loads(json.dumps(dataclasses.asdict(experiment.compress)))
        wanted = (experiment.network, method_of({"recipe": recipe}))
        mine = [record for record in records if (record["architecture"], method_of(record)) == wanted]
        aim = experiment.aim or Aim()
        rows.append([f"`{experiment.name}`", aim.published or "-", str(aim), *_nearest_by_aim(aim, mine)])
    return table(METHOD_HEADS, rows)


METHOD_HEADS = ("experiment", "published", "ours should", "parameters", "operations", "bytes", "accuracy (drop)", "")


def _nearest_by_aim(aim: Aim, records: Sequence[Fields]) -> list[str]:
    """The most accurate bundle that is cheap enough, or else the one with the fewest weights."""
    if not records:
        return ["", "", "", "", NOT_RUN]
    cheap = [record for record in records if aim.cheap_enough(record)]
    best = max(cheap, key=lambda each: each["accuracy"]) if cheap else min(records, key=lambda each: each["nonzeros"])
    costs = costs_of(best)
    dense = best["dense"].get("test_accuracy")
    fewer = f"-{costs['parameters_down']:.1%}, " if costs.get("parameters_down") else ""
    return [
        f"{fewer}weights {costs['weight_ratio']:.1f}x fewer",
        f"-{costs['multiply_adds_down']:.1%}" if "multiply_adds_down" in costs else "",
        f"{kilobytes(best['bundle_bytes'])} ({costs['file_ratio']:.1f}x)",
        f"{best['accuracy']:.2%}" + (f" ({100 * (dense - best['accuracy']):.2f})" if dense is not None else ""),
        f"{'**met**' if aim.met_by(best) else 'not met'}, `{best['name']}`",
    ]


def _outcome(experiment: Experiment, records: Sequence[Fields]) -> list[str]:
    """Seeds run of those declared, largest file, mean and spread of accuracy, and whether every run met the target."""
    seeds = f"{len(records)} of {len(experiment.seeds)}"
    if not records:
        return [seeds, "", "", NOT_RUN]
    accuracies = [record["accuracy"] for record in records]
    spread = f" ± {100 * statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
    met = sum(experiment.target.met_by(record) for record in records)
    word = "met" if met == len(records) else "not met" if not met else f"met by {met} of {len(records)}"
    largest = max(record["bundle_bytes"] for record in records)
    return [seeds, kilobytes(largest), f"{statistics.mean(accuracies):.2%}{spread}", word]
