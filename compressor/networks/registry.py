"""Network names, how to build each, and the input each takes."""

import importlib
from collections.abc import Callable
from functools import partial

from torch import nn

from compressor.errors import NetworkError
from compressor.networks.plain import Airbench, LeNet5, LeNet300, Vgg16
from compressor.networks.resnet_cifar import CifarResNet
from compressor.networks.resnet_wide import WideStemResNet
from compressor.networks.torchvision_models import TORCHVISION, TorchvisionModel

CIFAR_INPUT = (3, 32, 32)
MNIST_INPUT = (1, 28, 28)

NETWORKS: dict[str, tuple[Callable[..., nn.Module], tuple[int, int, int]]] = {
    **{f"resnet{depth}": (partial(CifarResNet, depth), CIFAR_INPUT) for depth in (20, 32, 44, 56, 110)},
    **{f"resnet{depth}": (partial(WideStemResNet, depth), CIFAR_INPUT) for depth in (18, 34, 50, 101, 152)},
    "vgg16": (Vgg16, CIFAR_INPUT),
    "airbench": (Airbench, CIFAR_INPUT),
    "lenet300": (LeNet300, MNIST_INPUT),
    "lenet5": (LeNet5, MNIST_INPUT),
}


def build_network(name: str, classes: int) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: a key of `NETWORKS`, `torchvision:MODEL`, or `module:callable`, called with `classes` as keyword,
            returning an nn.Module.

    Raises:
        NetworkError: the name is unknown, or the user's callable cannot be found or does not return a module.
    """
    if name in NETWORKS:
        return NETWORKS[name][0](classes=classes)
    try:
        network = _user_callable(name)(classes=classes)
    except TypeError as error:
        raise NetworkError(f"--network {name}: cannot be called with classes={classes} ({error})") from error
    if not isinstance(network, nn.Module):
        raise NetworkError(f"--network {name}: returned {type(network).__name__}, must be a torch.nn.Module")
    return network


def input_shape_of(name: str) -> tuple[int, int, int]:
    """(channels, height, width) the network takes; a user's callable may carry it as attribute `input_shape`."""
    if name in NETWORKS:
        return NETWORKS[name][1]
    channels, height, width = getattr(_user_callable(name), "input_shape", CIFAR_INPUT)
    return (int(channels), int(height), int(width))


def _user_callable(name: str) -> Callable[..., object]:
    module_name, separator, attribute = name.partition(":")
    if not separator:
        raise NetworkError(f"--network {name}: unknown; known are {', '.join(sorted(NETWORKS))} and module:callable")
    if module_name == TORCHVISION:
        return TorchvisionModel(attribute)
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:  # the last two: no absolute module name
        raise NetworkError(f"--network {name}: cannot be imported ({error})") from error
    if not callable(found):
        raise NetworkError(f"--network {name}: {attribute} is not callable")
    return found
