from pathlib import Path

import pytest

from model_store.bundle import digest_of
from service.bench.inputs import Files, read_network, write_files
from service.errors import BenchError


@pytest.fixture
def bundle_file(tmp_path: Path, encoded: bytes) -> Path:
    path = tmp_path / "small.csrve"
    path.write_bytes(encoded)
    return path


def test_a_network_is_a_bundles_file(bundle_file: Path, encoded: bytes) -> None:
    network = read_network(str(bundle_file), 0)
    assert (network.name, network.data) == (str(bundle_file), encoded)
    assert network.bundle.architecture == "test"


def test_a_network_is_a_synthetic_one_of_that_seed() -> None:
    network = read_network("synthetic:uniform95", 3)
    assert network.bundle.provenance == {"synthetic": "uniform95", "seed": 3}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csrve", '"missing.csrve": No such file or directory'),
        (".", '".": Is a directory'),
        (
            "synthetic:dense",
            'network "synthetic:dense": must be a file or one of synthetic:sparse95, synthetic:uniform95',
        ),
    ],
)
def test_what_is_no_network_is_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchError) as caught:
        read_network(name, 0)
    assert str(caught.value) == message


def test_a_damaged_bundle_is_named(bundle_file: Path, encoded: bytes) -> None:
    bundle_file.write_bytes(encoded[:-40] + bytes(40))
    with pytest.raises(BenchError) as caught:
        read_network(str(bundle_file), 0)
    assert str(caught.value).startswith(f'"{bundle_file}": bundle: its SHA-256 is not that of its bytes')


def test_a_file_larger_than_any_bundle_is_not_read(bundle_file: Path) -> None:
    with bundle_file.open("r+b") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(BenchError) as caught:
        read_network(str(bundle_file), 0)
    assert str(caught.value) == f'"{bundle_file}": 1073741825 bytes, must be <= 1073741824'


def test_files_hold_the_same_network_in_the_formats_that_are_needed(bundle_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    safetensors = pytest.importorskip("safetensors.numpy")
    network = read_network(str(bundle_file), 0)
    files = write_files(network, tmp_path / "all", frozenset({"bundle", "onnx", "safetensors"}))
    assert digest_of(files.path_of("bundle").read_bytes()) == digest_of(network.data)
    assert b"csrve" in files.path_of("onnx").read_bytes()
    dense = safetensors.load(files.path_of("safetensors").read_bytes())
    names = network.bundle.graph.tensor_names()
    assert set(dense) == set(names.values())
    for index, name in names.items():
        assert (dense[name] == network.bundle.tensors[index].to_dense()).all()


def test_formats_that_nobody_reads_are_not_written(bundle_file: Path, tmp_path: Path) -> None:
    files = write_files(read_network(str(bundle_file), 0), tmp_path / "one", frozenset({"bundle"}))
    assert files == Files(tmp_path / "one" / "network.csrve")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["network.csrve"]
