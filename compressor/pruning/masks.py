"""Masks: which parameters can be pruned, and training that keeps pruned weights at zero."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from compressor.errors import NetworkError

Masks = dict[str, Tensor]  # parameter name -> bool, True where the weight survives


def prunable_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Weights of convolutions and linear layers, by name, in the network's order; never BatchNorm, never biases.

    Raises:
        NetworkError: there are none.
    """
    weights: dict[str, nn.Parameter] = {}
    for path, module in network.named_modules():  # visits a module once, however often it is used
        weight = module._parameters.get("weight") if isinstance(module, nn.Conv2d | nn.Linear) else None
        if weight is not None and not any(weight is known for known in weights.values()):
            weights[f"{path}.weight" if path else "weight"] = weight
    if not weights:
        raise NetworkError("the network has no convolution or linear layer to prune")
    return weights


def layer_of(parameter: str) -> str:
    """The layer a weight belongs to: "layer1.0.conv1.weight" -> "layer1.0.conv1"."""
    return parameter.removesuffix("weight").removesuffix(".")


def nonzero_masks(network: nn.Module) -> Masks:
    """The masks that a pruned network's own zeros make."""
    return {name: weight.detach() != 0 for name, weight in prunable_parameters(network).items()}


def sparsity_of(masks: Mapping[str, Tensor]) -> float:
    """Share of all maskable weights that are pruned."""
    total = sum(mask.numel() for mask in masks.values())
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / total


@torch.no_grad()
def apply_masks(tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Zero what is pruned, in place."""
    for name, mask in masks.items():
        tensors[name].mul_(mask)


class FixedMasks:
    """A training constraint: what is pruned stays zero, the rest keeps training (Han et al. 2015, section 3.3)."""

    def __init__(self, masks: Masks) -> None:
        self.masks = {name: mask.clone() for name, mask in masks.items()}

    @torch.no_grad()
    def before_step(self, network: nn.Module) -> None:
        for name, weight in prunable_parameters(network).items():
            if weight.grad is not None:
                weight.grad.mul_(self.masks[name])

    def after_step(self, network: nn.Module, progress: float) -> None:
        apply_masks(prunable_parameters(network), self.masks)  # momentum from before the mask must not revive a weight

    def project(self, tensors: dict[str, Tensor]) -> None:
        apply_masks(tensors, self.masks)

    def state(self) -> dict[str, Tensor]:
        return {f"mask.{name}": mask.to(torch.uint8) for name, mask in self.masks.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        for name, mask in self.masks.items():
            mask.copy_(state[f"mask.{name}"].bool())
