"""The hyper-parameters of product and residual quantization."""

from dataclasses import dataclass

from compressor.errors import RecipeError
from compressor.layer_rules import LayerRules, check_rules
from compressor.sharing.recipe import CODEBOOKS
from model_store.limits import MAX_ALPHABET, MAX_VECTOR_LENGTH, MAX_VECTOR_STAGES

METHODS = ("pq", "rq")
KERNEL = 9  # elements of a vector where no length is given: one 3x3 kernel
ENDS_KEPT: LayerRules = (("first", 0), ("last", 0), ("*", 64))


@dataclass(frozen=True, slots=True)
class VectorRecipe:
    """How vectors of weights come to share codewords.

    Attributes:
        method: `pq`, one codeword a vector (product quantization, Gong et al. 2014), or `rq`, the sum of `stages`
            codewords (residual quantization, the same).
        length: elements of a vector in each layer, such as 9 for 3x3 kernels; it divides a layer's inputs times taps.
            None: `KERNEL` in the layers where that does; the others share values as usual.
        codewords: of each stage's codebook; 0 for layers that are not quantized so, and share values as usual.
        stages: 1 for `pq`, 2 or more for `rq`.
        codebooks: `layer`, one (a stage) for each, or `network`, one for all layers whose vectors are as long.
    """

    method: str = "pq"
    length: LayerRules | None = None
    codewords: LayerRules = ENDS_KEPT
    stages: int = 1
    codebooks: str = "layer"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise RecipeError(f"vector quantization {self.method!r}, must be one of {', '.join(METHODS)}")
        if self.length is not None:
            check_rules("length", self.length, 1, MAX_VECTOR_LENGTH)
        check_rules("codewords", self.codewords, 0, MAX_ALPHABET - 1)  # one is kept for vectors that are all zero
        for name, rules in (("length", self.length or ()), ("codewords", self.codewords)):
            if any(value != int(value) for _, value in rules):
                raise RecipeError(f"{name}: {rules}, must be whole numbers")
        low, high = (1, 1) if self.method == "pq" else (2, MAX_VECTOR_STAGES)
        if not low <= self.stages <= high:
            raise RecipeError(f"stages = {self.stages}, must be in {low}..{high} for {self.method}")
        if self.codebooks not in CODEBOOKS:
            raise RecipeError(f"codebooks {self.codebooks!r}, must be one of {', '.join(CODEBOOKS)}")
        if self.codebooks == "network" and len({count for _, count in self.codewords if count}) > 1:
            raise RecipeError(f"codewords: {self.codewords}, must be 0 or one number for codebooks of the network")
