"""Which channel classes are dead: nobody writes them, or nobody reads them; and what else dies when they go."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from compressor.removal.channels import ChannelClasses, LayerChannels

_Weights = Mapping[str, np.ndarray]  # layer -> bool [outputs, inputs], whether anything there is not zero


@torch.no_grad()
def silence(network: nn.Module, classes: ChannelClasses) -> int:
    """Make channels that nobody writes any more zeros: BatchNorm would go on giving each its constant.

    The constant is lost, which the training that follows has to make up for (methods of Ma et al. 2019 as released do
    the same by hand). Returns how many classes it was.
    """
    modules, connected = dict(network.named_modules()), _connections(network, classes)
    written = _in_use(classes, connected, set())[1]
    unwritten = _all_outputs(classes) - written - classes.kept - classes.unquiet
    for layer in classes.layers:
        _zero(modules[layer.name].bias, layer.outputs, unwritten)
    for norm in classes.norms:
        for parameter in (modules[norm.name].weight, modules[norm.name].bias):
            _zero(parameter, norm.channels, unwritten)
    return len(unwritten)


def dead_classes(network: nn.Module, classes: ChannelClasses) -> frozenset[int]:
    """Classes whose removal changes nothing that the network computes, until no more follow from each other.

    A class is dead where no layer reads it, or where all that is written to it are zeros. Every layer keeps an input
    and an output.
    """
    connected = _connections(network, classes)
    loud = _loud(network, classes) | classes.unquiet
    dead: set[int] = set()
    candidates = sorted((_all_outputs(classes) | _all_padded(classes)) - classes.kept)
    found = True
    while found:
        read, written = _in_use(classes, connected, dead)
        found = False
        for each in candidates:
            if each in dead or (each in read and (each in written or each in loud)):
                continue
            if all(_leaves_some(layer, dead | {each}) for layer in classes.layers):
                dead.add(each)
                found = True
    return frozenset(dead)


def _in_use(classes: ChannelClasses, connected: _Weights, dead: set[int]) -> tuple[set[int], set[int]]:
    """(classes that some layer reads, classes that some layer writes), of what is not dead.

    A depthwise layer passes its channels on: it neither reads nor writes, but what it multiplies with zero is written
    by nobody.
    """
    read: set[int] = set()
    written: set[int] = set()
    gone = np.array(sorted(dead), dtype=np.int64)
    for layer in classes.layers:
        matrix = connected[layer.name] & ~np.isin(layer.outputs, gone)[:, None] & ~np.isin(layer.inputs, gone)[None]
        if not layer.depthwise:
            read |= set(layer.inputs[matrix.any(0)].tolist())
            written |= set(layer.outputs[matrix.any(1)].tolist())
    for layer in classes.layers:
        if layer.depthwise:
            written -= set(layer.outputs[~connected[layer.name].any(1)].tolist())
    return read, written


def _connections(network: nn.Module, classes: ChannelClasses) -> dict[str, np.ndarray]:
    modules = dict(network.named_modules())
    return {layer.name: _connected(modules[layer.name].weight, layer) for layer in classes.layers}


def _connected(weight: Tensor, layer: LayerChannels) -> np.ndarray:
    matrix: np.ndarray = (
        (weight.detach() != 0).flatten(2).any(2).numpy(force=True)
        if weight.ndim > 2
        else ((weight.detach() != 0).numpy(force=True))
    )
    if layer.depthwise:
        return np.diag(matrix[:, 0])
    if matrix.shape[1] != len(layer.inputs):  # of groups, whose classes all stay
        return np.ones((len(layer.outputs), len(layer.inputs)), dtype=bool)
    return matrix


def _loud(network: nn.Module, classes: ChannelClasses) -> set[int]:
    """Classes that get a constant: a layer's bias, or what BatchNorm makes of zeros."""
    modules = dict(network.named_modules())
    loud: set[int] = set()
    for layer in classes.layers:
        bias = modules[layer.name].bias
        if bias is not None:
            loud |= set(layer.outputs[(bias.detach() != 0).numpy(force=True)].tolist())
    for norm in classes.norms:
        module = modules[norm.name]
        of_zero = module.bias - module.weight * module.running_mean / (module.running_var + module.eps).sqrt()
        loud |= set(norm.channels[(of_zero.detach() != 0).numpy(force=True)].tolist())
    return loud


def _all_outputs(classes: ChannelClasses) -> set[int]:
    return {each for layer in classes.layers for each in layer.outputs.tolist()}


def _all_padded(classes: ChannelClasses) -> set[int]:
    return {each for padded in classes.padded for side in (padded.before, padded.behind) for each in side.tolist()}


def _leaves_some(layer: LayerChannels, dead: set[int]) -> bool:
    return any(each not in dead for each in layer.outputs.tolist()) and any(
        each not in dead for each in layer.inputs.tolist()
    )


def _zero(parameter: Tensor | None, channels: np.ndarray, chosen: set[int]) -> None:
    if parameter is not None:
        parameter[torch.from_numpy(np.isin(channels, sorted(chosen))).to(parameter.device)] = 0.0
