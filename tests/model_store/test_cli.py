"""`python -m model_store`: what it prints, what it answers, and that it never shows a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import onnx
import pytest
from safetensors.numpy import load_file

from model_store.bundle import decode_bundle, encode_bundle
from model_store.cli import main
from model_store.encoder import CodingChoice
from model_store.store import Store
from model_store.stream_costs import render_stream_costs, stream_costs
from tests.model_store.sample_bundles import every_operator_bundle, tiny_bundle

DATA = encode_bundle(tiny_bundle())
OTHER = encode_bundle(every_operator_bundle())


@pytest.fixture(autouse=True)
def _no_store_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CSRVE_STORE", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = Store.create(tmp_path / "store")
    store.publish("tiny", DATA)
    store.publish("tiny", OTHER)
    store.publish("other", OTHER, 7)
    return tmp_path / "store"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "tiny.csrve").write_bytes(DATA)
    return tmp_path / "tiny.csrve"


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run what must exit with 2, and return its one line."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("model_store: ")
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("model_store: ").rstrip("\n")


def test_ls_has_a_line_for_each_version(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--store", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["model", "other:7", "tiny:1", "tiny:2"]
    assert lines[2].split()[1:] == ["tiny", "0.8750", "0.6111", "324", str(len(DATA)), f"{324 / len(DATA):.4f}"]


def test_ls_goes_on_after_a_damaged_bundle(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "tiny" / "1.csrve").chmod(0o644)
    (root / "tiny" / "1.csrve").write_bytes(DATA[:-1])
    assert main(["ls", "--store", str(root), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [(entry["name"], entry["version"], "problem" in entry) for entry in entries] == [
        ("other", 7, False),
        ("tiny", 1, True),
        ("tiny", 2, False),
    ]
    assert main(["ls", "--store", str(root)]) == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["tiny:1", "(damaged)", *"-----"]


def test_ls_of_an_empty_store_is_its_heading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split()[0] == "model"


@pytest.mark.parametrize("where", ["file", "name", "name and version"])
def test_show_accounts_for_every_byte(root: Path, file: Path, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    reference = {"file": str(file), "name": "other", "name and version": "tiny:1"}[where]
    data = OTHER if where == "name" else DATA
    assert main(["show", reference, "--store", str(root), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["summary"]["bundle_bytes"] == len(data)
    assert sum(shown["by_kind"].values()) == len(data)
    assert sum(size for sizes in shown["by_layer"].values() for size in sizes.values()) == len(data)


def test_show_prints_the_figures_and_the_byte_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    figures = dict(line.rsplit("  ", 1) for line in lines[: lines.index("")])
    assert {heading.rstrip(): figure for heading, figure in figures.items()} == {
        "architecture": "tiny",
        "parameters of the dense network": "81",
        "non-zeros": str(tiny_bundle().nonzeros),
        "sparsity of the weights": "61.11 %",
        "bytes of the dense network in float32": "324",
        "bytes of this file": str(len(DATA)),
        "dense bytes / file bytes": f"{324 / len(DATA):.2f}",
        "file bits / parameter": f"{8 * len(DATA) / 81:.2f}",
        "accuracy on the test set": "87.50 %",
    }
    table = lines[lines.index("") + 1 :]
    assert [line.split("  ")[0] for line in table] == ["bytes per layer", "(whole file)", "conv", "fc", "total"]
    assert table[-1].split()[-1] == str(len(DATA))
    assert len({len(line) for line in table}) == 1


def test_show_tells_what_streams_cost_when_asked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(file), "--streams"]) == 0
    table = capsys.readouterr().out.split("\n\n")[2]
    assert table == render_stream_costs(stream_costs(DATA)) + "\n"
    assert main(["show", str(file), "--streams", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [entry["size_bytes"] for entry in shown["streams"]] == [cost.size_bytes for cost in stream_costs(DATA)]


def test_recode_keeps_the_network_and_its_provenance(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "recoded.csrve"
    for coder in ("arithmetic", "huffman", "smallest"):
        assert main(["recode", str(file), "--coder", coder, "--output", str(output), "--force"]) == 0
        assert capsys.readouterr().out == f"{output}: {output.stat().st_size} bytes\n"
        assert output.read_bytes() == encode_bundle(tiny_bundle(), get_coder(coder))
        assert decode_bundle(output.read_bytes()).provenance == tiny_bundle().provenance
    assert fails(capsys, "recode", str(file), "--output", str(output)) == (
        f'"{output}": exists, must be new (or give --force)'
    )
    file.write_bytes(DATA[:-1])
    assert "SHA-256" in fails(capsys, "recode", str(file), "--output", str(tmp_path / "new"))


def get_coder(name: str) -> CodingChoice:
    return next(choice for choice in get_args(CodingChoice) if choice == name)


def test_show_says_where_no_accuracy_was_recorded(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "other", "--store", str(root)]) == 0
    assert "accuracy on the test set               not recorded\n" in capsys.readouterr().out


def test_verify_answers_1_where_something_is_wrong(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--store", str(root)]) == 0
    assert capsys.readouterr().out == "other:7: sound\ntiny:1: sound\ntiny:2: sound\n"
    (root / "notes").write_text("mine")
    assert main(["verify", "--store", str(root)]) == 1
    assert "notes: foreign entry, must be a folder with a model's name\n" in capsys.readouterr().out


def test_verify_of_one_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: sound\n"
    file.write_bytes(DATA[:-1])
    assert main(["verify", str(file)]) == 1
    assert capsys.readouterr().out.startswith(f"{file}: ")


def test_publish_makes_the_store_and_rm_takes_away(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(tmp_path / "new" / "store")
    assert main(["publish", str(file), "m", "--store", root]) == 0
    assert main(["publish", str(file), "m", "--store", root]) == 0
    assert main(["publish", str(file), "m", "--store", root, "--version", "9"]) == 0
    assert [line.split(":")[1] for line in capsys.readouterr().out.splitlines()] == ["1", "2", "9"]
    assert main(["rm", "m:2", "--store", root]) == 0
    assert capsys.readouterr().out == "m:2: removed\n"
    assert Store(Path(root)).versions("m") == [1, 9]
    assert fails(capsys, "rm", "m:2", "--store", root) == 'no version 2 of model "m"'
    assert fails(capsys, "rm", "m", "--store", root) == '"m": must name a version to remove, as NAME:VERSION'


def test_the_store_may_come_from_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails(capsys, "ls") == "no store named: give --store DIR, or set CSRVE_STORE"
    monkeypatch.setenv("CSRVE_STORE", str(root))
    assert main(["show", "tiny:1"]) == 0
    assert main(["ls", "--store", str(root / "absent")]) == 2


def test_export_writes_a_file_that_opens(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("onnx", "safetensors"):
        output = tmp_path / f"tiny.{name}"
        assert main(["export", "tiny:1", "--store", str(root), "--format", name, "--output", str(output)]) == 0
        assert capsys.readouterr().out == f"{output}: {output.stat().st_size} bytes\n"
        assert output.stat().st_mode & 0o200
    assert onnx.load(tmp_path / "tiny.onnx").graph.name == "tiny"
    assert set(load_file(tmp_path / "tiny.safetensors")) == {"conv.weight", "conv.bias", "fc.weight", "fc.bias"}


def test_export_replaces_a_file_only_when_told(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    output.write_text("mine")
    arguments = ("export", str(file), "--format", "safetensors", "--output", str(output))
    assert fails(capsys, *arguments) == f'"{output}": exists, must be new (or give --force)'
    assert output.read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert set(load_file(output)) == {"conv.weight", "conv.bias", "fc.weight", "fc.bias"}
    assert sorted(os.listdir(tmp_path)) == ["out", "tiny.csrve"]


def test_export_never_replaces_what_is_no_regular_file(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in (tmp_path / "folder", tmp_path / "link"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        if not place.exists():
            place.symlink_to(file)
        arguments = ("export", str(file), "--format", "safetensors", "--output", str(place), "--force")
        assert fails(capsys, *arguments) == f'cannot replace "{place.name}": not a regular file'
    assert file.read_bytes() == DATA


@pytest.mark.parametrize("output", ["", ".", "..", "/", "absent/out"])
def test_export_refuses_what_is_no_place_for_a_file(
    file: Path, output: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(file.parent)
    fails(capsys, "export", str(file), "--format", "safetensors", "--output", output)
    assert os.listdir(file.parent) == ["tiny.csrve"]


@pytest.mark.parametrize("name", ["onnx", "safetensors"])
def test_without_the_extra_export_says_what_to_install(
    file: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, f"model_store.export_{name}", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Hiding(name), *sys.meta_path])
    message = fails(capsys, "export", str(file), "--format", name, "--output", str(tmp_path / "out"))
    assert message == f"export: the package '{name}' is missing, must be installed: pip install 'csrve[export]'"


class _Hiding:
    """An import hook for which one package does not exist."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=self.package)


def test_what_is_not_there_is_named(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent.csrve"
    assert fails(capsys, "show", str(absent)) == f'"{absent}": No such file or directory'
    assert fails(capsys, "show", "absent", "--store", str(root)) == 'no model "absent"'
    assert fails(capsys, "show", "tiny:3", "--store", str(root)) == 'no version 3 of model "tiny"'
    assert fails(capsys, "show", "tiny:0x", "--store", str(root)).startswith("version '0x': must be a decimal number")
    assert fails(capsys, "show", "tiny:x", "--store", str(root)) == 'no alias "x" of model "tiny"'
    assert fails(capsys, "show", "../tiny", "--store", str(root)).endswith("No such file or directory")
    assert fails(capsys, "show", str(root / "tiny") + "/").endswith("not a regular file")
    assert fails(capsys, "ls", "--store", str(absent)).endswith("must be a folder")


def test_an_alias_names_a_version_until_it_is_moved(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def alias(*arguments: str) -> str:
        assert main(["alias", *arguments, "--store", str(root)]) == 0
        return capsys.readouterr().out

    assert alias("tiny", "stable", "1") == "tiny:stable: version 1\n"
    assert alias("tiny", "next", "2") == "tiny:next: version 2\n"
    assert alias("tiny", "stable") == "tiny:stable: version 1\n"
    assert alias("tiny") == "tiny:next: version 2\ntiny:stable: version 1\n"
    assert main(["show", "tiny:next", "--store", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["bundle_bytes"] == len(OTHER)
    assert alias("tiny", "next", "1") == "tiny:next: version 1\n"
    assert alias("tiny", "next", "--remove") == "tiny:next: removed\n"
    assert alias("tiny") == "tiny:stable: version 1\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny", "next", "9"], 'no version 9 of model "tiny"'),
        (["tiny", "next", "--remove"], 'no alias "next" of model "tiny"'),
        (["nothing"], 'no model "nothing"'),
        (["tiny", "latest", "1"], "alias 'latest': must be 1..32 of [a-z0-9_-], a letter first, and not \"latest\""),
        (["tiny", "x", "v2"], "version 'v2': must be a decimal number from 1, without leading zeros"),
    ],
)
def test_an_alias_that_cannot_be_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert fails(capsys, "alias", *arguments, "--store", str(root)) == message


def test_rm_removes_no_alias(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = '"tiny:stable": must name a version to remove, as NAME:VERSION'
    assert fails(capsys, "rm", "tiny:stable", "--store", str(root)) == message


def test_a_file_may_lie_behind_a_link(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csrve").symlink_to(file)
    assert main(["verify", str(tmp_path / "link.csrve")]) == 0


def test_it_runs_as_a_module_and_survives_a_reader_that_leaves(root: Path) -> None:
    command = f"{sys.executable} -m model_store show other --store {root} --json | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == '{\n  "summa'
    assert done.stderr == ""
