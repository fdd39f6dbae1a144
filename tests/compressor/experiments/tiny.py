"""An experiment of seconds."""

from compressor.experiments.experiment import Experiment
from compressor.pruning.recipe import PruneRecipe
from compressor.recipes import CompressRecipe
from compressor.sharing.recipe import ShareRecipe
from tests.compressor.blobs import TINY, quick_training


def tiny_experiment() -> Experiment:
    compress = CompressRecipe(
        PruneRecipe(sparsity=0.5, refresh_steps=2),
        quick_training(),
        ShareRecipe((("*", 8),)),
        quick_training(epochs=1, weight_decay=0.0, learning_rate=0.005),
    )
    return Experiment("tiny", TINY, "cifar10", compress, "must", quick_training())
