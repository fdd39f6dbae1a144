"""torchvision's ImageNet classifiers as `torchvision:MODEL`: fresh weights, and the picture size each is made for."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from compressor.data.torchvision_sets import import_torchvision
from compressor.errors import NetworkError

TORCHVISION = "torchvision"
IMAGENET_CLASSES = 1000
MODELS: dict[str, int] = {  # name -> side of the square picture
    "alexnet": 224,
    "vgg16": 224,
    "googlenet": 224,
    "inception_v3": 299,
    "resnet18": 224,
    "resnet50": 224,
    "resnet152": 224,
    "squeezenet1_0": 224,
    "squeezenet1_1": 224,
}
_WITHOUT_SLOW_DRAWS = {"googlenet", "inception_v3"}  # they draw truncated normals for most of a minute


@dataclass(frozen=True, slots=True)
class TorchvisionModel:
    """A model of torchvision; called with `classes`, it builds the network.

    Raises:
        NetworkError: it is none of `MODELS`.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in MODELS:
            raise NetworkError(f"--network {TORCHVISION}:{self.name}: unknown, must be one of {', '.join(MODELS)}")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (3, MODELS[self.name], MODELS[self.name])

    def __call__(self, classes: int = IMAGENET_CLASSES) -> nn.Module:
        """The network with fresh weights, auxiliary heads included: inference does not read them."""
        options: dict[str, Any] = {"init_weights": False} if self.name in _WITHOUT_SLOW_DRAWS else {}
        build = getattr(import_torchvision("torchvision.models"), self.name)
        network: nn.Module = build(weights=None, num_classes=classes, **options)
        return network
