"""Take channels out of a network's modules, in place."""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor, nn

from compressor.errors import NetworkError
from compressor.networks.resnet_cifar import OptionAShortcut
from compressor.removal.channels import ChannelClasses, LayerChannels, NormChannels


def shrink(network: nn.Module, classes: ChannelClasses, dead: Collection[int]) -> None:
    """Make every module as small as what is not dead.

    Raises:
        NetworkError: channels are padded by something else than an option A shortcut.
    """
    modules, gone = dict(network.named_modules()), np.array(sorted(dead), dtype=np.int64)
    for layer in classes.layers:
        _shrink_layer(modules[layer.name], layer, gone)
    for norm in classes.norms:
        _shrink_norm(modules[norm.name], norm, gone)
    shortcuts = [module for module in network.modules() if isinstance(module, OptionAShortcut)]
    if len(shortcuts) != len(classes.padded):
        raise NetworkError(
            f"{len(classes.padded)} paddings of channels, of which {len(shortcuts)} are shortcuts of ours"
        )
    for shortcut, padded in zip(shortcuts, classes.padded, strict=True):
        before, behind = (int((~np.isin(side, gone)).sum()) for side in (padded.before, padded.behind))
        shortcut.padding = (0, 0, 0, 0, before, behind)


def _shrink_layer(module: nn.Module, layer: LayerChannels, gone: np.ndarray) -> None:
    outputs = torch.from_numpy(np.flatnonzero(~np.isin(layer.outputs, gone)))
    inputs = torch.from_numpy(np.flatnonzero(~np.isin(layer.inputs, gone)))
    assert isinstance(module, nn.Conv2d | nn.Linear)
    weight = _taken(module.weight, outputs)
    if isinstance(module, nn.Conv2d):
        module.out_channels = len(outputs)
        module.in_channels = len(inputs)
        if layer.depthwise:
            module.groups = len(outputs)
    else:
        module.out_features, module.in_features = len(outputs), len(inputs)
    if weight.shape[1] == len(layer.inputs) and not layer.depthwise:
        weight = weight.index_select(1, inputs.to(weight.device))
    module.weight = nn.Parameter(weight.contiguous())
    if module.bias is not None:
        module.bias = nn.Parameter(_taken(module.bias, outputs))


def _shrink_norm(module: nn.Module, norm: NormChannels, gone: np.ndarray) -> None:
    kept = torch.from_numpy(np.flatnonzero(~np.isin(norm.channels, gone)))
    assert isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)
    module.num_features = len(kept)
    module.weight, module.bias = (nn.Parameter(_taken(each, kept)) for each in (module.weight, module.bias))
    assert module.running_mean is not None
    assert module.running_var is not None
    module.running_mean, module.running_var = _taken(module.running_mean, kept), _taken(module.running_var, kept)


def _taken(tensor: Tensor, kept: Tensor) -> Tensor:
    return tensor.detach().index_select(0, kept.to(tensor.device)).clone()
