"""Compression recipes: every hyper-parameter of a run in one frozen value, and the named ones."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

from compressor.data.augmentation import Augmentation
from compressor.errors import RecipeError
from compressor.factorization.recipe import FactorizeRecipe
from compressor.networks.card import NetworkCard
from compressor.pruning.iterative import PruningRound, pruning_rounds
from compressor.pruning.recipe import PruneRecipe
from compressor.quantization.recipe import QuantizeRecipe
from compressor.quantization.rounds import QuantizeRound
from compressor.removal.recipe import RemoveRecipe
from compressor.sharing.recipe import LatentRecipe, ShareRecipe
from compressor.structured.recipe import StructuredRecipe
from compressor.structured.rounds import StructuredRound, structured_rounds
from compressor.training.recipe import TrainRecipe
from compressor.vector_quantization.recipe import VectorRecipe
from model_store.encoder import CodingChoice

Round = PruningRound | StructuredRound | QuantizeRound
RETRAIN = TrainRecipe(epochs=30, learning_rate=0.05, warmup=0.05)
CENTROIDS = TrainRecipe(epochs=4, learning_rate=0.005, warmup=0.05, weight_decay=0.0)
SCALE_BITS = (8, 16)
MOST_VIEWS = 1000  # of a picture, that a teacher is asked about beforehand


@dataclass(frozen=True, slots=True)
class CompressRecipe:
    """Factorize where asked to, prune and retrain, remove what is dead where asked to, share, train `latent` weights
    behind the shared ones where asked to, train the centroids, write scale and bias in `scale_bits` and the shared
    weights by `coder`.

    Instead of single weights (`prune`, whose method is then `none`), whole groups of them may go (`structure`), or all
    of a layer take two or three values (`quantize`). Groups may go first and single weights after them, while what
    removal leaves is trained (`prunes_what_is_left`). Sharing may be of single values or of whole `vectors`.

    The teacher of both trainings is the dense network itself; their `teacher_share` says how much it counts. It sees
    every batch, or (`teacher_views`, above 0) so many views of every picture beforehand, between which training draws.
    """

    prune: PruneRecipe = field(default_factory=PruneRecipe)
    retrain: TrainRecipe = RETRAIN
    share: ShareRecipe = field(default_factory=ShareRecipe)
    centroids: TrainRecipe = CENTROIDS
    scale_bits: int = 16
    factorize: FactorizeRecipe | None = None
    structure: StructuredRecipe | None = None
    quantize: QuantizeRecipe | None = None
    remove: RemoveRecipe | None = None
    vectors: VectorRecipe | None = None
    latent: LatentRecipe | None = None
    teacher_views: int = 0
    coder: CodingChoice = "huffman"

    def __post_init__(self) -> None:
        if self.centroids.weight_decay:
            raise RecipeError(f"centroids: weight_decay = {self.centroids.weight_decay}, must be 0")
        if self.vectors and self.quantize:
            raise RecipeError("vectors and quantize: must be one of them alone")
        if self.vectors and self.latent:
            raise RecipeError("vectors and latent: must be one of them alone")
        if self.quantize and self.remove and self.remove.epochs:
            raise RecipeError(f"quantize and remove: epochs = {self.remove.epochs}, must be 0: they train every value")
        if self.scale_bits not in SCALE_BITS:
            raise RecipeError(f"scale_bits = {self.scale_bits}, must be one of {', '.join(map(str, SCALE_BITS))}")
        if self.coder not in get_args(CodingChoice):
            raise RecipeError(f"coder = {self.coder!r}, must be one of {', '.join(get_args(CodingChoice))}")
        ways = {"prune": self.prune.method != "none", "structure": self.structure, "quantize": self.quantize}
        asked = [name for name, way in ways.items() if way]
        if asked == ["prune", "structure"]:
            if self.prune.method != "gradual" or not self.remove or not self.remove.epochs:
                raise RecipeError("prune and structure: must be gradual, with epochs of training after removal")
        elif len(asked) > 1:
            raise RecipeError(f"{' and '.join(asked)}: must be one of them alone")
        self._check_views()
        for name in ("seed", "holdout"):
            first, second = getattr(self.retrain, name), getattr(self.centroids, name)
            if first != second:
                raise RecipeError(f"{name} = {first} to retrain and {second} for centroids, must be one")

    def _check_views(self) -> None:
        if not 0 <= self.teacher_views <= MOST_VIEWS:
            raise RecipeError(f"teacher_views = {self.teacher_views}, must be in 0..{MOST_VIEWS}")
        if not self.teacher_views:
            return
        if not self.needs_teacher:
            raise RecipeError(
                f"teacher_views = {self.teacher_views} and teacher_share = 0.0, must have a teacher to ask"
            )
        if self.retrain.augmentation != self.centroids.augmentation or self.retrain.augmentation.mixup:
            raise RecipeError(
                f"teacher_views = {self.teacher_views}: both trainings must have one augmentation, without mixup"
            )

    def rounds(self) -> Iterator[Round]:
        """The trainings that take weights away, or their values, in order; one plain one where nothing does."""
        if self.structure is not None:
            yield from structured_rounds(self.structure, self.retrain.learning_rate_at)
        elif self.quantize is not None:
            yield QuantizeRound("quantize", self.quantize)
        else:
            yield from pruning_rounds(self.prune)

    @property
    def prunes_what_is_left(self) -> bool:
        """Whether single weights go after whole groups."""
        return self.structure is not None and self.prune.method != "none"

    @property
    def seed(self) -> int:
        return self.retrain.seed

    @property
    def holdout(self) -> int:
        return self.retrain.holdout

    @property
    def needs_teacher(self) -> bool:
        return bool(self.retrain.teacher_share or self.centroids.teacher_share)

    def with_both(self, **changes: Any) -> "CompressRecipe":
        """The same change to both trainings."""
        retrain, centroids = (dataclasses.replace(recipe, **changes) for recipe in (self.retrain, self.centroids))
        return dataclasses.replace(self, retrain=retrain, centroids=centroids)


def _resnet20() -> CompressRecipe:
    """Within an hour and a half on one core that has bf16: a long retraining, taught by the dense network."""
    both = {
        "batch_size": 128,
        "ema_decay": 0.999,
        "holdout": 2000,
        "precision": "bf16",
        "compile": True,
        "teacher_share": 0.5,
    }
    return CompressRecipe(
        PruneRecipe(sparsity=0.75, end=0.5),
        TrainRecipe(epochs=58, learning_rate=0.08, warmup=0.1, **both),  # type: ignore[arg-type]
        ShareRecipe((("*", 16),), entropy_penalty=0.016),
        TrainRecipe(epochs=4, learning_rate=0.005, warmup=0.05, weight_decay=0.0, **both),  # type: ignore[arg-type]
    )


def _lenet(quality: float) -> CompressRecipe:
    """As in Han et al. 2015 and 2016: a threshold per layer, two rounds, 5 and 6 bits."""
    both = {"batch_size": 100, "ema_decay": 0.99, "augmentation": Augmentation(padding=2, flip=False)}
    return CompressRecipe(
        PruneRecipe(method="threshold", quality=(("last", quality / 2), ("*", quality)), rounds=2),
        TrainRecipe(epochs=15, learning_rate=0.02, **both),  # type: ignore[arg-type]
        ShareRecipe((("*", 32),)),
        TrainRecipe(epochs=3, learning_rate=0.002, weight_decay=0.0, **both),  # type: ignore[arg-type]
    )


def _resnet18() -> CompressRecipe:
    both = {"batch_size": 512, "ema_decay": 0.999, "precision": "bf16", "compile": True, "teacher_share": 0.7}
    return CompressRecipe(
        PruneRecipe(sparsity=0.95, score="lamp", floors=(("first", 0.3), ("last", 0.3), ("*", 0.002))),
        TrainRecipe(epochs=120, learning_rate=0.2, warmup=0.1, **both),  # type: ignore[arg-type]
        ShareRecipe((("*", 16),), entropy_penalty=0.002),
        TrainRecipe(epochs=10, learning_rate=0.01, warmup=0.05, weight_decay=0.0, **both),  # type: ignore[arg-type]
    )


RECIPES: dict[str, CompressRecipe] = {
    "default": CompressRecipe(),
    "resnet20-65kb": _resnet20(),
    "resnet18-95": _resnet18(),
    "lenet300": _lenet(1.5),
    "lenet5": _lenet(1.5),
}


def recipe_named(name: str) -> CompressRecipe:
    """A recipe of `RECIPES`.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in RECIPES:
        raise RecipeError(f"--recipe {name}: unknown, must be one of {', '.join(RECIPES)}")
    return RECIPES[name]


def split_seed(recipe: CompressRecipe, card: NetworkCard) -> int:
    """What the holdout is drawn from: the dense training's seed, whatever the recipe's is, where the card knows it."""
    return int(card.training.get("recipe", {}).get("seed", recipe.seed))


def inherit_split(recipe: CompressRecipe, card: NetworkCard) -> CompressRecipe:
    """Keep the holdout that training set aside: pictures the dense network has learnt tell nothing."""
    trained = card.training.get("recipe", {})
    changes = {name: trained[name] for name in ("holdout", "seed") if name in trained}
    return recipe.with_both(**changes)
