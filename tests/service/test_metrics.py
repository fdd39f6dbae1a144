import pytest

from service.metrics import Metrics
from service.metrics.comparisons import RESULTS, SIDES
from service.metrics.models import KINDS, PHASES, RELOADS
from service.metrics.requests import OUTCOMES, PROTOCOLS, REASONS
from service.schemas import ModelDetails, Preparation, Timing


def lines(metrics: Metrics, accept: str = "") -> list[str]:
    return metrics.render(accept)[0].decode().splitlines()


def test_every_series_of_a_closed_label_set_is_there_from_the_start() -> None:
    found = lines(Metrics())
    for outcome in OUTCOMES:
        for protocol in PROTOCOLS:
            assert f'csrve_requests_total{{outcome="{outcome}",protocol="{protocol}"}} 0.0' in found
    for reason in REASONS:
        assert f'csrve_requests_rejected_total{{reason="{reason}"}} 0.0' in found
    for phase in PHASES:
        assert f'csrve_model_load_duration_seconds_count{{phase="{phase}"}} 0.0' in found
    for outcome in RELOADS:
        assert f'csrve_model_reloads_total{{outcome="{outcome}"}} 0.0' in found


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
        (501, "not_supported", "rejected"),
        (503, "overloaded", "overloaded"),
        (504, "deadline_passed", "overloaded"),
    ],
)
def test_an_answer_is_counted_by_outcome_and_reason(status: int, reason: str, outcome: str) -> None:
    metrics = Metrics()
    metrics.requests.count_answer(status, reason, "oip")
    assert f'csrve_requests_total{{outcome="{outcome}",protocol="oip"}} 1.0' in lines(metrics)
    assert (f'csrve_requests_rejected_total{{reason="{reason}"}} 1.0' in lines(metrics)) == (status != 200)


def test_a_reason_nobody_declared_makes_no_new_series() -> None:
    metrics = Metrics()
    before = len(lines(metrics))
    metrics.requests.count_answer(400, "x" * 99)
    assert len(lines(metrics)) == before
    assert 'csrve_requests_rejected_total{reason="other"} 1.0' in lines(metrics)


def details(version: int = 2) -> ModelDetails:
    return ModelDetails(
        name="m",
        version=version,
        architecture="tiny",
        parameters=10,
        nonzeros=4,
        sparsity=0.75,
        dense_bytes=40,
        bundle_bytes=3,
        compression_ratio=40 / 3,
        bits_per_weight=2.4,
        accuracy=None,
        decode_ms=1.0,
        resident_bytes=7,
        activation_bytes=0,
        bytes_by_kind={},
        layers=[],
        class_names=["a"],
        preprocessing=Preparation(channels=1, height=1, width=1, mean=[0.0], std=[1.0]),
        provenance={},
    )


def test_a_duration_lands_in_its_bucket() -> None:
    metrics = Metrics()
    metrics.models.add(details(), "numpy").observe(Timing(read=0, decode=1, queue=3, inference=30, total=40))
    found = lines(metrics)
    for name, below, above in (
        ("queue", "0.0025", "0.005"),
        ("inference", "0.025", "0.05"),
        ("request", "0.025", "0.05"),
    ):
        bucket = f'csrve_{name}_duration_seconds_bucket{{le="%s",model="m",version="2"}} %s'
        assert bucket % (below, "0.0") in found
        assert bucket % (above, "1.0") in found


def test_a_models_series_come_and_go() -> None:
    metrics = Metrics()
    series = metrics.models.add(details(), "numpy")
    found = lines(metrics)
    for kind, size in zip(KINDS, (40.0, 3.0, 7.0), strict=True):
        assert f'csrve_model_bytes{{kind="{kind}",model="m",version="2"}} {size}' in found
    assert 'csrve_model_sparsity_ratio{model="m",version="2"} 0.75' in found
    assert 'csrve_model_ready{model="m",version="2"} 1.0' in found
    info = 'csrve_model_info{architecture="tiny",bits="2.40",engine="numpy",model="m",version="2"} 1.0'
    assert info in found
    for name in ("read", "preprocess", "queue", "inference", "request"):
        assert f'csrve_{name}_duration_seconds_count{{model="m",version="2"}} 0.0' in found
    metrics.models.add(details(3), "numpy")
    metrics.models.remove("m", 2)
    metrics.models.remove("m", 2)
    series.observe(Timing(read=1, decode=1, queue=1, inference=1, total=4))
    series.batch_size.observe(1)
    assert not [line for line in lines(metrics) if 'version="2"' in line]
    assert [line for line in lines(metrics) if 'version="3"' in line]


def test_a_version_that_is_loaded_anew_begins_anew() -> None:
    metrics = Metrics()
    metrics.models.add(details(), "numpy").batch_size.observe(1)
    metrics.models.add(details(), "other")
    found = lines(metrics)
    assert 'csrve_batch_size_count{model="m",version="2"} 0.0' in found
    assert len([line for line in found if line.startswith("csrve_model_info{")]) == 1


def test_a_pairs_series_are_there_from_the_start() -> None:
    metrics = Metrics()
    series = metrics.comparisons.add("shadow", "small", "large:2")
    series.results["agree"].inc()
    found = lines(metrics)
    pair = 'candidate="large:2",kind="shadow",primary="small"'
    for result in RESULTS:
        assert f'csrve_comparisons_total{{{pair},result="{result}"}} {float(result == "agree")}' in found
    for side in SIDES:
        assert f'csrve_comparison_picture_seconds_count{{{pair},side="{side}"}} 0.0' in found
    assert f"csrve_canary_fallbacks_total{{{pair}}} 0.0" in found


def test_gauges_are_read_when_asked() -> None:
    metrics = Metrics()
    depth = [3]
    metrics.requests.watch(lambda: depth[0], lambda: 5, lambda: depth[0] == 4)
    metrics.models.watch(lambda: 10 * depth[0], 99)
    found = lines(metrics)
    assert {"csrve_queue_depth 3.0", "csrve_ready 0.0", "csrve_resident_bytes 30.0"} < set(found)
    depth[0] = 4
    found = lines(metrics)
    assert {"csrve_queue_depth 4.0", "csrve_requests_in_flight 5.0", "csrve_ready 1.0"} < set(found)
    assert {"csrve_resident_bytes 40.0", "csrve_resident_limit_bytes 99.0"} < set(found)


def test_openmetrics_is_spoken_to_who_asks() -> None:
    body, content_type = Metrics().render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert Metrics().render("")[1].startswith("text/plain")
