import dataclasses
import json
from typing import Any

from compressor.experiments import EXPERIMENTS, ROWS
from compressor.experiments.tables import experiments_table, methods_table, targets_table
from compressor.recipes import CompressRecipe


def record(name: str, size: int, accuracy: float, architecture: str = "resnet20", **more: Any) -> dict[str, Any]:
    fields = {"name": name, "bundle_bytes": size, "accuracy": accuracy, "architecture": architecture}
    return fields | {"dense_bytes": 1_084_392, "recipe": {"of": name}} | more


def row(table: str, begins: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {begins} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_targets_without_a_record_are_not_run() -> None:
    table = targets_table([])
    assert len(table.splitlines()) == 2 + len(ROWS)
    assert row(table, "ResNet-152") == ["2,400 kB at 95.0%: not run", "1,200 kB at 95.0%: not run", "-"]


def test_each_target_names_the_record_that_meets_it_or_comes_nearest() -> None:
    records = [
        record("large", 64_000, 0.9231), record("small", 44_000, 0.9170), record("poor", 43_000, 0.91),
        record("other", 10, 0.99, "resnet56"),
    ]  # fmt: skip
    assert row(targets_table(records), "ResNet-20") == [
        "65 kB at 92.0%: **met**, `large` 64.0 kB at 92.31%",
        "45 kB at 91.7%: **met**, `small` 44.0 kB at 91.70%",
        "28 kB at 90.8%: not met, `poor` 43.0 kB at 91.00%",
    ]


def run_of(name: str, seed: int, accuracy: float, size: int, **more: Any) -> dict[str, Any]:
    """A record of a method's run."""
    recipe = {"structure": {"method": "l1"}, "retrain": {"seed": seed, "epochs": 3}}
    fields = {"recipe": recipe, "parameters": 431_080, "nonzeros": 68_000, "dense": {"test_accuracy": 0.995}}
    return record(f"{name}-seed{seed}", size, accuracy, "lenet5", **fields) | more


def test_a_target_rests_on_all_seeds_of_the_nearest_recipe() -> None:
    recipes = [{"retrain": {"epochs": 3, "seed": seed}} for seed in range(3)]
    runs = [
        record(f"run-{seed}", 64_000 + seed, accuracy, recipe=recipes[seed], teachers=[{"sha256": "ab"}])
        for seed, accuracy in enumerate((0.9210, 0.9200, 0.9190))
    ]
    recipes[1] |= {"teacher_views": 0, "coder": "huffman"}  # of a version that knows more: its defaults
    other = record("other", 60_000, 0.9201, recipe=recipes[0] | {"scale_bits": 8})
    another = record("another", 60_000, 0.9202, recipe=recipes[1], teachers=[{"sha256": "cd"}])
    assert row(targets_table([*runs, other, another]), "ResNet-20")[0] == (
        "65 kB at 92.0%: met by 2 of 3, `run-0` 64.0 kB at 92.00% ± 0.10 (3 seeds)"
    )


def test_a_method_shows_its_own_runs_and_no_other_experiments() -> None:
    runs = [run_of("lenet5-l1", seed, 0.993 + 0.001 * seed, 32_000 + seed, experiment="lenet5-l1") for seed in range(3)]
    table = methods_table([*runs, run_of("lenet5-other", 0, 0.999, 9, experiment="lenet5-other")])
    found = [
        "weights 6.3x fewer",
        "",
        "32.0 kB (33.9x)",
        "99.40% ± 0.10 (3 seeds) (drop 0.10)",
        "**met**, `lenet5-l1-seed2`",
    ]
    assert row(table, "`lenet5-l1`") == ["-", "run", *found]
    assert row(table, "`lenet5-nisp`")[2:] == ["", "", "", "", "not run"]
    unnamed = methods_table([run_of("by-hand", 0, 0.9, 5000)])
    assert row(unnamed, "`lenet5-l1`")[-1] == "**met**, `by-hand-seed0`"


def in_json(recipe: CompressRecipe, seed: int) -> Any:
    """As a record has it: of a seed, with the holdout of the dense network."""
    return json.loads(json.dumps(dataclasses.asdict(recipe.with_both(seed=seed, holdout=1234))))


def test_runs_of_what_an_experiment_was_before_are_told_of_only_where_there_are_no_others() -> None:
    name = "resnet20-must"
    declared = EXPERIMENTS[name].compress
    before = dataclasses.replace(declared, scale_bits=16)
    old = record("old", 61_000, 0.93, experiment=name, recipe=in_json(before, 0))
    new = record("new", 60_000, 0.92, experiment=name, recipe=in_json(declared, 1))
    target = "must: 65 kB at 92.0%"
    alone = [target, "0 of 3", "61.0 kB", "93.00%", "**met** (an earlier recipe)"]
    assert row(experiments_table([old]), f"`{name}`") == alone
    assert row(experiments_table([old, new]), f"`{name}`") == [target, "1 of 3", "60.0 kB", "92.00%", "**met**"]


def test_an_experiment_shows_its_seeds_its_mean_and_whether_all_of_them_meet_the_target() -> None:
    name = "resnet20-must"
    declared = EXPERIMENTS[name].compress
    seeds = [
        record(f"{name}-seed{seed}", 60_000 + seed, accuracy, experiment=name, recipe=in_json(declared, seed))
        for seed, accuracy in enumerate((0.920, 0.922, 0.918))
    ]
    table = experiments_table(seeds)
    assert len(table.splitlines()) == 2 + len(EXPERIMENTS)
    target = "must: 65 kB at 92.0%"
    assert row(table, f"`{name}`") == [target, "3 of 3", "60.0 kB", "92.00% ± 0.20 (3 seeds)", "met by 2 of 3"]
    assert row(experiments_table(seeds[:1]), f"`{name}`") == [target, "1 of 3", "60.0 kB", "92.00%", "**met**"]
    assert row(experiments_table(seeds[2:]), f"`{name}`") == [target, "1 of 3", "60.0 kB", "91.80%", "not met"]
    assert row(table, "`lenet5-must`") == ["must: 39x at 99.2%", "0 of 3", "", "", "not run"]
