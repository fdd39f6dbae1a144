import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from compressor.errors import CheckpointError
from compressor.training.files import METADATA_KEY, load_tensors, save_tensors, write_text

METADATA = {"epoch": 3, "history": [{"loss": 0.1, "accuracy": 1 / 3}], "none": None}


def test_tensors_and_metadata_survive_a_file(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "run.safetensors"
    tensors = {
        "weights": torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        "strided": torch.arange(12.0).view(3, 4).t(),
        "trained": nn.Parameter(torch.randn(3)),
        "counter": torch.tensor(7),
        "mask": torch.tensor([0, 1], dtype=torch.uint8),
    }
    save_tensors(path, tensors, METADATA)
    loaded, metadata = load_tensors(path)
    assert metadata == METADATA
    assert loaded.keys() == tensors.keys()
    for name, value in tensors.items():
        assert loaded[name].dtype == value.dtype
        assert torch.equal(loaded[name], value)


def test_tied_weights_are_written_under_both_names(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].weight = network[0].weight
    save_tensors(tmp_path / "tied.safetensors", dict(network.state_dict()), {})
    loaded, _ = load_tensors(tmp_path / "tied.safetensors")
    assert torch.equal(loaded["0.weight"], loaded["1.weight"])
    assert torch.equal(loaded["0.weight"], network.get_parameter("0.weight"))


def test_a_file_of_another_program_has_no_metadata(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}):
        save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata=metadata)
        assert load_tensors(tmp_path / "a.safetensors")[1] == {}


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "run.safetensors"
    save_tensors(path, {"a": torch.zeros(2)}, {"epoch": 1})
    with monkeypatch.context() as patch:
        patch.setattr(os if failing == "fsync" else Path, failing, refuse)
        with pytest.raises(OSError, match="No space left on device"):
            save_tensors(path, {"a": torch.ones(2)}, {"epoch": 2})
    tensors, metadata = load_tensors(path)
    assert tensors["a"].tolist() == [0, 0]
    assert metadata == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_written_whole_over_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"
    write_text(path, "a longer first text\n")
    write_text(path, "süß\n")
    assert path.read_bytes() == "süß\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"short", bytes(100), b"\xff" * 100])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"\A{path}: not a readable safetensors file \("):
        load_tensors(path)


def test_metadata_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"csrve": "{broken"})
    with pytest.raises(CheckpointError, match=rf"\A{path}: not a readable safetensors file \(Expecting property name"):
        load_tensors(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "absent.safetensors"
    with pytest.raises(
        CheckpointError, match=rf"\A{path}: not a readable safetensors file \(No such file or directory"
    ):
        load_tensors(path)


def test_metadata_that_is_no_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.safetensors"
    path.write_bytes(save({"w": torch.zeros(1)}, metadata={METADATA_KEY: "[]"}))

    with pytest.raises(CheckpointError, match="metadata csrve is a list, must be a JSON object"):
        load_tensors(path)
