"""What is measured: a network by name, and the files that each engine loads it from."""

from dataclasses import dataclass
from pathlib import Path

from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.errors import BundleError
from model_store.limits import MAX_BUNDLE_BYTES
from service.bench.synthetic import PROFILES, synthetic_bundle
from service.errors import BenchError

SYNTHETIC = "synthetic:"


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A bundle under test.

    Attributes:
        name: what the command line called it.
        data: the bundle's file.
    """

    name: str
    data: bytes
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Files:
    """One network in every format that an engine reads; None where nobody needs it, or it could not be written."""

    bundle: Path
    onnx: Path | None = None
    safetensors: Path | None = None

    def path_of(self, name: str) -> Path:
        """The file of the format with that name, which must be there."""
        path: Path | None = getattr(self, name)
        assert path is not None
        return path


def read_network(name: str, seed: int) -> Network:
    """A bundle's file, or a synthetic network by its name.

    Args:
        seed: what a synthetic network's weights are drawn from.

    Raises:
        BenchError: there is no such file or network, or the file is not a sound bundle.
    """
    if name.startswith(SYNTHETIC):
        profile = name.removeprefix(SYNTHETIC)
        if profile not in PROFILES:
            known = ", ".join(SYNTHETIC + known for known in PROFILES)
            raise BenchError(f'network "{name}": must be a file or one of {known}')
        data = encode_bundle(synthetic_bundle(profile, seed))
    else:
        data = _read(Path(name))
    try:
        return Network(name, data, decode_bundle(data))
    except BundleError as error:
        raise BenchError(f'"{name}": {error}') from None


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BUNDLE_BYTES:
            raise BenchError(f'"{path}": {path.stat().st_size} bytes, must be <= {MAX_BUNDLE_BYTES}')
        return path.read_bytes()
    except OSError as error:
        raise BenchError(f'"{path}": {error.strerror}') from None


def write_files(network: Network, folder: Path, formats: frozenset[str]) -> Files:
    """The network in a folder of its own: the bundle, and dense as "onnx" and "safetensors" where asked for.

    The dense files hold the weights as they are after decoding, in float32.

    Raises:
        StoreError: it does not fit a format.
        ModuleNotFoundError: the package that writes a format is not installed.
    """
    folder.mkdir()
    files = {"bundle": folder / "network.csrve"}
    files["bundle"].write_bytes(network.data)
    if "onnx" in formats:
        from model_store.export_onnx import export_onnx

        files["onnx"] = folder / "network.onnx"
        files["onnx"].write_bytes(export_onnx(network.bundle))
    if "safetensors" in formats:
        from model_store.export_safetensors import export_safetensors

        files["safetensors"] = folder / "network.safetensors"
        files["safetensors"].write_bytes(export_safetensors(network.bundle))
    return Files(**files)
