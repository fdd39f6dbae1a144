"""How much an error of each weight matters: the second moment of the input that it multiplies."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from compressor.pruning.masks import prunable_parameters
from compressor.training.evaluation import evaluating
from compressor.training.samples import Samples

PICTURES, BATCH = 2000, 250


@torch.no_grad()
def input_moments(network: nn.Module, samples: Samples) -> dict[str, Tensor]:
    """Mean square of each input channel (or feature) of every convolution and linear layer, float64 [inputs].

    By the weight's name, over the first pictures, unaugmented. The error of a layer's output is to first order the
    weights' squared error weighted by these (the diagonal of E[x x^T], Stock et al. 2020, arXiv 1907.05686, section 3).
    """
    sums: dict[str, Tensor] = {}
    names = {id(weight): name for name, weight in prunable_parameters(network).items()}
    hooks = [
        module.register_forward_hook(_adding(names[id(module.weight)], sums))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and id(module.weight) in names
    ]
    device = next(network.parameters()).device
    try:
        with evaluating(network):
            for images in samples.batches(PICTURES, BATCH):
                network(images.to(device))
    finally:
        for hook in hooks:
            hook.remove()
    batches = -(-min(PICTURES, len(samples.images)) // BATCH)
    return {name: total / batches for name, total in sums.items()}


def _adding(name: str, sums: dict[str, Tensor]) -> Callable[..., None]:
    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        squares = inputs[0].double().square()
        mean = squares.mean(dim=[axis for axis in range(squares.ndim) if axis != 1])
        sums[name] = sums[name] + mean if name in sums else mean

    return add
