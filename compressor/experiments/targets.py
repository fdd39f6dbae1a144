"""What there is to reach: for each network a size and an accuracy of the decoded file, in three tiers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compressor.errors import RecipeError

TIERS = {"must": "must", "beats": "beats every published row", "stretch": "stretch"}
SLACK = 1e-9  # 0.92 read from JSON is not less than 92%


@dataclass(frozen=True, slots=True)
class Target:
    """At most so many bytes, or at least such a ratio (dense fp32 state_dict over file), at such an accuracy (0..1)."""

    accuracy: float
    size_bytes: int | None = None
    ratio: float | None = None

    def __post_init__(self) -> None:
        if (self.size_bytes is None) == (self.ratio is None):
            raise RecipeError(f"target: {self.size_bytes} bytes, ratio {self.ratio}, must be one of the two")
        if not 0 < self.accuracy <= 1:
            raise RecipeError(f"target: accuracy {self.accuracy}, must be in 0..1")

    def met_by(self, record: Mapping[str, Any]) -> bool:
        """Whether a recorded bundle is small and accurate enough."""
        return self.small_enough(record) and record["accuracy"] >= self.accuracy - SLACK

    def small_enough(self, record: Mapping[str, Any]) -> bool:
        if self.size_bytes is not None:
            return bool(record["bundle_bytes"] <= self.size_bytes)
        return bool(record["dense_bytes"] >= (self.ratio or 0) * record["bundle_bytes"])

    def __str__(self) -> str:
        size = f"{self.size_bytes / 1000:,.0f} kB" if self.size_bytes is not None else f"{self.ratio:g}x"
        return f"{size} at {self.accuracy:.1%}"


@dataclass(frozen=True, slots=True)
class Row:
    """The targets of one network, by tier; not every network has all three.

    Attributes:
        network: a key of `NETWORKS`.
        title: what it is called in tables.
    """

    network: str
    title: str
    targets: Mapping[str, Target]

    def __post_init__(self) -> None:
        if not self.targets or not set(self.targets) <= set(TIERS):
            raise RecipeError(f"row {self.network}: tiers {list(self.targets)}, must be of {list(TIERS)}")


def _row(network: str, title: str, *targets: tuple[int, float]) -> Row:
    """From (kilobytes, accuracy in per cent) of each tier."""
    made = (Target(round(accuracy / 100, 4), kilobytes * 1000) for kilobytes, accuracy in targets)
    return Row(network, title, dict(zip(TIERS, made, strict=False)))


ROWS = (
    Row("lenet300", "LeNet-300-100 (MNIST)", {"must": Target(0.984, ratio=40), "beats": Target(0.984, ratio=80)}),
    Row(
        "lenet5",
        "LeNet-5 (MNIST)",
        {"must": Target(0.992, ratio=39), "beats": Target(0.992, ratio=100), "stretch": Target(0.99, ratio=231)},
    ),
    _row("resnet20", "ResNet-20", (65, 92.0), (45, 91.7), (28, 90.8)),
    _row("resnet56", "ResNet-56", (130, 93.7), (88, 93.3), (55, 92.5)),
    _row("resnet18", "ResNet-18", (600, 95.0), (300, 94.7), (160, 93.8)),
    _row("resnet50", "ResNet-50", (1300, 95.0), (500, 94.8), (350, 93.8)),
    _row("resnet152", "ResNet-152", (2400, 95.0), (1200, 95.0)),
    _row("vgg16", "VGG-16-BN", (600, 93.8), (129, 92.7), (76, 91.0)),
)


def row_of(network: str) -> Row:
    """The row of a network.

    Raises:
        RecipeError: it has none.
    """
    for row in ROWS:
        if row.network == network:
            return row
    raise RecipeError(f"network {network!r}: has no targets, must be one of {', '.join(r.network for r in ROWS)}")
