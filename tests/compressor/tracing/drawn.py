"""Networks made of one function, traced and compared with what the graph computes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from compressor.tracing import Oracle, TracedNetwork, trace_network
from tests.compressor.toys import perturb_batchnorm

SHAPE = (4, 8, 8)
Function = Callable[[Tensor], Tensor]


class Head(nn.Module):
    """A body, which the caller's function calls, then a linear layer over whatever comes out."""

    def __init__(self, body: nn.Module | None, function: Callable[..., Tensor], features: int) -> None:
        super().__init__()
        self.body = body
        self.function = function
        self.fc = nn.Linear(features, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.function(images) if self.body is None else self.function(self.body, images)
        logits: Tensor = self.fc(hidden.flatten(1))
        return logits


def head(function: Callable[..., Tensor], body: nn.Module | None = None) -> Head:
    """The network in evaluation mode, with weights and statistics that differ from layer to layer."""
    torch.manual_seed(4)
    with torch.no_grad():
        images = torch.zeros(2, *SHAPE)
        body = body.eval() if body is not None else None
        hidden = function(images) if body is None else function(body, images)
    network = Head(body, function, hidden.flatten(1).shape[1]).eval()
    perturb_batchnorm(network)
    return network


def operators_of(traced: TracedNetwork) -> list[str]:
    """The graph's operators, without the head's two."""
    names = [node.operator for node in traced.graph.nodes]
    assert names[-1] == "Gemm"
    return names[:-2] if names[-2] == "Flatten" else names[:-1]


def traced_like(network: nn.Module, shape: tuple[int, int, int] = SHAPE) -> TracedNetwork:
    """Trace, and compare module and graph at batch sizes 1 and 3, to 1e-3 of the largest logit."""
    network.eval()
    traced = trace_network(network, shape)
    oracle = Oracle(traced.graph, traced.tensors)
    for batch in (1, 3):
        images = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            expected, found = network(images), oracle(images)
        assert found.shape == expected.shape
        assert float(expected.abs().max()) > 1e-3
        assert float((found - expected).abs().max()) <= 1e-3 * float(expected.abs().max())
    return traced
