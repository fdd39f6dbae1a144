"""`profile`: published figures of known networks, and what the zeros of a bundle save."""

import argparse
import importlib.util
from pathlib import Path

import pytest
import torch

from compressor.bundling import DenseSize, bundle_of
from compressor.commands import profile
from compressor.commands.profile import profile_network
from compressor.errors import CompressorError
from compressor.sharing.network import share_network
from compressor.sharing.recipe import ShareRecipe
from model_store.bundle import encode_bundle
from tests.compressor.blobs import TINY, TINY_CARD, tiny_network

PUBLISHED = {  # parameters, multiply-accumulates: torchvision's own tables
    "torchvision:alexnet": (61_100_840, 0.714e9),
    "torchvision:squeezenet1_0": (1_248_424, 0.819e9),
    "torchvision:squeezenet1_1": (1_235_496, 0.349e9),
}
PUBLISHED_LARGE = {
    "torchvision:resnet50": (25_557_032, 4.089e9),
    "torchvision:resnet152": (60_192_808, 11.514e9),
    "torchvision:vgg16": (138_357_544, 15.470e9),
    "torchvision:googlenet": (13_004_888, 1.498e9),
    "torchvision:inception_v3": (27_161_264, 5.713e9),
}
WITHOUT_AUXILIARY = {"torchvision:googlenet": 6_624_904, "torchvision:inception_v3": 23_834_568}
needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)


def profiled(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    parser = argparse.ArgumentParser()
    profile.add_arguments(parser)
    profile.run(parser.parse_args(arguments))
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def _no_store_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CSRVE_STORE", raising=False)


def check(name: str, parameters: int, multiply_adds: float) -> None:
    found = profile_network(name)
    assert found.parameters == parameters
    assert found.operations.multiply_adds == pytest.approx(multiply_adds, rel=1e-3)
    assert found.parameters - found.idle_parameters == WITHOUT_AUXILIARY.get(name, parameters)


@needs_torchvision
@pytest.mark.parametrize("name", PUBLISHED)
def test_small_networks_of_torchvision_have_the_published_figures(name: str) -> None:
    check(name, *PUBLISHED[name])


@pytest.mark.slow
@needs_torchvision
@pytest.mark.parametrize("name", PUBLISHED_LARGE)
def test_large_networks_of_torchvision_have_the_published_figures(name: str) -> None:
    check(name, *PUBLISHED_LARGE[name])


def test_lenet_300_is_profiled_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    lines = profiled(capsys, "lenet300")
    assert lines[0].split() == ["one", "picture", *profile.COUNTS]
    assert lines[1].split() == ["lenet300", "266,200", "400", "410", "0", "0", "410", "266,610", "1.066"]
    assert lines[4].split() == ["lenet300", "0.001225", "0.002664", "0.1706", "0.1745", "0.003889"]
    assert lines[6].startswith("Counted for one picture: a multiply-accumulate for every weight")


def test_several_targets_share_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.split()[0] for line in profiled(capsys, "lenet300", TINY)[1:3]] == ["lenet300", TINY]


@pytest.mark.parametrize(("classes", "parameters"), [((), 266_610), (("--classes", "3"), 265_903)])
def test_the_number_of_classes_is_an_option(
    classes: tuple[str, ...], parameters: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profiled(capsys, "lenet300", *classes)[1].split()[7] == f"{parameters:,}"


def test_a_bundle_is_profiled_dense_and_compressed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = tiny_network()
    network.conv2.weight.data[2:] = 0
    share_network(network, ShareRecipe((("*", 4),)), 0)
    bundle = bundle_of(network, TINY_CARD)
    path = tmp_path / "tiny.csrve"
    path.write_bytes(encode_bundle(bundle))
    lines = profiled(capsys, str(path))
    rows = [line.split()[-8:] for line in lines[1:3]]
    assert [line.split()[-9] for line in lines[1:3]] == ["dense", "compressed"]
    assert [row[0] for row in rows] == ["10,392", "5,208"], "three quarters of 6,912 are multiplied by zero"
    assert rows[0][1:6] == rows[1][1:6]
    assert [row[6] for row in rows] == [f"{bundle.parameters:,}", f"{bundle.nonzeros:,}"]
    dense, sparse = (float(line.split()[-2]) for line in lines[5:7])
    assert sparse < dense


def test_a_smaller_networks_parameters_and_bytes_are_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny_network()
    before = DenseSize.of(network)
    network.conv2 = torch.nn.Conv2d(6, 4, 3, padding=1, bias=False)
    network.bn2, network.linear = torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 3)
    share_network(network, ShareRecipe((("*", 4),)), 0)
    path = tmp_path / "smaller.csrve"
    path.write_bytes(encode_bundle(bundle_of(network, TINY_CARD, dense_size=before)))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    line = profiled(capsys, str(path))[1].split()
    assert line[-9] == "structure"
    assert line[-2:] == [f"{parameters:,}", f"{4 * parameters / 1e6:.3f}"]


@pytest.mark.parametrize("target", ["nothing", "weights.safetensors"])
def test_what_is_neither_network_nor_bundle_is_refused(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CompressorError, match=f"^{target}: must be a bundle, module:callable, or one of resnet20, "):
        profiled(capsys, target)
