from typing import Any

from compressor.experiments import EXPERIMENTS, ROWS
from compressor.experiments.tables import experiments_table, targets_table


def record(name: str, size: int, accuracy: float, architecture: str = "resnet20", **more: Any) -> dict[str, Any]:
    fields = {"name": name, "bundle_bytes": size, "accuracy": accuracy, "architecture": architecture}
    return fields | {"dense_bytes": 1_084_392} | more


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


def test_an_experiment_shows_its_seeds_its_mean_and_whether_all_of_them_meet_the_target() -> None:
    name = "resnet20-must"
    seeds = [
        record(f"{name}-seed{seed}", 60_000 + seed, accuracy, experiment=name)
        for seed, accuracy in enumerate((0.920, 0.922, 0.918))
    ]
    table = experiments_table(seeds)
    assert len(table.splitlines()) == 2 + len(EXPERIMENTS)
    target = "must: 65 kB at 92.0%"
    assert row(table, f"`{name}`") == [target, "3 of 3", "60.0 kB", "92.00% ± 0.20", "met by 2 of 3"]
    assert row(experiments_table(seeds[:1]), f"`{name}`") == [target, "1 of 3", "60.0 kB", "92.00%", "met"]
    assert row(experiments_table(seeds[2:]), f"`{name}`") == [target, "1 of 3", "60.0 kB", "91.80%", "not met"]
    assert row(table, "`lenet5-must`") == ["must: 39x at 99.2%", "0 of 1", "", "", "not run"]
