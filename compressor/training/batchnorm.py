"""Re-estimate BatchNorm's running statistics after the weights were changed at one stroke."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from compressor.data.images import ImageSet
from compressor.training.evaluation import normalise
from model_store.preprocessing import Preprocessing


@torch.no_grad()
def reestimate_batchnorm(
    network: nn.Module, images: ImageSet, preprocessing: Preprocessing, *, batches: int = 20, batch_size: int = 250
) -> None:
    """Set the running mean and variance to plain averages over the first `batches` batches, unaugmented."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return
    momenta, training = [norm.momentum for norm in norms], network.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's spelling of a cumulative average
    network.train()
    device = next(network.parameters()).device
    for pixels in images.pixels[: batches * batch_size].split(batch_size):
        network(normalise(pixels.to(device), preprocessing))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(training)
