from service.oip.statistics import Run, Stages, Statistics

SPENT = Stages(queue_s=0.001, input_s=0.002, infer_s=0.003, output_s=0.004, total_s=0.01)


def test_what_was_never_asked_has_zeros() -> None:
    (model,) = Statistics().describe([("a", 1)])["model_stats"]
    assert (model["name"], model["version"], model["last_inference"]) == ("a", "1", 0)
    assert (model["inference_count"], model["execution_count"], model["batch_stats"]) == (0, 0, [])
    assert set(model["inference_stats"]) == {
        "success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"
    }  # fmt: skip
    assert all(duration == {"count": 0, "ns": 0} for duration in model["inference_stats"].values())


def test_requests_pictures_and_time_are_counted() -> None:
    statistics = Statistics(clock=lambda: 1234.5678)
    statistics.succeed("a", 1, SPENT, [Run(1.0, 1.5, 3), Run(1.0, 1.5, 3)])
    statistics.succeed("a", 1, SPENT, [Run(2.0, 2.25, 1)])
    statistics.fail("a", 1, 0.5)
    (model,) = statistics.describe([("a", 1)])["model_stats"]
    assert (model["last_inference"], model["inference_count"]) == (1_234_568, 3)
    stages = model["inference_stats"]
    assert {name: stages[name] for name in ("success", "fail", "queue", "compute_infer")} == {
        "success": {"count": 2, "ns": 20_000_000},
        "fail": {"count": 1, "ns": 500_000_000},
        "queue": {"count": 2, "ns": 2_000_000},
        "compute_infer": {"count": 2, "ns": 6_000_000},
    }


def test_a_run_of_the_engine_that_answered_several_requests_is_counted_once() -> None:
    statistics = Statistics()
    shared = Run(1.0, 1.5, 2)
    statistics.succeed("a", 1, SPENT, [shared])
    statistics.succeed("a", 1, SPENT, [shared])
    statistics.succeed("a", 1, SPENT, [Run(3.0, 3.125, 1)])
    (model,) = statistics.describe([("a", 1)])["model_stats"]
    assert model["execution_count"] == 2
    sizes = {batch["batch_size"]: batch["compute_infer"] for batch in model["batch_stats"]}
    assert sizes == {1: {"count": 1, "ns": 125_000_000}, 2: {"count": 1, "ns": 500_000_000}}


def test_versions_are_counted_apart_and_listed_in_order() -> None:
    statistics = Statistics()
    statistics.fail("b", 1, 0.0)
    statistics.succeed("a", 2, SPENT, [Run(1.0, 1.5, 1)])
    models = statistics.describe([("b", 1), ("a", 2), ("a", 1)])["model_stats"]
    assert [(model["name"], model["version"], model["inference_count"]) for model in models] == [
        ("a", "1", 0),
        ("a", "2", 1),
        ("b", "1", 0),
    ]
