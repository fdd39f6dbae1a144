"""Pictures of train that a method looks at before it trains."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from compressor.data.images import ImageSet
from compressor.training.evaluation import normalise
from model_store.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Pictures, and how the network is shown them."""

    images: ImageSet
    preprocessing: Preprocessing

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.preprocessing.input_shape

    def batches(self, count: int, size: int) -> Iterator[Tensor]:
        """The first `count` pictures, normalised and unaugmented, float32 [size, channels, height, width] each."""
        for pixels in self.images.pixels[:count].split(size):
            yield normalise(pixels, self.preprocessing)
