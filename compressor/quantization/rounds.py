"""The training in which weights take their two or three values."""

from dataclasses import dataclass

from torch import nn

from compressor.quantization.recipe import QuantizeRecipe
from compressor.quantization.straight_through import StraightThrough
from compressor.training.samples import Samples


@dataclass(frozen=True, slots=True)
class QuantizeRound:
    """One round: all of it is trained straight through."""

    name: str
    recipe: QuantizeRecipe

    def begin(self, network: nn.Module, samples: Samples) -> StraightThrough:
        """Quantize the network, and train it so."""
        return StraightThrough(network, self.recipe)
