"""`show`: the rows of known networks, with parameters and multiply-adds."""

import argparse
from pathlib import Path

import pytest

from compressor.bundling import bundle_of
from compressor.commands import show
from compressor.commands.show import HEADINGS, layer_rows
from compressor.errors import CompressorError
from compressor.networks import NETWORKS
from compressor.sharing.network import share_network
from compressor.sharing.recipe import ShareRecipe
from model_store.bundle import encode_bundle
from tests.compressor.blobs import TINY, TINY_CARD, tiny_network


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    parser = argparse.ArgumentParser()
    show.add_arguments(parser)
    show.run(parser.parse_args(arguments))
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def _no_store_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CSRVE_STORE", raising=False)


def test_lenet_300_is_shown_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "lenet300") == [
        "layer  operator  weights  output  parameters  non-zero  multiply-adds  of non-zeros",
        "ip1    Gemm      300x784     300     235,500   235,500        235,200       235,200",
        "ip2    Gemm      100x300     100      30,100    30,100         30,000        30,000",
        "ip3    Gemm       10x100      10       1,010     1,010          1,000         1,000",
        "total                                266,610   266,610        266,200       266,200",
    ]


def test_the_number_of_classes_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "lenet300", "--classes", "3")[3].split()[:4] == ["ip3", "Gemm", "3x100", "3"]


def test_a_callable_of_ones_own_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, TINY, "--classes", "3")
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["conv1"] == ["Conv", "6x1x3x3", "6x8x8", "54", "54", "3,456", "3,456"]
    assert rows["conv2"] == ["Conv", "8x6x3x3", "8x4x4", "432", "432", "6,912", "6,912"]
    assert rows["linear"] == ["Gemm", "3x8", "3", "27", "27", "24", "24"]
    assert rows["total"][2:] == ["10,392", "10,392"]


def test_a_bundles_zeros_are_told_from_its_parameters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = tiny_network()
    network.conv2.weight.data[2:] = 0
    network.linear.bias.data.fill_(0.5)
    share_network(network, ShareRecipe((("*", 4),)), 0)
    bundle = bundle_of(network, TINY_CARD)
    path = tmp_path / "tiny.csrve"
    path.write_bytes(encode_bundle(bundle))
    rows = {line.split()[0]: line.split()[1:] for line in shown(capsys, str(path))}
    assert rows["conv2"] == ["Conv", "8x6x3x3", "8x4x4", "432", "108", "6,912", "1,728"]
    assert rows["linear"] == ["Gemm", "3x8", "3", "27", "27", "24", "24"]
    nonzeros = [tensor.nonzeros for tensor in bundle.tensors]
    found = layer_rows(bundle.graph, (1, 8, 8), [tensor.shape for tensor in bundle.tensors], nonzeros)
    assert sum(row.nonzeros for row in found) == sum(nonzeros)


def test_a_bundle_in_the_working_folder_is_shown_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny_network()
    share_network(network, ShareRecipe((("*", 4),)), 0)
    (tmp_path / "tiny.csrve").write_bytes(encode_bundle(bundle_of(network, TINY_CARD)))
    monkeypatch.chdir(tmp_path)
    lines = shown(capsys, "tiny.csrve")
    assert lines[0].split()[0] == HEADINGS[0]
    assert [line.split()[0] for line in lines].count("conv1") == 1


@pytest.mark.parametrize("target", ["nothing", "weights.safetensors", "folder/weights.pth"])
def test_what_is_neither_network_nor_bundle_is_refused(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CompressorError) as caught:
        shown(capsys, target)
    assert str(caught.value) == f"{target}: must be a bundle, module:callable, or one of {', '.join(NETWORKS)}"
