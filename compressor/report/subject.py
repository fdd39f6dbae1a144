"""What is reported on: a bundle, and the weights of whichever stages its run folder still has."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compressor.experiments.runner import CLAIM
from compressor.networks.weights import load_weights
from compressor.stages import STAGES, RunFolder
from model_store.accounting import account
from model_store.bundle import Bundle, decode_bundle
from model_store.tensors import SharedTensor

DENSE, DECODED = "dense", "decoded"
Weights = Mapping[str, np.ndarray]  # layer -> float32, any shape


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One bundle.

    Attributes:
        name: of the model in the store.
        data: the file.
        stages: stage -> the weights it left, in the order of the pipeline; always has `decoded`, the file's own.
    """

    name: str
    data: bytes
    bundle: Bundle
    stages: Mapping[str, Weights]

    @property
    def accuracies(self) -> dict[str, float]:
        """stage -> accuracy (0..1) on the holdout, as the bundle records it, in the order of the pipeline."""
        recorded = self.bundle.provenance.get("stages")
        if not isinstance(recorded, dict):
            return {}
        known = {name: float(value) for name, value in recorded.items() if isinstance(value, int | float)}
        return dict(sorted(known.items(), key=lambda item: _rank(item[0])))

    @property
    def accuracy(self) -> float | None:
        """Of the decoded file on the test pictures."""
        value = self.bundle.provenance.get("accuracy")
        return float(value) if isinstance(value, int | float) else None

    def shared_layers(self) -> dict[str, SharedTensor]:
        """layer -> its shared weights, in the order of the graph."""
        return {
            name.removesuffix(".weight"): tensor
            for index, name in self.bundle.weights().items()
            if isinstance(tensor := self.bundle.tensors[index], SharedTensor)
        }

    def stream_bytes(self) -> dict[str, tuple[int, int]]:
        """layer -> bytes of its (indices, values) in the file."""
        rows = account(self.data).by_layer()
        return {layer: (rows[layer].get("indices", 0), rows[layer].get("values", 0)) for layer in self.shared_layers()}


def subject_of(name: str, data: bytes, run: Path | None = None, dense: Path | None = None) -> Subject:
    """Decode a bundle and collect the weights that are left of its run.

    Args:
        run: the folder of its run; stages that are not there are left out.
        dense: the weights it came from; by default what an experiment noted in the folder.

    Raises:
        BundleError: it is not a bundle. CompressorError: a checkpoint cannot be read.
    """
    bundle = decode_bundle(data)
    decoded = {
        full.removesuffix(".weight"): bundle.tensors[index].to_dense() for index, full in bundle.weights().items()
    }
    files = _stage_files(run) if run is not None and run.is_dir() else {}
    if dense is not None:
        files[DENSE] = dense
    found = {stage: _layers(load_weights(path)[0], decoded) for stage, path in files.items()}
    ordered = dict(sorted(found.items(), key=lambda item: _rank(item[0])))
    return Subject(name, data, bundle, {**{stage: w for stage, w in ordered.items() if w}, DECODED: decoded})


def _stage_files(run: Path) -> dict[str, Path]:
    files = {
        path.stem: path for path in sorted(run.glob("*.safetensors")) if not path.name.endswith(".train.safetensors")
    }
    noted = RunFolder(run).read(CLAIM).get(DENSE)
    if isinstance(noted, str) and Path(noted).is_file():
        files[DENSE] = Path(noted)
    return files


def _layers(state: Mapping[str, Any], like: Weights) -> dict[str, np.ndarray]:
    """The weights of the layers that the bundle has, where they have its shape."""
    found = {}
    for layer, decoded in like.items():
        tensor = state.get(f"{layer}.weight")
        if tensor is not None and tuple(tensor.shape) == decoded.shape:
            found[layer] = tensor.float().numpy()
    return found


def _rank(stage: str) -> tuple[int, str]:
    ranks = [index for index, name in enumerate(STAGES) if stage.startswith(name)]
    return (ranks[0] if ranks else len(STAGES), stage)
