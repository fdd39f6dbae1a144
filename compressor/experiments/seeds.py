"""Runs that differ in their seed alone, and what is said of all of them: no row rests on its best seed."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compressor.citation import read_citation
from compressor.errors import RecipeError
from compressor.recipes import CompressRecipe

Fields = Mapping[str, Any]  # of one record


def seeds_of(record: Fields, records: Sequence[Fields]) -> list[Fields]:
    """The runs of a record's recipe on its network and data, whatever their seed, itself among them."""
    mine = _key(record)
    return [other for other in records if other is record or _key(other) == mine]


def declared_runs(recipe: CompressRecipe, records: Sequence[Fields]) -> list[Fields]:
    """Those of a recipe, whatever their seed and the size of their holdout, which are the dense training's."""
    names = ("seed", "holdout")
    wanted = _without(names, dataclasses.asdict(recipe))
    return [record for record in records if _without(names, _in_full(record.get("recipe"))) == wanted]


def _key(record: Fields) -> tuple[Any, ...]:
    teachers = [teacher["sha256"] for teacher in record.get("teachers", [])]
    recipe = _in_full(_without(("seed",), record.get("recipe")))
    return (record["architecture"], record.get("data"), record.get("experiment"), recipe, teachers)


def _in_full(recipe: Any) -> Any:
    """With the defaults of what the version that recorded it did not know yet; as it is where it cannot be read."""
    try:
        return dataclasses.asdict(read_citation(recipe))
    except RecipeError:
        return recipe


def _without(names: Sequence[str], value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without(names, part) for name, part in value.items() if name not in names}
    return value


def accuracy_of_all(runs: Sequence[Fields]) -> str:
    """Their mean accuracy, with the standard deviation and the number of seeds where there are several."""
    accuracies = [run["accuracy"] for run in runs]
    mean = f"{statistics.mean(accuracies):.2%}"
    return f"{mean} ± {100 * statistics.stdev(accuracies):.2f} ({len(runs)} seeds)" if len(runs) > 1 else mean


def largest_of(runs: Sequence[Fields]) -> int:
    """Bytes of the largest file."""
    return max(int(run["bundle_bytes"]) for run in runs)


def verdict(runs: Sequence[Fields], met_by: Callable[[Fields], bool]) -> str:
    """Whether all of them meet a target, none, or some."""
    met = sum(map(met_by, runs))
    return "**met**" if met == len(runs) else "not met" if not met else f"met by {met} of {len(runs)}"
