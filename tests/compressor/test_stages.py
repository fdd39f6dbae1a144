"""The folder of a run: stages are done once, claimed by their inputs, timed, and never half written."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from compressor.errors import CheckpointError
from compressor.stages import RunFolder, StageResult, fingerprint_of
from compressor.training.files import save_tensors
from tests.compressor.blobs import same_state, tiny_network

INPUTS: dict[str, Any] = {"before": "ab12", "recipe": {"sparsity": 0.5}}


class Work:
    """Sets every weight of a network to a number, and counts how often it was asked to."""

    def __init__(self, network: nn.Module, value: float = 0.25) -> None:
        self.network = network
        self.value = value
        self.checkpoints: list[Path] = []

    @torch.no_grad()
    def __call__(self, checkpoint: Path) -> float:
        self.checkpoints.append(checkpoint)
        for parameter in self.network.parameters():
            parameter.fill_(self.value)
        return 0.875


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_stage_is_done_once_and_then_loaded(tmp_path: Path) -> None:
    first, second = tiny_network(), tiny_network(1)
    work, again = Work(first), Work(second)
    expected = StageResult(0.875, fingerprint_of(INPUTS))
    assert RunFolder(tmp_path).run_stage("prune", INPUTS, first, work) == expected
    assert RunFolder(tmp_path).run_stage("prune", INPUTS, second, again) == expected
    assert work.checkpoints == [tmp_path / "prune.train.safetensors"]
    assert again.checkpoints == []
    assert same_state(first, second)


def test_the_checkpoint_goes_when_the_result_is_there(tmp_path: Path) -> None:
    network = tiny_network()

    def work(checkpoint: Path) -> float:
        save_tensors(checkpoint, dict(network.state_dict()), {})
        return 0.5

    RunFolder(tmp_path).run_stage("share", INPUTS, network, work)
    assert names_in(tmp_path) == {"share.json", "share.safetensors", "minutes.json"}


def test_a_stage_that_was_interrupted_is_begun_again_with_its_checkpoint(tmp_path: Path) -> None:
    network = tiny_network()

    def interrupted(checkpoint: Path) -> float:
        save_tensors(checkpoint, dict(network.state_dict()), {})
        raise KeyboardInterrupt

    folder = RunFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        folder.run_stage("prune", INPUTS, network, interrupted)
    assert names_in(tmp_path) == {"prune.json", "prune.train.safetensors", "minutes.json"}
    work = Work(network)
    assert folder.run_stage("prune", INPUTS, network, work).holdout_accuracy == 0.875
    assert len(work.checkpoints) == 1


def test_other_inputs_are_refused_before_any_work_whether_the_stage_is_done_or_begun(tmp_path: Path) -> None:
    network, work = tiny_network(), Work(tiny_network())
    folder = RunFolder(tmp_path)
    folder.run_stage("prune", INPUTS, network, lambda checkpoint: 0.5)
    (tmp_path / "share.json").write_text(json.dumps({"fingerprint": "of an interrupted stage"}))
    for stage in ("prune", "share"):
        with pytest.raises(CheckpointError) as caught:
            folder.run_stage(stage, INPUTS | {"before": "cd34"}, network, work)
        assert str(caught.value) == (
            f"{tmp_path}/{stage}.json: stage '{stage}' was begun with another recipe, network or data; "
            f"remove {tmp_path}/{stage}.* or give another folder"
        )
    assert work.checkpoints == []


def test_after_removing_a_stages_files_as_the_message_says_it_is_done_anew(tmp_path: Path) -> None:
    network = tiny_network()
    folder = RunFolder(tmp_path)
    folder.run_stage("prune", INPUTS, network, lambda checkpoint: 0.5)
    for path in tmp_path.glob("prune.*"):
        path.unlink()
    assert folder.run_stage("prune", {"other": 1}, network, Work(network)).holdout_accuracy == 0.875


def test_the_fingerprint_is_of_the_content_and_not_of_its_order() -> None:
    assert fingerprint_of({"a": 1, "b": [1, 2]}) == fingerprint_of({"b": (1, 2), "a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2})
    assert fingerprint_of({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_minutes_add_up_over_sessions_also_of_interrupted_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 90.0, 1000.0, 1060.0, 5000.0, 5030.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))

    def interrupted(checkpoint: Path) -> float:
        raise KeyboardInterrupt

    network = tiny_network()
    with pytest.raises(KeyboardInterrupt):
        RunFolder(tmp_path).run_stage("prune", INPUTS, network, interrupted)
    RunFolder(tmp_path).run_stage("prune", INPUTS, network, Work(network))
    RunFolder(tmp_path).run_stage("share", INPUTS, network, Work(network))
    RunFolder(tmp_path).run_stage("share", INPUTS, network, Work(network))  # done: no time
    assert RunFolder(tmp_path).minutes() == {"prune": 2.5, "share": 0.5}


def test_a_file_that_is_not_there_reads_as_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "made" / "anew")
    assert folder.read("record.json") == {}
    assert folder.minutes() == {}


def test_what_is_written_is_read_and_leaves_no_other_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write("record.json", {"b": 1, "a": None})
    assert folder.read("record.json") == {"a": None, "b": 1}
    assert (tmp_path / "record.json").read_text() == '{\n  "a": null,\n  "b": 1\n}\n'
    assert names_in(tmp_path) == {"record.json"}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"3", b"null", b'"text"'])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{tmp_path}/record.json: not readable \\(.+\\)$"):
        RunFolder(tmp_path).read("record.json")


@pytest.mark.parametrize("content", ['{"prune": "long"}', '{"prune": null}'])
def test_damaged_minutes_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "minutes.json").write_text(content)
    with pytest.raises(CheckpointError, match=f"^{tmp_path}/minutes.json: not readable "):
        RunFolder(tmp_path).minutes()


def test_a_damaged_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prune.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=f"^{tmp_path}/prune.safetensors: "):
        RunFolder(tmp_path).run_stage("prune", INPUTS, tiny_network(), lambda checkpoint: 0.5)


def test_a_result_that_another_program_wrote_is_refused(tmp_path: Path) -> None:
    network = tiny_network()
    save_tensors(tmp_path / "prune.safetensors", dict(network.state_dict()), {})
    with pytest.raises(CheckpointError, match=f"^{tmp_path}/prune.safetensors: "):
        RunFolder(tmp_path).run_stage("prune", INPUTS, network, lambda checkpoint: 0.5)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=f"^--run {tmp_path}/file: cannot be made \\(File exists\\)$"):
        RunFolder(tmp_path / "file")
