import json
import subprocess
import sys
from pathlib import Path

import pytest

from service.__main__ import main
from service.bench import command
from service.bench.catalog import CUDA_OWN, CUDA_PEERS, PEERS
from service.bench.job import Job
from service.bench.page import render_page
from service.bench.report import load_report, save_report
from service.errors import BenchError
from tests.service.bench.reports import example_report


@pytest.fixture
def network(tmp_path: Path, encoded: bytes) -> str:
    path = tmp_path / "small.csrve"
    path.write_bytes(encoded)
    return str(path)


def quick(network: str) -> list[str]:
    """The numpy engine alone, and as little of it as there is."""
    return [network, "--engines", "numpy", "--against", "", "--threads", "1", "--rounds", "1", "--turn-s", "0.001"]


def test_it_measures_prints_tables_and_saves_what_it_found(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.json"
    arguments = ["bench", *quick(network), "--batch", "1,3", "--seed", "5", "--json", str(path)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [f"{network}: 1 thread, {what}" for what in ("batch 1", "batch 3", "loading")]
    report = load_report(path)
    assert [(row.engine, row.batch, row.problem) for row in report.rows] == [("numpy", 1, ""), ("numpy", 3, "")]
    assert report.conditions.command == " ".join(["python -m service", *arguments]).replace(
        "--against ", "--against ''"
    )
    assert report.conditions.seed == 5
    assert f"\n{network}\n\nengine  threads  batch" in out


def test_a_saved_run_is_printed_as_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_report(example_report(), tmp_path / "found.json")
    assert main(["bench", "--render", str(tmp_path / "found.json")]) == 0
    assert capsys.readouterr().out == render_page(example_report())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "networks: none named, must be one at least"),
        (["missing.csrve", "--engines", "numpy"], '"missing.csrve": No such file or directory'),
        (["a", "--batch", "0"], "batch 0, must be in 1..1024"),
        (["a", "--batch", "1,x"], 'argument --batch: "1,x", must be whole numbers with commas between'),
        (["a", "--threads", "1,1"], "threads 1: named twice, must be once"),
        (["a", "--rounds", "0"], "rounds 0, must be in 1..1000"),
        (["a", "--turn-s", "-1"], "turn_s -1.0, must be in 0.001..600.0"),
        (["a", "--against", "torch,tf"], 'peer "tf": must be one of torch, torch-compile, onnxruntime, openvino'),
        (
            ["a", "--engines", "fast"],
            'engine "fast": must be one of native, native-avx512, native-avx2, native-neon, native-plain, numpy',
        ),
        (
            ["a", "--engines", "cuda"],
            'engine "cuda": must be one of native, native-avx512, native-avx2, native-neon, native-plain, numpy',
        ),
        (["a", "--device", "tpu"], "argument --device: invalid choice: 'tpu' (choose from 'cpu', 'cuda')"),
        (["a", "--wrong"], "unrecognized arguments: --wrong"),
        (["a", "--json", "missing/found.json"], '"missing/found.json": must be a file in a folder that exists'),
        (["a", "--json", "."], '".": must be a file in a folder that exists'),
        (["--render", "missing.json"], '"missing.json": No such file or directory'),
        (["a", "--render", "found.json"], "--render prints a saved run, and takes no networks and no --json"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 2
    assert capsys.readouterr().err == f"csrve: {message}\n"


def test_with_a_gpu_its_engines_and_peers_are_measured_unless_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []

    def note(job: Job, say: object) -> None:
        asked.append((job.device, job.own, job.peers))
        raise BenchError("noted")

    monkeypatch.setattr(command, "measure", note)
    for arguments in ([], ["--device", "cuda"], ["--device", "cuda", "--engines", "native,cuda", "--against", ""]):
        assert main(["bench", "a", *arguments]) == 2
    assert asked == [
        ("cpu", ("native", "numpy"), tuple(PEERS)),
        ("cuda", tuple(CUDA_OWN), tuple(CUDA_PEERS)),
        ("cuda", ("native", "cuda"), ()),
    ]


def test_help_names_every_peer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", "--help"])
    assert caught.value.code == 0
    out = "".join(capsys.readouterr().out.split())  # lines break within names
    for name in (*PEERS, *CUDA_PEERS, *CUDA_OWN):
        assert name in out


def test_without_bench_it_serves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "csrve: store missing: give --store DIR or CSRVE_STORE\n"


def test_the_command_runs_with_the_engines_in_processes_of_their_own(network: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service", "bench", *quick(network), "--batch", "2", "--json", "found.json"]
    environment_root = str(Path(__file__).parents[3])
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": environment_root},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "numpy         1      2" in done.stdout
    assert json.loads((tmp_path / "found.json").read_text())["rows"][0]["problem"] == ""
