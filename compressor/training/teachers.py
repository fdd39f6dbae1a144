"""Other networks as the teacher of a distillation, one or several (Hinton et al. 2015, sections 2 and 3)."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compressor.errors import CompressorError
from compressor.networks.card import NetworkCard
from compressor.training.layout import with_layout
from model_store.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A trained network that teaches another.

    Attributes:
        source: the file it came from, for the record.
        sha256: of that file.
    """

    network: nn.Module
    card: NetworkCard
    source: str
    sha256: str

    def check(self, student: NetworkCard) -> None:
        """Raise CompressorError where it cannot see the student's pictures or knows other classes."""
        if self.card.class_names != student.class_names:
            raise CompressorError(
                f"teacher {self.source}: knows the classes {self.card.class_names}, must be {student.class_names}"
            )
        own, asked = self.card.preprocessing.input_shape, student.preprocessing.input_shape
        if own != asked:
            raise CompressorError(f"teacher {self.source}: takes pictures of {own}, must be {asked}")

    def provenance(self) -> dict[str, str]:
        return {"file": self.source, "sha256": self.sha256}


class Ensemble(nn.Module):
    """Several teachers as one, whose logits are the mean of theirs: the geometric mean of what they predict.

    Takes pictures as the student does, and shows each teacher them as it was trained to see them.
    """

    def __init__(self, teachers: Sequence[Teacher], preprocessing: Preprocessing) -> None:
        super().__init__()
        self.members = nn.ModuleList(_Member(one.network, one.card.preprocessing, preprocessing) for one in teachers)

    def forward(self, images: Tensor) -> Tensor:
        logits = [member(images).float() for member in self.members]
        return torch.stack(logits).mean(0)


class _Member(nn.Module):
    """A network behind the change from the student's mean and standard deviation to its own."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, own: Preprocessing, given: Preprocessing) -> None:
        super().__init__()
        self.network = with_layout(network, torch.channels_last)
        own_mean, own_std, mean, std = (
            torch.tensor(values, dtype=torch.float64) for values in (own.mean, own.std, given.mean, given.std)
        )
        self.same = dataclasses.astuple(own) == dataclasses.astuple(given)
        self.register_buffer("scale", (std / own_std).float()[:, None, None])
        self.register_buffer("shift", ((mean - own_mean) / own_std).float()[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        seen = images if self.same else images * self.scale + self.shift
        logits: Tensor = self.network(seen)
        return logits
