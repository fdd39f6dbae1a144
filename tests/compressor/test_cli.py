"""`python -m compressor`: the way from pictures to a measured bundle, exit codes, and errors of one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from compressor import cli
from compressor.cli import main
from compressor.commands import show
from compressor.errors import CompressorError
from compressor.training.files import load_tensors
from model_store.bundle import decode_bundle
from model_store.store import Store
from tests.compressor.blobs import TINY, draw, write_pictures

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "train",
    "compress",
    "evaluate",
    "show",
    "profile",
    "sensitivity",
    "experiment",
    "sweep",
    "results",
    "check",
    "report",
)
TRAINING = ("--batch-size", "16", "--learning-rate", "0.05", "--ema-decay", "0.9", "--padding", "1", "--no-flip")
QUIET = ("--quiet", "--threads", "1")


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CSRVE_STORE", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a network trained on them, and a store with its bundle: made by the commands themselves."""
    folder = tmp_path_factory.mktemp("cli")
    write_pictures(folder / "data", draw(120, 1), "train")
    write_pictures(folder / "data", draw(30, 2), "test")
    threads = torch.get_num_threads()
    assert main(train_arguments(folder)) == 0
    assert main(compress_arguments(folder)) == 0
    torch.set_num_threads(threads)
    return folder


def train_arguments(folder: Path, *more: str) -> list[str]:
    given = ["train", "--network", TINY, "--data", str(folder / "data"), "--output", str(folder / "dense")]
    return [*given, "--epochs", "3", "--holdout", "24", *TRAINING, *QUIET, *more]


def compress_arguments(folder: Path, *more: str) -> list[str]:
    given = ["compress", "--weights", str(folder / "dense" / "network.safetensors"), "--data", str(folder / "data")]
    given += ["--store", str(folder / "store"), "--name", "tiny", "--run", str(folder / "small")]
    given += ["--sparsity", "0.6", "--floors", "first=0.5,*=0.1", "--codebook-size", "8", "--refresh-steps", "2"]
    return [*given, "--epochs", "2", "--centroid-epochs", "1", *TRAINING, *QUIET, *more]


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run what must exit with 2, and return its one line."""
    capsys.readouterr()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("compressor: ")
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("compressor: ").rstrip("\n")


def test_help_names_every_command_in_a_fresh_process() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "compressor", "--help"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("usage: python -m compressor [-h] COMMAND ...\n")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ") and line[4] != " "]
    assert tuple(listed) == COMMANDS
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m compressor {command} ")


@pytest.mark.parametrize("arguments", [[], ["quantise"], ["train"], ["show"], ["compress", "--score", "taylor"]])
def test_a_command_line_that_cannot_be_parsed_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m compressor" in capsys.readouterr().err


def test_an_interrupt_exits_with_130_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(show, "run", interrupted)
    assert main(["show", "lenet300"]) == 130
    assert capsys.readouterr().err == "compressor: interrupted; resume with the same command\n"


def test_an_error_of_many_lines_is_shown_in_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(options: object) -> None:
        raise CompressorError("checkpoint: does not fit\n\tsize mismatch\n\tmissing keys")

    monkeypatch.setattr(show, "run", refused)
    assert fails(capsys, "show", "lenet300") == "checkpoint: does not fit size mismatch missing keys"


def test_a_bug_is_not_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(options: object) -> None:
        raise IndexError

    monkeypatch.setattr(show, "run", broken)
    with pytest.raises(IndexError):
        main(["show", "lenet300"])


def test_training_leaves_a_network_that_says_how_it_was_made(folder: Path) -> None:
    tensors, metadata = load_tensors(folder / "dense" / "network.safetensors")
    card = metadata["card"]
    assert tensors["conv1.weight"].shape == (6, 1, 3, 3)
    assert (card["network"], card["class_names"]) == (TINY, ["bar", "dot", "pole"])
    assert card["training"]["recipe"]["holdout"] == 24
    assert 0 <= card["training"]["test_accuracy"] <= 1


def test_the_same_training_command_again_only_reports(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = folder / "dense" / "network.safetensors"
    before = result.stat().st_mtime_ns
    assert main(train_arguments(folder)) == 0
    training = load_tensors(result)[1]["card"]["training"]
    assert capsys.readouterr().out == (
        f"{result}: {TINY}, holdout {training['holdout_accuracy']:.2%}, test {training['test_accuracy']:.2%}\n"
    )
    assert result.stat().st_mtime_ns == before


def test_another_recipe_in_the_same_folder_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, *train_arguments(folder, "--momentum", "0.8"))
    assert line == (
        f"{folder}/dense/train.json: stage 'train' was begun with another recipe, network or data; "
        f"remove {folder}/dense/train.* or give another folder"
    )


def test_another_network_in_the_same_folder_is_refused_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, *train_arguments(folder, "--network", "lenet300"))
    assert line.startswith(f"{folder}/dense/train.json: stage 'train' was begun with another recipe, network or data;")


def test_compressing_publishes_a_bundle_with_the_recipe_as_changed_on_the_command_line(folder: Path) -> None:
    bundle = decode_bundle(Store(folder / "store").read("tiny", 1).data)
    recipe = json.loads((folder / "small" / "record.json").read_text())["recipe"]
    assert recipe["prune"]["floors"] == [["first", 0.5], ["*", 0.1]]
    assert recipe["share"]["codebook_sizes"] == [["*", 8]]
    assert [recipe[name]["epochs"] for name in ("retrain", "centroids")] == [2, 1]
    assert [recipe[name]["holdout"] for name in ("retrain", "centroids")] == [24, 24], "what training set aside"
    assert bundle.sparsity == pytest.approx(0.6, abs=1 / 510)
    assert bundle.architecture == TINY


def test_compressing_again_publishes_nothing_and_reports_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(compress_arguments(folder)) == 0
    stored = Store(folder / "store").read("tiny")
    bundle = decode_bundle(stored.data)
    assert capsys.readouterr().out == (
        f"{folder}/store/tiny/1.csrve: test {bundle.provenance['accuracy']:.2%}, {len(stored.data)} bytes, "
        f"{bundle.dense_bytes / len(stored.data):.1f}x smaller than {bundle.dense_bytes}, sparsity 60.0%\n"
    )
    assert Store(folder / "store").versions("tiny") == [1]


def test_a_bundle_is_evaluated_by_file_and_by_name_to_its_published_accuracy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accuracy = decode_bundle(Store(folder / "store").read("tiny").data).provenance["accuracy"]
    file, store = str(folder / "store" / "tiny" / "1.csrve"), ("--store", str(folder / "store"))
    for target, more in ((file, ()), ("tiny", store), ("tiny:1", store)):
        assert main(["evaluate", target, "--data", str(folder / "data"), *more, *QUIET]) == 0
        assert capsys.readouterr().out == f"{target}: {accuracy:.2%} of 30 test pictures\n"


def test_weights_are_evaluated_to_the_accuracy_that_training_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = folder / "dense" / "network.safetensors"
    accuracy = load_tensors(weights)[1]["card"]["training"]["test_accuracy"]
    assert main(["evaluate", str(weights), "--data", str(folder / "data"), *QUIET]) == 0
    assert capsys.readouterr().out == f"{weights}: {accuracy:.2%} of 30 test pictures\n"


def test_a_bundle_is_shown_by_file_and_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "store" / "tiny")
    shown = []
    for arguments in (("1.csrve",), ("./1.csrve",), ("tiny:1", "--store", str(folder / "store"))):
        assert main(["show", *arguments]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] == shown[2]
    bundle = decode_bundle((folder / "store" / "tiny" / "1.csrve").read_bytes())
    total = shown[0].splitlines()[-1].split()
    assert total[0] == "total"
    assert int(total[2].replace(",", "")) == sum(tensor.nonzeros for tensor in bundle.tensors)


def test_results_are_made_from_what_compress_recorded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records, readme, page = folder / "records", folder / "README.md", folder / "results.md"
    records.mkdir()
    (records / "tiny.json").write_bytes((folder / "small" / "record.json").read_bytes())
    readme.write_text("<!-- results -->\n<!-- /results -->\n")
    given = ("results", "--records", str(records), "--page", str(page), "--readme", str(readme))
    assert main(given) == 0
    assert capsys.readouterr().out == f"{page} and {readme}: made from {records}\n"
    assert f"| {TINY}, `tiny` | " in readme.read_text()
    assert "python -m compressor" in page.read_text()
    readme.unlink()
    assert "README.md" in fails(capsys, *given)


def without(arguments: list[str], option: str) -> list[str]:
    """The arguments without an option and its value."""
    index = arguments.index(option)
    return arguments[:index] + arguments[index + 2 :]


def test_what_cannot_be_done_exits_with_2_and_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").write_text("in the way")
    data, weights = str(folder / "data"), str(folder / "dense" / "network.safetensors")
    cases: dict[str, list[str]] = {
        "--network: must be given": without(train_arguments(folder), "--network"),
        "--network resnet9: unknown; known are ": train_arguments(folder, "--network", "resnet9"),
        "--data /absent: no such file or folder": train_arguments(folder, "--data", "/absent"),
        "epochs = 0, must be in 1..100000": train_arguments(folder, "--epochs", "0"),
        "--threads 0, must be at least 1": train_arguments(folder, "--threads", "0"),
        "--device warp: ": train_arguments(folder, "--device", "warp"),
        "--mean and --std must be given together": train_arguments(folder, "--mean", "0.5"),
        "model name": compress_arguments(folder, "--name", "../up"),
        f"--run {folder}/file: cannot be made (File exists)": compress_arguments(folder, "--run", str(folder / "file")),
        "rule 'first=high', must be a number or pattern=number": compress_arguments(folder, "--floors", "first=high"),
        "floors: (('first', 0.5),), must end with a rule for '*'": compress_arguments(folder, "--floors", "first=0.5"),
        f"{folder}/small/prune.json: stage 'prune' was begun": compress_arguments(folder, "--sparsity", "0.7"),
        "tiny: to read it from a store give --store": ["evaluate", "tiny", "--data", data],
        "/absent.csrve: cannot be read (No such file or directory)": ["evaluate", "/absent.csrve", "--data", data],
        "nothing: must be a bundle, module:callable, or one of ": ["show", "nothing"],
        f"{weights}: must be a bundle, module:callable, or one of ": ["show", weights],
        "--network absent:thing: cannot be imported (": ["show", "absent:thing"],
        f"{folder}/data: no records (*.json)": ["results", "--records", data],
    }  # fmt: skip
    for expected, arguments in cases.items():
        line = fails(capsys, *arguments)
        assert line.startswith(expected) or (expected == "model name" and "../up" in line), line


@pytest.mark.parametrize("command", ["show", "profile"])
def test_a_callable_that_takes_no_classes_is_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, command, "torch.nn:ReLU")
    assert line.startswith("--network torch.nn:ReLU: cannot be called with classes=10 (")


def test_an_output_that_cannot_be_written_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "in_the_way").write_text("")
    line = fails(capsys, *train_arguments(folder, "--output", str(folder / "in_the_way"), "--epochs", "1"))
    assert "in_the_way" in line


def test_a_store_in_the_environment_is_the_default(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSRVE_STORE", str(folder / "store"))
    assert main(["show", "tiny"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("total ")


def test_the_parser_of_every_command_knows_what_to_run() -> None:
    options: Any = cli._parser().parse_args(["show", "lenet300"])
    assert options.run is show.run
