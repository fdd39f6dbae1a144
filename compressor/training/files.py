"""Tensors with metadata in safetensors files, written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from compressor.errors import CheckpointError
from compressor.training.processes import is_first

METADATA_KEY = "csrve"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write atomically: a kill at any moment leaves the old file or the new one."""
    # Copies: safetensors refuses two names of one memory, which tied weights are.
    contiguous = {
        n: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for n, tensor in tensors.items()
    }
    write_bytes(path, save(contiguous, metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True)}))


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, as `save_tensors` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write any file atomically, as `save_tensors` does; of several processes only the first writes."""
    if not is_first():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and our metadata ({} where another program wrote the file).

    Raises:
        CheckpointError: the file is missing or is not safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path}: metadata {METADATA_KEY} is a {type(metadata).__name__}, must be a JSON object")
    return tensors, metadata
