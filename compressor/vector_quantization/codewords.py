"""Train the codewords: assignments are fixed, every codeword moves by the mean gradient of its members."""

import torch
from torch import Tensor, nn

from compressor.pruning.masks import prunable_parameters
from compressor.vector_quantization.groups import VectorAssignment


class TrainedCodewords:
    """A training constraint: weights stay sums of their codewords (Stock et al. 2020, arXiv 1907.05686, section 4).

    Gradients are projected on the space that the assignment leaves, which for one stage gives each codeword the mean
    gradient of its members; momentum and weight decay then stay within it too.
    """

    def __init__(self, assignment: VectorAssignment) -> None:
        self.assignment = assignment

    @torch.no_grad()
    def before_step(self, network: nn.Module) -> None:
        weights = prunable_parameters(network)
        for group in self.assignment.groups:
            gradients = {name: weights[name].grad for name in group.layers}
            present = {name: grad for name, grad in gradients.items() if grad is not None}
            if len(present) == len(gradients):
                group.project(present)

    @torch.no_grad()
    def after_step(self, network: nn.Module, progress: float) -> None:
        weights = dict(prunable_parameters(network))
        for group in self.assignment.groups:
            group.project(weights)  # what rounding has moved

    @torch.no_grad()
    def project(self, tensors: dict[str, Tensor]) -> None:
        for group in self.assignment.groups:
            group.project(tensors)

    def state(self) -> dict[str, Tensor]:
        """Nothing: the assignment is a file of the run's, and stays as it is."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None: ...
