"""The hyper-parameters of weight sharing."""

from dataclasses import dataclass

from compressor.errors import RecipeError
from compressor.layer_rules import LayerRules, check_rules
from compressor.sharing.centroids import GRADIENTS
from compressor.sharing.kmeans import INITIALISATIONS
from model_store.limits import MAX_CODEBOOK_ENTRIES

CODEBOOKS = ("layer", "network")


@dataclass(frozen=True, slots=True)
class ShareRecipe:
    """How weights come to share values.

    Attributes:
        codebook_sizes: the most values of each layer.
        initialisation: of k-means: `linear`, `density` or `forgy`.
        entropy_penalty: squared error, relative to the layer's mean square, that a bit of code may cost; 0: nearest.
        gradient: how a centroid's gradient is formed, see `compressor.sharing.centroids`.
        codebooks: `layer`, one for each, or `network`, one for all layers, fitted to all their weights at once.
    """

    codebook_sizes: LayerRules = (("*", 16),)
    initialisation: str = "linear"
    entropy_penalty: float = 0.0
    gradient: str = "layer-sum"
    codebooks: str = "layer"

    def __post_init__(self) -> None:
        check_rules("codebook_sizes", self.codebook_sizes, 1, MAX_CODEBOOK_ENTRIES)
        if any(size != int(size) for _, size in self.codebook_sizes):
            raise RecipeError(f"codebook_sizes: {self.codebook_sizes}, must be whole numbers")
        if self.initialisation not in INITIALISATIONS:
            raise RecipeError(f"initialisation {self.initialisation!r}, must be one of {', '.join(INITIALISATIONS)}")
        if self.gradient not in GRADIENTS:
            raise RecipeError(f"gradient {self.gradient!r}, must be one of {', '.join(GRADIENTS)}")
        if self.codebooks not in CODEBOOKS:
            raise RecipeError(f"codebooks {self.codebooks!r}, must be one of {', '.join(CODEBOOKS)}")
        if self.codebooks == "network" and len({size for _, size in self.codebook_sizes}) > 1:
            raise RecipeError(f"codebook_sizes: {self.codebook_sizes}, must be one size for one codebook")
        if not 0 <= self.entropy_penalty <= 1:
            raise RecipeError(f"entropy_penalty = {self.entropy_penalty}, must be in 0..1")


@dataclass(frozen=True, slots=True)
class LatentRecipe:
    """Training of shared weights one by one, before that of the centroids.

    Attributes:
        epochs: of it; all else is as when the network was retrained, at full size and without a moving average.
        learning_rate: its peak.
    """

    epochs: int = 10
    learning_rate: float = 0.02

    def __post_init__(self) -> None:
        if self.epochs < 1 or not self.learning_rate > 0:
            raise RecipeError(f"latent: epochs = {self.epochs}, learning_rate = {self.learning_rate}, must be positive")
