"""What a training run is made of: every hyper-parameter, validated, in one frozen value."""

import math
from dataclasses import dataclass, field

from compressor.data.augmentation import Augmentation
from compressor.errors import RecipeError

SCHEDULES = ("one-cycle", "cosine")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, slots=True)
class SmallPhase:
    """Train the first `epochs` epochs on pictures shrunk to `side` pixels (progressive resizing, Howard 2018)."""

    epochs: int
    side: int

    def __post_init__(self) -> None:
        _within("small_phase epochs", self.epochs, 0, 100_000)
        _within("small_phase side", self.side, 1, 4096)


@dataclass(frozen=True, slots=True)
class TrainRecipe:
    """SGD with Nesterov momentum on cross entropy.

    Attributes:
        learning_rate: the peak, reached after `warmup` (a share of all steps), then annealed to zero:
            linearly (`one-cycle`) or along half a cosine (`cosine`).
        weight_decay: on weights of rank 2 and more; BatchNorm and biases have none.
        ema_decay: of the exponential moving average of weights and buffers that is evaluated; 0 turns it off.
        holdout: pictures of train set aside, on which choices are made.
        teacher_share: weight of the distillation term where a teacher is given (Hinton et al. 2015).
    """

    epochs: int = 36
    batch_size: int = 128
    learning_rate: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    schedule: str = "one-cycle"
    warmup: float = 0.15
    ema_decay: float = 0.998
    augmentation: Augmentation = field(default_factory=Augmentation)
    small_phase: SmallPhase | None = None
    holdout: int = 5000
    precision: str = "fp32"
    compile: bool = False
    teacher_share: float = 0.0
    temperature: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        _within("epochs", self.epochs, 1, 100_000)
        _within("batch_size", self.batch_size, 2, 1 << 20)
        _within("learning_rate", self.learning_rate, 1e-12, 100.0)
        _within("momentum", self.momentum, 0.0, 0.9999)
        _within("weight_decay", self.weight_decay, 0.0, 1.0)
        _within("label_smoothing", self.label_smoothing, 0.0, 0.99)
        _within("warmup", self.warmup, 0.0, 0.99)
        _within("ema_decay", self.ema_decay, 0.0, 0.999999)
        _within("holdout", self.holdout, 1, 1 << 40)
        _within("teacher_share", self.teacher_share, 0.0, 1.0)
        _within("temperature", self.temperature, 1e-3, 1e3)
        _within("seed", self.seed, 0, (1 << 31) - 1)
        for name, value, known in (("schedule", self.schedule, SCHEDULES), ("precision", self.precision, PRECISIONS)):
            if value not in known:
                raise RecipeError(f"{name} = {value!r}, must be one of {', '.join(known)}")

    def learning_rate_at(self, progress: float) -> float:
        """The learning rate after `progress` (0..1) of all steps."""
        if progress < self.warmup:
            return self.learning_rate * progress / self.warmup
        rest = (progress - self.warmup) / (1 - self.warmup)
        share = 1 - rest if self.schedule == "one-cycle" else (1 + math.cos(math.pi * rest)) / 2
        return self.learning_rate * share

    def side_at(self, epoch: int) -> int | None:
        """The side to shrink pictures to in this epoch (counted from 0), None for full size."""
        if self.small_phase is not None and epoch < self.small_phase.epochs:
            return self.small_phase.side
        return None


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RecipeError(f"{name} = {value}, must be in {low}..{high}")
