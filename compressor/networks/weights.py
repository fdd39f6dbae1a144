"""Load weights into a network: safetensors, or .pth by `weights_only`, under the names people publish them with."""

import hashlib
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compressor.errors import CheckpointError
from compressor.training.files import load_tensors

NESTED_UNDER = ("state_dict_ema", "model_ema", "ema", "state_dict", "model_state_dict", "model", "net", "network")
MAX_NESTING = 8
PREFIXES = ("module.", "_orig_mod.", "average.", "ema_model.", "model.", "net.", "network.", "backbone.")
RENAMED = ((re.compile(r"^fc\."), "linear."), (re.compile(r"\.downsample\."), ".shortcut."))  # torchvision -> ours
OPTIONAL = ("num_batches_tracked", "n_averaged")  # counters that inference never reads
NAMES_IN_MESSAGE = 5


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors of a weights file and our metadata ({} where another program wrote it).

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than tensors and plain containers.
    """
    if path.suffix == ".safetensors":
        return load_tensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path}: not readable as plain tensors ({reason})") from error
    return _flat_state(content, path), {}


def _flat_state(content: object, path: Path) -> dict[str, Tensor]:
    """The innermost dictionary of tensors, whatever it is nested under."""
    for _ in range(MAX_NESTING):  # a damaged file may hold a dictionary that holds itself
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in NESTED_UNDER if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
            if tensors:
                return tensors
            break
        content = inner
    raise CheckpointError(f"{path}: holds no dictionary of tensors, must hold a state_dict")


def apply_weights(network: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy `weights` into every parameter and buffer of the network, in the network's precision.

    Args:
        source: what the weights came from, for messages.

    Raises:
        CheckpointError: names missing, unexpected or of another shape, or numbers that are not finite.
    """
    expected = {name: value for name, value in network.state_dict().items() if not name.endswith(OPTIONAL)}
    given = _match_names(weights, set(expected))
    _check(expected, given, source)
    network.load_state_dict({name: value.to(expected[name].dtype) for name, value in given.items()}, strict=False)


def _match_names(weights: Mapping[str, Tensor], expected: set[str]) -> dict[str, Tensor]:
    """The renaming of the file's names that hits most of the expected ones; the plainest where several do."""
    candidates = [{name: value for name, value in weights.items() if not name.endswith(OPTIONAL)}]
    while (shorter := _strip_prefix(candidates[-1])) is not None:
        candidates.append(shorter)
    candidates += [_rename(candidate) for candidate in candidates]
    return max(candidates, key=lambda candidate: len(expected & candidate.keys()))


def _strip_prefix(weights: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Without the first prefix found; what does not carry it (an optimiser's state, say) is left out."""
    for prefix in PREFIXES:
        stripped = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        if stripped:
            return stripped
    return None


def _rename(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in weights.items():
        for pattern, replacement in RENAMED:
            name = pattern.sub(replacement, name)
        renamed[name] = value
    return renamed


def _check(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], source: str) -> None:
    shapes = [
        f"{name} {tuple(given[name].shape)}, must be {tuple(expected[name].shape)}"
        for name in expected
        if name in given and given[name].shape != expected[name].shape
    ]
    problems = [
        _problem("missing", [name for name in expected if name not in given]),
        _problem("unexpected", [name for name in given if name not in expected]),
        _problem("of another shape", shapes),
        _problem("not finite", [name for name, value in given.items() if not value.isfinite().all()]),
    ]
    if any(problems):
        raise CheckpointError(f"{source}: does not fit the network; " + "; ".join(filter(None, problems)))


def _problem(kind: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMES_IN_MESSAGE} more" if len(names) > NAMES_IN_MESSAGE else ""
    return f"{kind}: {', '.join(names[:NAMES_IN_MESSAGE])}{more}"


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over names and values of a network's tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
