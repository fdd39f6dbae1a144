"""The hyper-parameters of quantization to two or three values."""

from dataclasses import dataclass

from compressor.errors import RecipeError
from compressor.layer_rules import LayerRules, check_rules

METHODS = ("binary", "twn", "ttq")
MOST_ZEROS = 0.99
ENDS_KEPT: LayerRules = (("first", 0.0), ("last", 0.0), ("*", 1.0))


@dataclass(frozen=True, slots=True)
class QuantizeRecipe:
    """How a layer's weights come to have two or three values.

    Attributes:
        method: `binary` (one scale and a sign: BinaryConnect with XNOR-Net's scale, Courbariaux et al. 2015, Rastegari
            et al. 2016, taken over a layer), `twn` (one scale, a sign or zero: Li, Zhang and Liu 2016) or `ttq` (a
            trained scale for each sign, or zero: Zhu et al. 2017).
        layers: 1 for those that are quantized, 0 for those that keep their weights; the first and the last keep theirs.
        zeros: twn, ttq: the share of each layer's weights that is zero, instead of the paper's threshold.
        scale_learning_rate: ttq: of the scales, falling to zero over the run; their gradients are means over members.
    """

    method: str = "ttq"
    layers: LayerRules = ENDS_KEPT
    zeros: LayerRules | None = None
    scale_learning_rate: float = 0.05

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise RecipeError(f"quantization method {self.method!r}, must be one of {', '.join(METHODS)}")
        check_rules("layers", self.layers, 0.0, 1.0)
        if any(value not in (0, 1) for _, value in self.layers):
            raise RecipeError(f"layers: {self.layers}, must be 0 or 1 each")
        if self.zeros is not None:
            check_rules("zeros", self.zeros, 0.0, MOST_ZEROS)
            if self.method == "binary":
                raise RecipeError(f"zeros: {self.zeros}, must not be given for binary, which has none")
        if not 0 < self.scale_learning_rate <= 100:
            raise RecipeError(f"scale_learning_rate = {self.scale_learning_rate}, must be in (0, 100]")
