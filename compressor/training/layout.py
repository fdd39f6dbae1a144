"""The memory layout of a network's weights."""

import torch
from torch import nn


def with_layout(network: nn.Module, layout: torch.memory_format) -> nn.Module:
    """The same network, its weights laid out anew in place."""
    return network.to(memory_format=layout)  # type: ignore[call-overload]  # torch declares no such overload
