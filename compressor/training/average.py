"""The exponential moving average of a network's weights and buffers."""

import copy

import torch
from torch import nn


class MovingAverage:
    """Keeps a copy of the network whose floating-point state trails the trained one."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards `network`; early steps move faster, so that the start is forgotten."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 9))
        ours, theirs = self.network.state_dict(), network.state_dict()
        tensors = {value.data_ptr(): name for name, value in ours.items() if value.is_floating_point()}
        floating = list(tensors.values())  # a tied weight moves once, whatever its names
        torch._foreach_lerp_([ours[n] for n in floating], [theirs[n] for n in floating], 1 - decay)
        for name, value in ours.items():
            if not value.is_floating_point():
                value.copy_(theirs[name])
