import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from compressor.data import load_images
from compressor.errors import CheckpointError
from compressor.networks import build_network
from compressor.networks.weights import apply_weights, load_weights
from compressor.training.evaluation import accuracy_of
from model_store.preprocessing import Preprocessing
from tests.compressor.toys import ToyNet, exactly, perturb_batchnorm, toy_net

DATA = os.environ.get("CSRVE_DATA")


def trained() -> dict[str, Tensor]:
    network = toy_net(seed=5)
    perturb_batchnorm(network)
    return dict(network.state_dict())


def same(network: nn.Module, weights: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.th", "weights.bin"])
def test_weights_are_read_from_a_torch_file(tmp_path: Path, name: str) -> None:
    torch.save(trained(), tmp_path / name)
    weights, metadata = load_weights(tmp_path / name)
    assert metadata == {}
    network = toy_net()
    apply_weights(network, weights, name)
    assert same(network, trained())


def test_weights_are_read_from_safetensors_of_another_program(tmp_path: Path) -> None:
    save_file(trained(), tmp_path / "weights.safetensors", metadata={"format": "pt"})
    weights, metadata = load_weights(tmp_path / "weights.safetensors")
    assert metadata == {}
    network = toy_net()
    apply_weights(network, weights, "weights")
    assert same(network, trained())


@pytest.mark.parametrize(
    "nest",
    [
        lambda state: {"state_dict": state, "epoch": 3, "best_prec1": 91.7},
        lambda state: {"net": state, "acc": 93.0},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"state_dict_ema": state, "state_dict": {name: value + 1 for name, value in state.items()}},
    ],
)
def test_a_nested_state_dict_is_found(tmp_path: Path, nest: Callable[[dict[str, Tensor]], dict[str, Any]]) -> None:
    path = tmp_path / "weights.pth"
    torch.save(nest(trained()), path)
    network = toy_net()
    apply_weights(network, load_weights(path)[0], str(path))
    assert same(network, trained())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.", "backbone.", "net.module."])
def test_prefixes_of_wrappers_are_taken_off(prefix: str) -> None:
    network = toy_net()
    apply_weights(network, {prefix + name: value for name, value in trained().items()}, "weights")
    assert same(network, trained())


def test_of_a_training_checkpoint_the_average_is_used() -> None:
    weights = {f"average.{name}": value for name, value in trained().items()}
    weights |= {f"network.{name}": value for name, value in toy_net(1).state_dict().items()}
    network = toy_net()
    apply_weights(network, weights, "weights")
    assert same(network, trained())


def test_the_names_of_torchvision_are_known() -> None:
    ours = build_network("resnet18", 10)
    theirs = {
        name.replace("linear.", "fc.").replace(".shortcut.", ".downsample."): torch.full_like(value, index % 7)
        for index, (name, value) in enumerate(ours.state_dict().items())
    }
    assert {"fc.weight", "layer2.0.downsample.0.weight"} <= theirs.keys()
    apply_weights(ours, theirs, "weights")
    assert torch.equal(ours.state_dict()["linear.weight"], theirs["fc.weight"])
    assert torch.equal(ours.state_dict()["layer2.0.shortcut.0.weight"], theirs["layer2.0.downsample.0.weight"])


def test_a_network_whose_own_layers_are_called_like_prefixes_keeps_their_names() -> None:
    network = nn.Sequential()
    network.add_module("model", nn.Linear(2, 3))
    network.add_module("fc", nn.Linear(3, 2))
    weights = {name: torch.full_like(value, 2.0) for name, value in network.state_dict().items()}
    apply_weights(network, weights, "weights")
    assert all((value == 2).all() for value in network.state_dict().values())


def test_counters_may_be_missing_and_precisions_may_differ() -> None:
    weights = {name: value.half() for name, value in trained().items() if not name.endswith("num_batches_tracked")}
    network = toy_net()
    apply_weights(network, weights, "weights")
    assert network.conv1.weight.dtype == torch.float32
    assert torch.equal(network.conv1.weight, weights["conv1.weight"].float())


def without(name: str) -> dict[str, Tensor]:
    return {other: value for other, value in trained().items() if other != name}


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        (without("conv2.weight"), "missing: conv2.weight"),
        (trained() | {"conv3.weight": torch.zeros(1)}, "unexpected: conv3.weight"),
        (trained() | {"fc.bias": torch.zeros(4)}, "of another shape: fc.bias (4,), must be (3,)"),
        (trained() | {"fc.bias": torch.tensor([0.0, float("nan"), 0.0])}, "not finite: fc.bias"),
        (
            without("fc.bias") | {"head.bias": torch.zeros(3), "fc.weight": torch.zeros(3, 9)},
            "missing: fc.bias; unexpected: head.bias; of another shape: fc.weight (3, 9), must be (3, 8)",
        ),
        (
            {},
            "missing: conv1.weight, bn1.weight, bn1.bias, bn1.running_mean, bn1.running_var and 7 more",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(weights: dict[str, Tensor], problem: str) -> None:
    with pytest.raises(CheckpointError, match=exactly(f"weights.pth: does not fit the network; {problem}")):
        apply_weights(toy_net(), weights, "weights.pth")


def test_weights_that_do_not_fit_leave_the_network_alone() -> None:
    network = toy_net()
    with pytest.raises(CheckpointError):
        apply_weights(network, without("fc.bias"), "weights")
    assert same(network, dict(toy_net().state_dict()))


RAN: list[str] = []


def run() -> None:
    RAN.append("ran")


class Code:
    """Calls a function where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return (run, ())


class Module:
    """Names a class of ours, which `weights_only` does not know."""


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("content", [Code(), {"state_dict": Code()}, Module()])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, content: object, zipped: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=rf"\A{path}: not readable as plain tensors \("):
        load_weights(path)
    assert RAN == []


def test_the_pickle_with_code_would_run_it_elsewhere(tmp_path: Path) -> None:
    torch.save(Code(), tmp_path / "weights.pth")
    torch.load(tmp_path / "weights.pth", weights_only=False)
    assert RAN == ["ran"]
    RAN.clear()


def test_a_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(ToyNet(), path)
    with pytest.raises(CheckpointError, match=rf"\A{path}: not readable as plain tensors \("):
        load_weights(path)


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04" + bytes(40), pickle.dumps("text", protocol=2)])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"\A{path}: not "):
        load_weights(path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_missing_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    with pytest.raises(CheckpointError, match=rf"\A{path}: not .*No such file or directory"):
        load_weights(path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {"state_dict": {"lr": 0.1}}, torch.zeros(3)])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    message = f"{path}: holds no dictionary of tensors, must hold a state_dict"
    with pytest.raises(CheckpointError, match=exactly(message)):
        load_weights(path)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="CSRVE_DATA names no folder with weights/ and cifar10/")
def test_the_published_resnet20_scores_as_published() -> None:
    root = Path(str(DATA))
    preprocessing = Preprocessing(32, 32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    network = build_network("resnet20", 10)
    path = root / "weights" / "resnet20-12fca82f.th"
    apply_weights(network, load_weights(path)[0], str(path))
    images = load_images(str(root / "cifar10"), "test", preprocessing.input_shape, progress=False)
    assert len(images) == 10_000
    assert accuracy_of(network, images, preprocessing) == pytest.approx(0.9173, abs=1e-9)


def test_a_dictionary_that_holds_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loop.pth"
    content: dict[str, object] = {}
    content["state_dict"] = content
    torch.save(content, path)

    with pytest.raises(CheckpointError, match="holds no dictionary of tensors, must hold a state_dict"):
        load_weights(path)
