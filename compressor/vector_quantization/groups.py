"""Which vector has which codewords, and the space of weights that this leaves: linear, so projections are exact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compressor.errors import CheckpointError
from compressor.training.files import load_tensors, save_tensors


@dataclass(frozen=True, slots=True, eq=False)
class VectorGroup:
    """Layers that share the codebooks of all stages.

    Attributes:
        length: elements of a vector.
        layers: names of their weights.
        alive: for each layer bool [vectors], False where a vector is all zero and stays so.
        codes: int64 [stages, vectors that are alive], of one layer after the other.
        codewords: how many each stage has.
        inverse: the pseudo-inverse of how often each two codewords meet; with several stages a constant may go from
            one to another, so there is no inverse.
    """

    length: int
    layers: tuple[str, ...]
    alive: tuple[Tensor, ...]
    codes: Tensor
    codewords: int
    inverse: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inverse", _pseudo_inverse(self.codes, self.codewords))

    def vectors(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The vectors that are alive, float64 [vectors, length]."""
        parts = [
            weights[name].detach().reshape(-1, self.length)[alive]
            for name, alive in zip(self.layers, self.alive, strict=True)
        ]
        return torch.cat(parts).double()

    def write(self, weights: Mapping[str, Tensor], vectors: Tensor) -> None:
        """Put vectors back in place; the others become zero."""
        counts = [int(alive.sum()) for alive in self.alive]
        for name, alive, part in zip(self.layers, self.alive, vectors.split(counts), strict=True):
            weight = weights[name]
            rows = torch.zeros(len(alive), self.length, dtype=weight.dtype, device=weight.device)
            rows[alive] = part.to(weight.dtype)
            weight.detach().copy_(rows.reshape(weight.shape))

    def fit(self, vectors: Tensor) -> Tensor:
        """The codewords float64 [stages, codewords, length] whose sums are nearest to the vectors, by least squares."""
        stages, count = len(self.codes), self.codewords
        sums = torch.stack([_sums(vectors, codes, count) for codes in self.codes]).reshape(stages * count, -1)
        return (self.inverse @ sums).reshape(stages, count, self.length)

    def sums(self, codewords: Tensor) -> Tensor:
        """The vectors that codewords [stages, codewords, length] make."""
        return torch.stack([book[codes] for book, codes in zip(codewords, self.codes, strict=True)]).sum(0)

    def project(self, tensors: Mapping[str, Tensor]) -> None:
        """Bring weights, or their gradients, to the nearest ones that codewords make, in place."""
        self.write(tensors, self.sums(self.fit(self.vectors(tensors))))


def _pseudo_inverse(codes: Tensor, count: int) -> Tensor:
    numbers = codes + count * torch.arange(len(codes), device=codes.device)[:, None]
    total = count * len(codes)
    meetings = torch.zeros(total * total, dtype=torch.float64, device=codes.device)
    for first in numbers:
        for second in numbers:
            meetings += torch.bincount(first * total + second, minlength=total * total)
    matrix = meetings.reshape(total, total)
    if len(codes) == 1:
        counts = matrix.diagonal()
        return torch.diag(torch.where(counts > 0, 1 / counts.clamp_min(1), 0.0))
    return torch.linalg.pinv(matrix, hermitian=True)


def _sums(vectors: Tensor, codes: Tensor, count: int) -> Tensor:
    """float64 [codewords, length]; bincount adds in a fixed order on the CPU, so that a resumed run repeats itself."""
    return torch.stack([torch.bincount(codes, weights=column, minlength=count) for column in vectors.T], 1)


@dataclass(frozen=True, slots=True, eq=False)
class VectorAssignment:
    """All groups of a network."""

    groups: tuple[VectorGroup, ...]

    @property
    def layers(self) -> frozenset[str]:
        """Names of the weights that consist of codewords."""
        return frozenset(name for group in self.groups for name in group.layers)

    def save(self, path: Path) -> None:
        """Write it atomically, for a run that goes on later."""
        tensors: dict[str, Tensor] = {}
        described: list[dict[str, Any]] = []
        for number, group in enumerate(self.groups):
            described.append({"length": group.length, "layers": group.layers, "codewords": group.codewords})
            tensors[f"{number}.codes"] = group.codes
            tensors |= {f"{number}.alive.{index}": alive.to(torch.uint8) for index, alive in enumerate(group.alive)}
        save_tensors(path, tensors, {"groups": described})

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "VectorAssignment":
        """Read what `save` wrote.

        Raises:
            CheckpointError: the file is missing or something else.
        """
        tensors, metadata = load_tensors(path)
        try:
            groups = [_group(number, described, tensors, device) for number, described in enumerate(metadata["groups"])]
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: not an assignment of codewords ({error!r})") from error
        return cls(tuple(groups))


def _group(
    number: int, described: Mapping[str, Any], tensors: Mapping[str, Tensor], device: torch.device
) -> VectorGroup:
    layers: Sequence[str] = described["layers"]
    alive = tuple(tensors[f"{number}.alive.{index}"].bool().to(device) for index in range(len(layers)))
    codes = tensors[f"{number}.codes"].to(device)
    return VectorGroup(described["length"], tuple(layers), alive, codes, described["codewords"])
