"""Published sizes of classifiers of CIFAR-10 that are comparable: coded ones, index and tables and all, in bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """One published point.

    Attributes:
        size_bytes: of the coded network, as the source gives it.
        accuracy: on CIFAR-10's test pictures, 0..1.
        source: the paper that the method and its figures are from.
    """

    method: str
    network: str
    size_bytes: int
    accuracy: float
    source: str


_MIRACLE = "Havasi, Peharz and Hernández-Lobato, Minimal random code learning, ICLR 2019 (corrected figures)"
_BC = "Louizos, Ullrich and Welling, Bayesian compression for deep learning, NeurIPS 2017"
_CABAC = "Wiedemann et al., DeepCABAC, IEEE JSTSP 2020"
_EPR = "Oktay et al., Scalable model compression by entropy penalized reparameterization, ICLR 2020"
_LILNETX = "Girish et al., LilNetX, ICLR 2023 (coded bits; no file is written)"

PUBLISHED = (
    Published("MIRACLE", "VGG-16", 417_000, 0.9343, _MIRACLE),
    Published("MIRACLE", "VGG-16", 168_000, 0.900, _MIRACLE),
    Published("BC-GHS", "VGG-16", 525_000, 0.908, _BC),
    Published("DeepCABAC", "VGG-16", 960_000, 0.910, _CABAC),
    Published("EPR", "VGG-16", 101_000, 0.900, _EPR),
    Published("EPR", "ResNet-20-4", 128_000, 0.912, _EPR),
    Published("LilNetX", "VGG-16", 129_000, 0.926, _LILNETX),
    Published("LilNetX", "VGG-16", 76_000, 0.900, _LILNETX),
    Published("LilNetX", "ResNet-20-4", 66_000, 0.915, _LILNETX),
)


@dataclass(frozen=True, slots=True)
class PublishedSparsity:
    """A published accuracy on CIFAR-10 at a sparsity (both 0..1), of a network that nobody coded."""

    method: str
    network: str
    sparsity: float
    accuracy: float
    source: str


_JACKPOTS = "Zhang et al., Lottery Jackpots exist in pre-trained models, IEEE TPAMI 2023"
_DPF = "Lin et al., Dynamic model pruning with feedback, ICLR 2020 (reimplemented by others)"
_PROGRESSIVE = "arXiv 2606.12278 (2026), progressive magnitude pruning, one run"
PUBLISHED_SPARSE = (
    PublishedSparsity("Lottery Jackpots", "VGG-19", 0.90, 0.9394, _JACKPOTS),
    PublishedSparsity("Lottery Jackpots", "VGG-19", 0.95, 0.9374, _JACKPOTS),
    PublishedSparsity("Lottery Jackpots", "ResNet-32, wide", 0.90, 0.9439, _JACKPOTS),
    PublishedSparsity("Lottery Jackpots", "ResNet-32, wide", 0.95, 0.9341, _JACKPOTS),
    PublishedSparsity("DPF", "ResNet-56", 0.90, 0.9373, _DPF),
    PublishedSparsity("progressive", "ResNet-18", 0.729, 0.9512, _PROGRESSIVE),
    PublishedSparsity("progressive", "VGG-19", 0.9797, 0.9344, _PROGRESSIVE),
)


@dataclass(frozen=True, slots=True)
class PublishedCost:
    """A published structured network on CIFAR-10: share of multiply-adds left, share of accuracy lost."""

    method: str
    network: str
    operations_left: float
    drop: float
    source: str


_FCF = "Li et al., Compressing convolutional neural networks via factorized convolutional filters, CVPR 2019"
PUBLISHED_COSTS = (
    PublishedCost("CNN-FCF", "ResNet-20", 0.5840, 0.0107, _FCF),
    PublishedCost("CNN-FCF", "ResNet-20", 0.3109, 0.0267, _FCF),
    PublishedCost("CNN-FCF", "ResNet-32", 0.5779, 0.0025, _FCF),
    PublishedCost("CNN-FCF", "ResNet-32", 0.2979, 0.0169, _FCF),
    PublishedCost("CNN-FCF", "ResNet-56", 0.5722, -0.0024, _FCF),
    PublishedCost("CNN-FCF", "ResNet-56", 0.2910, 0.0122, _FCF),
    PublishedCost("CNN-FCF", "ResNet-110", 0.5692, -0.0009, _FCF),
    PublishedCost("CNN-FCF", "ResNet-110", 0.2919, 0.0062, _FCF),
)
CIFAR_NETWORKS = frozenset({*(f"resnet{depth}" for depth in (18, 20, 32, 34, 44, 50, 56, 101, 110, 152)), "vgg16"})
CLASSES = frozenset(["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"])
