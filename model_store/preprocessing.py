"""What a picture goes through before a network sees it: size, channels, per-channel normalisation."""

from dataclasses import dataclass

from model_store.errors import MalformedBundle
from model_store.limits import MAX_INPUT_CHANNELS, MAX_INPUT_SIDE
from model_store.wire import MAX_FLOAT32, MIN_FLOAT32


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Resize to `height` x `width`, scale bytes to [0, 1], subtract `mean`, divide by `std` (one value a channel).

    Raises:
        MalformedBundle: a side or channel count is outside the limits, or a statistic is not a usable number.
    """

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, side in (("height", self.height), ("width", self.width)):
            if not 1 <= side <= MAX_INPUT_SIDE:
                raise MalformedBundle(f"preprocessing: {name} = {side}, must be in 1..{MAX_INPUT_SIDE}")
        if not 1 <= len(self.mean) <= MAX_INPUT_CHANNELS or len(self.mean) != len(self.std):
            raise MalformedBundle(
                f"preprocessing: {len(self.mean)} means and {len(self.std)} deviations, "
                f"must be equally many, 1..{MAX_INPUT_CHANNELS}"
            )
        for value in self.mean:
            if not abs(value) <= MAX_FLOAT32:
                raise MalformedBundle(f"preprocessing: mean {value}, must be finite in float32")
        for value in self.std:
            if not MIN_FLOAT32 <= value <= MAX_FLOAT32:
                raise MalformedBundle(f"preprocessing: std {value}, must be finite and positive in float32")

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one picture."""
        return (self.channels, self.height, self.width)
