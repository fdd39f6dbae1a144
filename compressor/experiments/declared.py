"""All experiments, by name. Accuracies and sizes they reach are in the records, never here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from compressor.data.augmentation import Augmentation
from compressor.experiments.experiment import Experiment
from compressor.layer_rules import LayerRules
from compressor.pruning.recipe import PruneRecipe
from compressor.quantization.recipe import QuantizeRecipe
from compressor.recipes import CompressRecipe
from compressor.sharing.recipe import ShareRecipe
from compressor.training.recipe import SmallPhase, TrainRecipe

DIGITS = Augmentation(padding=2, flip=False)
STEADY = replace(DIGITS, padding=1)
THREE_SEEDS = (0, 1, 2)  # where a run takes minutes
ENDS_DENSER: LayerRules = (("first", 0.3), ("last", 0.3), ("*", 0.002))  # the stem and the classifier; no layer empty

SOME_OF_EACH: LayerRules = (("*", 0.005),)  # where the default floor is more than all that stays

# Two CPU cores and hours, in bf16, compiled; the dense network teaches the pruned one.
SMALL_DENSE = TrainRecipe(
    epochs=120, batch_size=128, learning_rate=0.2, ema_decay=0.999, holdout=2000, precision="bf16", compile=True
)
SMALL_RETRAIN = replace(SMALL_DENSE, epochs=80, learning_rate=0.1, warmup=0.1, teacher_share=0.5)
SMALL_CENTROIDS = replace(SMALL_RETRAIN, epochs=6, learning_rate=0.01, warmup=0.05, weight_decay=0.0)

# Two CPU cores without bf16: most steps on smaller pictures.
SMALL_FROM_DENSE = TrainRecipe(
    epochs=32, batch_size=128, learning_rate=0.04, warmup=0.1, ema_decay=0.99, holdout=2000, compile=True,
    teacher_share=0.5, small_phase=SmallPhase(16, 24),
)  # fmt: skip
SMALL_FROM_DENSE_CENTROIDS = replace(
    SMALL_FROM_DENSE, epochs=2, learning_rate=0.005, warmup=0.05, weight_decay=0.0, small_phase=None
)
RESNET20_CHECKPOINT = Path("checkpoints/resnet20-cifar10.safetensors")
# Unlike each other, so that both together know more than either; the first is as small as what they teach.
RESNET20_TEACHERS = (Path("store/resnet20-mixed-seed0/1.csrve"), Path("store/resnet18-cifar10/1.csrve"))

# Three quarters of the weights; its first convolution, which halves the picture, keeps more values.
LAST_STAGE_TERNARY = QuantizeRecipe("twn", (("layer3.0.conv1", 0.0), ("layer3.*", 1.0), ("*", 0.0)))
# Ternary weights cost most in the first stage, which holds few of them; zeros cost the last stage least.
LATER_STAGES_TERNARY = QuantizeRecipe(
    "twn", (("layer2.*", 1.0), ("layer3.*", 1.0), ("*", 0.0)), zeros=(("layer2.*", 0.6), ("*", 0.68))
)

# A GPU: batches of 512 at 0.1 for each 128, five epochs of warm-up, long fixed-mask tails.
LARGE_DENSE = TrainRecipe(
    epochs=150, batch_size=512, learning_rate=0.4, warmup=0.034, ema_decay=0.999, precision="bf16", compile=True,
    augmentation=Augmentation(cutout=8),
)  # fmt: skip
LARGE_RETRAIN = replace(LARGE_DENSE, epochs=200, learning_rate=0.2, teacher_share=0.7)
LARGE_CENTROIDS = replace(LARGE_RETRAIN, epochs=15, learning_rate=0.01, warmup=0.05, weight_decay=0.0)

# One CPU core and minutes.
DIGITS_DENSE = TrainRecipe(
    epochs=30, batch_size=100, learning_rate=0.05, weight_decay=1e-4, ema_decay=0.995, augmentation=DIGITS
)
DIGITS_RETRAIN = replace(DIGITS_DENSE, epochs=40, learning_rate=0.01)  # 0.03 diverges: there is no BatchNorm
DIGITS_CENTROIDS = replace(DIGITS_RETRAIN, epochs=8, learning_rate=0.002, weight_decay=0.0)
# A few thousand weights without convolutions cannot learn every shift of every digit.
DIGITS_STEADY = replace(DIGITS_RETRAIN, epochs=60, augmentation=STEADY)
DIGITS_STEADY_CENTROIDS = replace(DIGITS_CENTROIDS, epochs=10, augmentation=STEADY)


def _compress(
    trainings: tuple[TrainRecipe, TrainRecipe], sparsity: float, clusters: int, penalty: float, **pruning: Any
) -> CompressRecipe:
    """Gradual pruning to `sparsity`, a codebook of `clusters` a layer, assignments at `penalty` a bit."""
    retrain, centroids = trainings
    share = ShareRecipe((("*", clusters),), entropy_penalty=penalty)
    return CompressRecipe(PruneRecipe(sparsity=sparsity, **pruning), retrain, share, centroids)


def _digits(
    network: str, tier: str, sparsity: float, clusters: int, penalty: float,
    trainings: tuple[TrainRecipe, TrainRecipe] = (DIGITS_RETRAIN, DIGITS_CENTROIDS), **pruning: Any,
) -> Experiment:  # fmt: skip
    recipe = _compress(trainings, sparsity, clusters, penalty, **pruning)
    return Experiment(f"{network}-{tier}", network, "mnist", recipe, tier, DIGITS_DENSE, seeds=THREE_SEEDS)


def _small(network: str, tier: str, seeds: int, sparsity: float, clusters: int, penalty: float) -> Experiment:
    recipe = _compress((SMALL_RETRAIN, SMALL_CENTROIDS), sparsity, clusters, penalty, end=0.5)
    return Experiment(
        f"{network}-{tier}", network, "cifar10", recipe, tier, SMALL_DENSE, seeds=tuple(range(seeds))
    )  # fmt: skip


def _ternary_resnet20(tier: str, quantize: QuantizeRecipe, *codebook_sizes: tuple[str, float]) -> Experiment:
    """Ternary weights, shared values where there are none, from the dense checkpoint."""
    recipe = CompressRecipe(
        PruneRecipe(method="none"),
        SMALL_FROM_DENSE,
        ShareRecipe((*codebook_sizes, ("*", 16))),
        SMALL_FROM_DENSE_CENTROIDS,
        scale_bits=8,
        quantize=quantize,
        teacher_views=6,
        coder="arithmetic",
    )
    return Experiment(
        f"resnet20-{tier}", "resnet20", "cifar10", recipe, tier, weights=RESNET20_CHECKPOINT, seeds=THREE_SEEDS,
        teacher_files=RESNET20_TEACHERS,
    )  # fmt: skip


def _large(network: str, tier: str, sparsity: float, clusters: int, penalty: float, **pruning: Any) -> Experiment:
    pruning = {"score": "lamp", "floors": ENDS_DENSER} | pruning
    recipe = _compress((LARGE_RETRAIN, LARGE_CENTROIDS), sparsity, clusters, penalty, **pruning)
    return Experiment(f"{network}-{tier}", network, "cifar10", recipe, tier, LARGE_DENSE, accelerator=True)


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        _digits("lenet300", "must", 0.92, 32, 0.001),
        _digits("lenet300", "beats", 0.955, 16, 0.004, (DIGITS_STEADY, DIGITS_STEADY_CENTROIDS)),
        _digits("lenet5", "must", 0.92, 32, 0.001),
        _digits("lenet5", "beats", 0.97, 16, 0.004),
        _digits("lenet5", "stretch", 0.988, 8, 0.004, floors=SOME_OF_EACH),
        _ternary_resnet20("must", LAST_STAGE_TERNARY, ("layer2.*", 8), ("layer3.0.conv1", 8)),
        _ternary_resnet20("beats", LATER_STAGES_TERNARY, ("layer1.*", 8)),
        _small("resnet20", "stretch", 3, 0.89, 8, 0.012),
        _small("resnet56", "must", 1, 0.83, 16, 0.008),
        _small("resnet56", "beats", 1, 0.90, 8, 0.008),
        _small("resnet56", "stretch", 1, 0.95, 8, 0.008),
        _large("resnet18", "must", 0.95, 16, 0.002),
        _large("resnet18", "beats", 0.98, 8, 0.004),
        _large("resnet18", "stretch", 0.99, 8, 0.008),
        _large("resnet50", "must", 0.97, 16, 0.002),
        _large("resnet50", "beats", 0.987, 8, 0.004),
        _large("resnet50", "stretch", 0.993, 8, 0.008),
        _large("resnet152", "must", 0.97, 16, 0.002),
        _large("resnet152", "beats", 0.988, 8, 0.004),
        _large("vgg16", "must", 0.965, 16, 0.002),
        _large("vgg16", "beats", 0.994, 8, 0.004),
        _large("vgg16", "stretch", 0.997, 8, 0.008),
    )
}
