"""The folder of a run: what each stage was given, where it is, what came out; a killed run goes on from there."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from compressor.errors import CheckpointError
from compressor.networks.weights import apply_weights
from compressor.training.files import load_tensors, save_tensors, write_text
from compressor.training.processes import wait_for_all

BEFORE_SHARING = ("prune", "quantize", "retrain")  # what rounds are called, or begin with
REMOVE = "remove"
STAGES = ("dense", *BEFORE_SHARING, REMOVE, "share", "latent", "centroids", "decoded")


@dataclass(frozen=True, slots=True)
class StageResult:
    """Accuracy (0..1) on the holdout after a stage, and which inputs it had."""

    holdout_accuracy: float
    fingerprint: str


class RunFolder:
    """For every stage: `<stage>.json` its inputs, `<stage>.train.safetensors` its checkpoint, `<stage>.safetensors`
    its result."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"--run {path}: cannot be made ({error.strerror})") from error

    def run_stage(
        self, name: str, inputs: dict[str, Any], network: nn.Module, work: Callable[[Path], float]
    ) -> StageResult:
        """Do a stage's work, or, where it is done already, load its result into the network.

        Args:
            inputs: all that the result depends on, JSON values.
            work: changes the network, and returns the accuracy on the holdout; is given the path of its checkpoint.

        Raises:
            CheckpointError: the folder holds this stage with other inputs.
        """
        fingerprint = fingerprint_of(inputs)
        self.claim(name, fingerprint)
        result, checkpoint = self.path / f"{name}.safetensors", self.path / f"{name}.train.safetensors"
        done = result.exists()
        wait_for_all()  # before the first process goes on and writes it
        if done:
            tensors, metadata = load_tensors(result)
            apply_weights(network, tensors, str(result))
            if "holdout_accuracy" not in metadata:
                raise CheckpointError(f"{result}: not the result of a stage, has no holdout_accuracy")
            return StageResult(float(metadata["holdout_accuracy"]), fingerprint)
        with self.timed(name):
            accuracy = work(checkpoint)
        save_tensors(result, dict(network.state_dict()), {"holdout_accuracy": accuracy})
        checkpoint.unlink(missing_ok=True)
        return StageResult(accuracy, fingerprint)

    def claim(self, name: str, fingerprint: str) -> None:
        """Note what a stage is begun with.

        Raises:
            CheckpointError: the folder holds this stage with other inputs.
        """
        path = self.path / f"{name}.json"
        claimed = self.read(path.name).get("fingerprint", fingerprint)
        if claimed != fingerprint:
            raise CheckpointError(
                f"{path}: stage {name!r} was begun with another recipe, network or data; "
                f"remove {path.with_suffix('')}.* or give another folder"
            )
        self.write(path.name, {"fingerprint": fingerprint})

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add to the stage's minutes, also when interrupted (time before a kill is lost)."""
        start = time.monotonic()
        try:
            yield
        finally:
            minutes = self.minutes()
            minutes[name] = round(minutes.get(name, 0.0) + (time.monotonic() - start) / 60, 2)
            self.write("minutes.json", minutes)

    def minutes(self) -> dict[str, float]:
        """Minutes spent in each stage so far, in this and earlier sessions."""
        try:
            return {name: float(value) for name, value in self.read("minutes.json").items()}
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{self.path / 'minutes.json'}: not readable ({error})") from error

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder; {} where there is none.

        Raises:
            CheckpointError: it is damaged.
        """
        path = self.path / name
        try:
            content = json.loads(path.read_text()) if path.exists() else {}
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: not readable ({error})") from error
        if not isinstance(content, dict):
            raise CheckpointError(f"{path}: not readable ({type(content).__name__}, must be an object)")
        return content

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file of the folder, whole or not at all."""
        write_text(self.path / name, json.dumps(content, indent=2, sort_keys=True) + "\n")


def fingerprint_of(inputs: dict[str, Any]) -> str:
    """SHA-256 of canonical JSON."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
