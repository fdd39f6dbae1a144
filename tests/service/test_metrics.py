import pytest

from service.metrics import OUTCOMES, REASONS, STAGES, Metrics


def lines(metrics: Metrics, accept: str = "") -> list[str]:
    return metrics.render(accept)[0].decode().splitlines()


def test_every_series_of_a_closed_label_set_is_there_from_the_start() -> None:
    found = lines(Metrics())
    for outcome in OUTCOMES:
        assert f'csrve_requests_total{{outcome="{outcome}"}} 0.0' in found
    for reason in REASONS:
        assert f'csrve_requests_rejected_total{{reason="{reason}"}} 0.0' in found
    for stage in STAGES:
        assert f'csrve_stage_duration_seconds_count{{stage="{stage}"}} 0.0' in found


def test_every_metric_of_ours_has_the_prefix() -> None:
    names = {line.split()[2] for line in lines(Metrics()) if line.startswith("# TYPE")}
    assert all(name.startswith(("csrve_", "process_")) for name in names)


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        (200, "", "ok"),
        (404, "model_not_found", "rejected"),
        (413, "body_too_large", "rejected"),
        (500, "inference_failed", "failed"),
        (503, "overloaded", "overloaded"),
        (504, "deadline_passed", "overloaded"),
    ],
)
def test_an_answer_is_counted_by_outcome_and_reason(status: int, reason: str, outcome: str) -> None:
    metrics = Metrics()
    metrics.count_answer(status, reason)
    assert f'csrve_requests_total{{outcome="{outcome}"}} 1.0' in lines(metrics)
    assert (f'csrve_requests_rejected_total{{reason="{reason}"}} 1.0' in lines(metrics)) == (status != 200)


def test_a_reason_nobody_declared_makes_no_new_series() -> None:
    metrics = Metrics()
    before = len(lines(metrics))
    metrics.count_answer(400, "x" * 99)
    assert len(lines(metrics)) == before
    assert 'csrve_requests_rejected_total{reason="other"} 1.0' in lines(metrics)


def test_a_duration_lands_in_its_bucket() -> None:
    metrics = Metrics()
    metrics.stage_seconds.labels("queue").observe(0.003)
    found = lines(metrics)
    assert 'csrve_stage_duration_seconds_bucket{le="0.0025",stage="queue"} 0.0' in found
    assert 'csrve_stage_duration_seconds_bucket{le="0.005",stage="queue"} 1.0' in found


def test_a_models_series_come_and_go() -> None:
    metrics = Metrics()
    metrics.add_model("m", 2, {"dense": 9, "bundle": 3, "resident": 4}, 0.75)
    assert 'csrve_model_bytes{kind="bundle",model="m",version="2"} 3.0' in lines(metrics)
    assert 'csrve_model_sparsity_ratio{model="m",version="2"} 0.75' in lines(metrics)
    metrics.remove_model("m", 2)
    assert not [line for line in lines(metrics) if 'model="m"' in line]


def test_the_gauges_of_load_are_read_when_asked() -> None:
    metrics = Metrics()
    depth = [3]
    metrics.watch(lambda: depth[0], lambda: 5)
    assert "csrve_queue_depth 3.0" in lines(metrics)
    depth[0] = 4
    assert "csrve_queue_depth 4.0" in lines(metrics)
    assert "csrve_requests_in_flight 5.0" in lines(metrics)


def test_openmetrics_is_spoken_to_who_asks() -> None:
    body, content_type = Metrics().render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert Metrics().render("")[1].startswith("text/plain")
