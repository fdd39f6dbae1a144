from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from service.bench import catalog
from service.bench.job import Job
from service.bench.measurement import measure
from service.bench.report import Report, Row
from service.bench.rounds import Pace
from service.bench.worker import Load, Measure, Peak, Prepare, Streams
from service.errors import BenchError
from tests.service.bench.hands import Behaviour, Troupe

pytest.importorskip("onnx")
pytest.importorskip("safetensors")


@pytest.fixture
def network(tmp_path: Path, encoded: bytes) -> str:
    path = tmp_path / "small.csrve"
    path.write_bytes(encoded)
    return str(path)


@pytest.fixture(autouse=True)
def everything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "find_spec", lambda name: ModuleSpec(name, None))


def job(network: str, **fields: object) -> Job:
    given = {"own": ("numpy",), "peers": ("onnxruntime", "openvino"), "batches": (2,), "pace": Pace(3)} | fields
    return Job((network,), **given)  # type: ignore[arg-type]


def measured(job: Job, behaviours: Mapping[str, Behaviour]) -> tuple[Report, Troupe]:
    troupe = Troupe(behaviours)
    report = measure(job, lambda line: None, troupe.start)
    assert troupe.open == 0
    return report, troupe


def by_engine(report: Report) -> dict[str, Row]:
    return {row.engine: row for row in report.rows}


def test_engines_take_turns(network: str) -> None:
    _, troupe = measured(job(network), {})
    engines = ["numpy", "onnxruntime", "openvino"]
    assert troupe.turns(Prepare) == engines
    assert troupe.turns(Measure) == engines * 3
    assert troupe.turns(Load) == engines * 4  # one more, which does not count


def test_each_number_of_threads_has_workers_of_its_own(network: str) -> None:
    report, troupe = measured(job(network, threads=(2, 1), batches=(1, 3)), {})
    assert [threads for _, threads, kind in troupe.asked if kind == "Measure"] == [2] * 18 + [1] * 18
    assert {threads for _, threads, kind in troupe.asked if kind == "Load"} == {1, 2}
    assert {row.threads for row in report.loads} == {1, 2}
    assert [(row.threads, row.batch, row.engine) for row in report.rows] == [
        (threads, batch, engine)
        for threads in (2, 1)
        for batch in (1, 3)
        for engine in ("numpy", "onnxruntime", "openvino")
    ]


def test_ratios_are_to_the_fastest_dense_runtime(network: str) -> None:
    behaviours = {"numpy": Behaviour(0.5), "onnxruntime": Behaviour(3.0), "openvino": Behaviour(2.0)}
    rows = by_engine(measured(job(network), behaviours)[0])
    assert {name: row.ratio for name, row in rows.items()} == {"numpy": 4.0, "onnxruntime": 2 / 3, "openvino": 1.0}
    assert {name: row.dense for name, row in rows.items()} == {"numpy": False, "onnxruntime": True, "openvino": True}
    timing = rows["numpy"].timing
    assert timing is not None
    assert (timing.runs, timing.median_s) == (9, 0.5)


def test_an_engine_that_disagrees_is_named_and_is_not_the_best(network: str) -> None:
    behaviours = {"numpy": Behaviour(1.0), "onnxruntime": Behaviour(0.1, error=0.5), "openvino": Behaviour(2.0)}
    rows = by_engine(measured(job(network), behaviours)[0])
    wrong = rows["onnxruntime"]
    assert wrong.difference is not None
    assert wrong.difference > 1e-4
    assert wrong.problem == f"disagrees: logits differ by {wrong.difference:.2g} of the largest, more than 0.0001"
    assert (wrong.ratio, wrong.share_of_peak) == (None, None)
    assert wrong.timing is not None
    assert rows["numpy"].ratio == 2.0


def test_logits_that_are_no_numbers_disagree(network: str) -> None:
    rows = by_engine(measured(job(network), {"openvino": Behaviour(error=float("nan"))})[0])
    assert rows["openvino"].difference is None
    assert rows["openvino"].problem.startswith("disagrees: logits differ by inf")
    assert rows["numpy"].problem == ""
    assert rows["numpy"].difference == 0.0


def test_an_engine_that_raises_or_dies_leaves_the_others_their_turns(network: str) -> None:
    behaviours = {
        "onnxruntime": Behaviour(raises=ValueError("no such operator")),
        "openvino": Behaviour(dies_at=Measure),
    }
    report, troupe = measured(job(network), behaviours)
    rows = by_engine(report)
    assert rows["onnxruntime"].problem == "ValueError: no such operator"
    assert rows["openvino"].problem == "its process ended with status -11"
    assert rows["onnxruntime"].timing is rows["openvino"].timing is None
    assert troupe.turns(Measure) == ["numpy", "openvino", "numpy", "numpy"]
    assert rows["numpy"].timing is not None
    assert rows["numpy"].ratio is None  # there is nobody to compare with
    loads = {row.engine: row for row in report.loads}
    assert loads["openvino"].problem == "its process ended with status -11"
    assert (loads["openvino"].ready, loads["openvino"].parts) == (None, {})
    assert loads["onnxruntime"].problem == ""


def test_the_share_of_the_peak_counts_each_nonzero_weight_once_an_output_pixel(network: str) -> None:
    report, _ = measured(job(network, batches=(4,)), {"numpy": Behaviour(0.5, peak=2e6)})
    (subject,) = report.networks
    assert report.conditions.peaks == {"1": 2e6}
    assert by_engine(report)["numpy"].share_of_peak == pytest.approx(4 * subject.multiply_adds / 0.5 / 2e6)


def test_engines_on_a_gpu_get_no_share_of_the_processors_peak(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_gpu_name", lambda: "a large one")
    given = job(network, own=("numpy", "cuda"), peers=("torch-cuda",), device="cuda")
    report, _ = measured(given, {"cuda": Behaviour(0.5), "torch-cuda-bf16": Behaviour(0.25, error=1e-3)})
    rows = by_engine(report)
    assert rows["numpy"].share_of_peak is not None
    assert (rows["cuda"].share_of_peak, rows["cuda"].ratio) == (None, 0.5)
    assert rows["torch-cuda-bf16"].problem == ""  # it may round
    assert "gpu" in report.conditions.versions


def test_the_peak_is_that_of_the_first_worker_alive_and_left_out_without_the_extension(network: str) -> None:
    report, _ = measured(job(network), {"numpy": Behaviour(dies_at=Peak), "onnxruntime": Behaviour(peak=5.0)})
    assert report.conditions.peaks == {"1": 5.0}
    report, _ = measured(job(network), {"numpy": Behaviour(peak=None)})
    assert report.conditions.peaks == {}
    assert by_engine(report)["numpy"].share_of_peak is None


def test_loading_is_told_in_parts_and_without_the_first_picture(network: str, encoded: bytes) -> None:
    report, _ = measured(job(network), {"numpy": Behaviour(0.25)})
    row = {row.engine: row for row in report.loads}["numpy"]
    assert row.parts == {"read": 0.25, "compile": 0.5}
    assert row.file_bytes == len(encoded)
    assert row.ready is not None
    assert row.first_picture is not None
    assert (row.ready.median_s, row.ready.runs, row.first_picture.median_s) == (0.75, 3, 7.0)


def test_streams_are_decoded_by_the_first_of_our_own_engines(network: str) -> None:
    report, troupe = measured(job(network, threads=(1, 2)), {})
    assert troupe.turns(Streams) == ["numpy"] * 6
    assert [(row.network, row.threads, row.problem) for row in report.decoders] == [(network, 1, ""), (network, 2, "")]
    assert all(row.symbols > 0 and row.timing is not None and row.timing.runs >= 3 for row in report.decoders)
    report, _ = measured(job(network), {"numpy": Behaviour(dies_at=Streams)})
    (row,) = report.decoders
    assert (row.timing, row.problem) == (None, "its process ended with status -11")


def test_a_run_of_peers_alone_decodes_nothing(network: str) -> None:
    report, troupe = measured(job(network, own=()), {})
    assert (report.decoders, troupe.turns(Streams)) == ((), [])


def test_absent_engines_are_named_in_the_report(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "find_spec", lambda name: None if name == "openvino" else ModuleSpec(name, None))
    report, _ = measured(job(network), {})
    assert report.conditions.left_out == {"openvino": "needs openvino, which is not installed"}
    assert set(by_engine(report)) == {"numpy", "onnxruntime"}


def test_it_says_what_it_measures(network: str) -> None:
    said: list[str] = []
    measure(job(network, threads=(1, 2)), said.append, Troupe().start)
    assert said == [
        f"{network}: 1 thread, batch 2",
        f"{network}: 1 thread, loading",
        f"{network}: 2 threads, batch 2",
        f"{network}: 2 threads, loading",
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"networks": ()}, "networks: none named, must be one at least"),
        ({"networks": ("a", "b", "a")}, 'network "a": named twice, must be once'),
        ({"batches": (1, 0)}, "batch 0, must be in 1..1024"),
        ({"batches": ()}, "batch: none named, must be one at least"),
        ({"batches": (4, 4)}, "batch 4: named twice, must be once"),
        ({"threads": (1025,)}, "threads 1025, must be in 1..1024"),
        ({"seed": -1}, "seed -1, must be in 0..4294967295"),
        ({"peers": ("tflite",)}, 'peer "tflite": must be one of torch, torch-compile, onnxruntime, openvino'),
        ({"own": ("numpy", "numpy")}, 'engine "numpy": named twice, must be once'),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        Job(**({"networks": ("a",)} | fields))  # type: ignore[arg-type]
    assert str(caught.value) == message
