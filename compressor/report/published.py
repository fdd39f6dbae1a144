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
CLASSES = frozenset(["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"])
