"""The experiments of the other methods: structure, quantization, low rank; each against a published row where there is
one."""

from dataclasses import replace
from typing import Any

from compressor.experiments.aims import Aim
from compressor.experiments.declared import (
    DIGITS_DENSE,
    LARGE_CENTROIDS,
    LARGE_DENSE,
    LARGE_RETRAIN,
    SMALL_CENTROIDS,
    SMALL_DENSE,
    SMALL_RETRAIN,
    STEADY,
    THREE_SEEDS,
)
from compressor.experiments.experiment import Experiment
from compressor.factorization.recipe import FactorizeRecipe
from compressor.layer_rules import LayerRules
from compressor.pruning.recipe import PruneRecipe
from compressor.quantization.recipe import QuantizeRecipe
from compressor.recipes import CompressRecipe
from compressor.removal.recipe import PurifyRecipe, RemoveRecipe
from compressor.sharing.recipe import ShareRecipe
from compressor.structured.recipe import StructuredRecipe
from compressor.training.recipe import TrainRecipe
from compressor.vector_quantization.recipe import VectorRecipe

METHOD = "method"  # instead of a tier

DIGITS_SHORT = replace(DIGITS_DENSE, epochs=15, learning_rate=0.01, teacher_share=0.5)
DIGITS_LONG = replace(DIGITS_SHORT, epochs=30)
DIGITS_ROUND = replace(DIGITS_SHORT, epochs=10)
DIGITS_LAST = replace(DIGITS_SHORT, epochs=4, learning_rate=0.002, weight_decay=0.0)
# Networks of some thousand weights: shifts of one pixel, since they cannot learn those of two.
DIGITS_STEADY_ROUND = replace(DIGITS_ROUND, augmentation=STEADY)
DIGITS_STEADY_LAST = replace(DIGITS_LAST, epochs=40, learning_rate=0.004, augmentation=STEADY)
PRM_KINDS = ("filters", "columns", "channels")
PRM_88 = {  # leaves 10 x 13, 20 x 125, 16 x 130 and 10 x 16 weights
    "filters:conv1": 0.5, "filters:conv2": 0.4, "filters:ip1": 0.032,
    "columns:conv1": 0.52, "columns:conv2": 0.25, "channels:ip1": 0.1625,
}  # fmt: skip
PURIFY_LITTLE = PurifyRecipe(0.01, 0.5, 0.05, 0.05)
SIXTEEN = ShareRecipe((("*", 16),), entropy_penalty=0.008)
NO_PRUNING = PruneRecipe(method="none")
# Of the 10,530 weights that PRM_88 leaves room for, 1,856 stay.
PRM_232 = PruneRecipe(sparsity=0.8237, score="lamp", begin=0.05)
BLOCK_FILTERS = (("*conv2", 1.0), ("first", 1.0), ("last", 1.0))  # conv1 of a block: its filters are read by conv2 only

# Li et al. 2017 (arXiv 1608.08710), table 1 and section 4.2: layers 16, 20, 38 and 54, then 18 and 34 too, stay whole.
SENSITIVE_A: LayerRules = tuple((f"layer{block}.conv1", 1.0) for block in ("1.7", "2.0", "3.0", "3.8"))
SENSITIVE_B: LayerRules = (*SENSITIVE_A, ("layer1.8.conv1", 1.0), ("layer2.7.conv1", 1.0))

# Published: Li et al. 2019 (CNN-FCF), table of CIFAR-10; Ma et al. 2019 (P-RM); Zhu et al. 2017 (TTQ).
FCF: dict[str, tuple[tuple[float, float, float, float], ...]] = {  # parameters, operations, accuracy lost; ours at most
    "resnet20": ((0.4275, 0.4160, 1.07, 0.8), (0.6844, 0.6891, 2.67, 2.0)),
    "resnet32": ((0.4271, 0.4221, 0.25, 0.2), (0.6946, 0.7021, 1.69, 1.2)),
    "resnet56": ((0.4309, 0.4278, -0.24, -0.2), (0.6974, 0.7090, 1.22, 0.9)),
    "resnet110": ((0.4319, 0.4308, -0.09, -0.1), (0.6951, 0.7081, 0.62, 0.5)),
}
FCF_KEPT = (0.55, 0.28)  # of the filters of each block's first convolution: both of its convolutions shrink by it


def _recipe(retrain: TrainRecipe, last: TrainRecipe, **fields: Any) -> CompressRecipe:
    return CompressRecipe(NO_PRUNING, retrain, SIXTEEN, last, **fields)


def _digits(name: str, retrain: TrainRecipe = DIGITS_SHORT, aim: Aim | None = None, **fields: Any) -> Experiment:
    recipe = _recipe(retrain, DIGITS_LAST, **fields)
    return _lenet5(name, recipe, aim or Aim())


def _lenet5(name: str, recipe: CompressRecipe, aim: Aim) -> Experiment:
    return Experiment(f"lenet5-{name}", "lenet5", "mnist", recipe, METHOD, DIGITS_DENSE, aim=aim, seeds=THREE_SEEDS)


def _digits_filters(method: str, **fields: Any) -> Experiment:
    kept: LayerRules = (("conv1", 0.5), ("conv2", 0.5), ("ip1", 0.3), ("*", 1.0))
    structure = StructuredRecipe(method=method, kept=kept, **fields)
    return _digits(method, structure=structure, remove=RemoveRecipe(epochs=4, learning_rate=0.005))


def _digits_prm(name: str, aim: Aim, *kept: float) -> Experiment:
    """Columns, then filters, by ADMM; what that leaves nearly empty; the file."""
    recipe = _prm_recipe(DIGITS_LONG, DIGITS_LAST, kept, RemoveRecipe(8, 0.01, PURIFY_LITTLE))
    return _lenet5(f"prm-{name}", recipe, aim)


def _digits_prm_weights(name: str, aim: Aim, epochs: int, rate: float, prune: PruneRecipe) -> Experiment:
    """As few weights as can be, in groups and then, where `prune` says so, singly. Filters go first, so that columns
    are chosen among the channels that are left, then the linear layer's inputs; what is left trains for `epochs`."""
    structure = StructuredRecipe(method="admm", kinds=PRM_KINDS, kept=(*PRM_88.items(), ("*", 1.0)), end=0.5)
    share = ShareRecipe((("*", 32),), entropy_penalty=0.001)
    remove = RemoveRecipe(epochs, rate, PURIFY_LITTLE)
    recipe = _recipe(DIGITS_STEADY_ROUND, DIGITS_STEADY_LAST, structure=structure, remove=remove, teacher_views=16)
    return _lenet5(f"prm-{name}", replace(recipe, share=share, prune=prune), aim)


def _prm_recipe(
    retrain: TrainRecipe, last: TrainRecipe, kept: tuple[float, ...], remove: RemoveRecipe
) -> CompressRecipe:
    rules: LayerRules = (*zip(("conv1", "conv2", "ip1"), kept, strict=True), ("*", 1.0))
    structure = StructuredRecipe(method="admm", kinds=("columns", "filters"), kept=rules, end=0.5)
    return _recipe(retrain, last, structure=structure, remove=remove)


def _digit_vectors(method: str, stages: int) -> VectorRecipe:
    codewords: LayerRules = (("first", 0), ("last", 0), ("conv2", 64), ("*", 32))
    return VectorRecipe(method, (("conv2", 5), ("*", 8)), codewords, stages)


def _kernels(method: str, stages: int, codewords: int) -> VectorRecipe:
    """3x3 kernels share the codewords of one codebook a stage: one for each layer would take a third of the file."""
    return VectorRecipe(method, (("*", 9),), (("first", 0), ("last", 0), ("*", codewords)), stages, "network")


def _prm(ratio: float, accuracy: float, published: float) -> Aim:
    return Aim(f"P-RM: {ratio}x fewer weights at {published:.2%}", accuracy=accuracy, weight_ratio=ratio)


def _pictures(name: str, network: str, aim: Aim, **fields: Any) -> Experiment:
    return Experiment(
        f"{network}-{name}", network, "cifar10", _recipe(SMALL_RETRAIN, SMALL_CENTROIDS, **fields), METHOD, SMALL_DENSE,
        seeds=THREE_SEEDS if network == "resnet20" else (0,), aim=aim, accelerator=network == "resnet110",
    )  # fmt: skip


def _fcf(network: str, index: int) -> Experiment:
    parameters, operations, published, drop = FCF[network][index]
    text = f"CNN-FCF: parameters -{parameters:.2%}, FLOPs -{operations:.2%}, accuracy {-published:+.2f}"
    structure = StructuredRecipe(method="fcf", kept=(*BLOCK_FILTERS, ("*", FCF_KEPT[index])), end=0.35)
    aim = Aim(text, drop=drop / 100, parameters_down=parameters, multiply_adds_down=operations)
    remove = RemoveRecipe(20, 0.02)
    return _pictures(f"fcf-{100 * parameters:.0f}", network, aim, structure=structure, remove=remove)


def _pruned(name: str, text: str, kept: LayerRules, parameters: float, operations: float) -> Experiment:
    """ResNet-56 as Li et al. 2017 prune it, section 4.2: filters of each block's first convolution, by l1, at once."""
    structure = StructuredRecipe(method="l1", kept=(*BLOCK_FILTERS, *kept), end=0.0)
    aim = Aim(text, parameters_down=parameters, multiply_adds_down=operations, drop=0.0)
    return _pictures(name, "resnet56", aim, structure=structure, remove=RemoveRecipe(20, 0.02))


def _nisp() -> StructuredRecipe:
    """Half of the filters of each block's first convolution."""
    return StructuredRecipe(method="nisp", kept=(*BLOCK_FILTERS, ("*", 0.5)))


def _large_prm(network: str, ratio: float, accuracy: float, file_ratio: float, published: str) -> Experiment:
    kept: LayerRules = (("first", 1.0), ("last", 1.0), ("*shortcut*", 1.0), ("*", 0.15))
    structure = StructuredRecipe(method="admm", kinds=("columns", "filters"), kept=kept)
    aim = Aim(published, accuracy=accuracy, weight_ratio=ratio, file_ratio=file_ratio)
    recipe = _recipe(LARGE_RETRAIN, LARGE_CENTROIDS, structure=structure, remove=RemoveRecipe(60, 0.1, PurifyRecipe()))
    name = f"{network}-prm-{ratio:.0f}x"
    return Experiment(name, network, "cifar10", recipe, METHOD, LARGE_DENSE, accelerator=True, aim=aim)


METHODS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        _digits_prm_weights("88x", _prm(87.93, 0.991, 0.9906), 160, 0.02, NO_PRUNING),
        _digits_prm_weights("232x", _prm(231.82, 0.989, 0.9848), 80, 0.004, PRM_232),
        _digits_prm("file", Aim("231x, of weights", accuracy=0.99, file_ratio=231), 0.5, 0.42, 0.045),
        _digits_filters("l1", end=0.0),
        _digits_filters("nisp"),
        _digits_filters("sfp"),
        _digits_filters("group-lasso", strength=0.001),
        _digits_filters("admm"),
        _digits_filters("fcf"),
        _digits("binary", quantize=QuantizeRecipe(method="binary")),
        _digits("twn", quantize=QuantizeRecipe(method="twn")),
        _digits("ttq", quantize=QuantizeRecipe(method="ttq")),
        _digits("pq", vectors=_digit_vectors("pq", 1)),
        _digits("rq", vectors=_digit_vectors("rq", 2)),
        _digits("low-rank", factorize=FactorizeRecipe(energy=(("first", 1.0), ("last", 1.0), ("*", 0.9)))),
        *(_fcf(network, index) for network in FCF for index in range(2)),
        *(
            _pictures(method, "resnet20", Aim(published, accuracy=accuracy), quantize=QuantizeRecipe(method=method))
            for method, accuracy, published in (
                ("binary", None, ""),
                ("twn", None, ""),
                ("ttq", 0.9113, "TTQ: 2 bits at 91.13%"),
            )
        ),
        _pruned(
            "pruned-a", "Li et al., ResNet-56-pruned-A: parameters -9.4%, FLOPs -10.4%, accuracy +0.06",
            (*SENSITIVE_A, ("*", 0.9)), 0.093, 0.104,
        ),
        _pruned(
            "pruned-b", "Li et al., ResNet-56-pruned-B: parameters -13.7%, FLOPs -27.6%, accuracy +0.02",
            (*SENSITIVE_B, ("layer1.*", 0.4), ("layer2.*", 0.7), ("*", 0.9)), 0.137, 0.275,
        ),
        _pictures("nisp", "resnet20", Aim(), structure=_nisp(), remove=RemoveRecipe(20, 0.02)),
        _pictures("pq", "resnet20", Aim(), vectors=_kernels("pq", 1, 256)),
        _pictures("rq", "resnet20", Aim(), vectors=_kernels("rq", 2, 64)),
        _pictures("low-rank", "resnet20", Aim(), factorize=FactorizeRecipe()),
        _large_prm("vgg16", 50.0, 0.933, 300.0, "P-RM: 44.67x at 93.36%, 50.02x at 92.73%"),
        _large_prm("resnet18", 60.0, 0.938, 350.0, "P-RM: 52.07x at 93.79%, 60.11x at 93.22%"),
    )
}  # fmt: skip
