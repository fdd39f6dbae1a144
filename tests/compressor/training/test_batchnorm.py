import pytest
import torch
from torch import nn

from compressor.training.batchnorm import reestimate_batchnorm
from compressor.training.evaluation import normalise
from tests.compressor.toys import TOY_PREPROCESSING, perturb_batchnorm, toy_images, toy_net


def test_statistics_become_plain_averages_over_the_first_batches() -> None:
    network, images = toy_net(), toy_images(64)
    perturb_batchnorm(network)
    reestimate_batchnorm(network, images, TOY_PREPROCESSING, batches=3, batch_size=10)
    means, variances = [], []
    for batch in images.pixels[:30].split(10):
        hidden = network.conv1(normalise(batch, TOY_PREPROCESSING)).double()
        means.append(hidden.mean((0, 2, 3)))
        variances.append(hidden.var((0, 2, 3)))
    assert network.bn1.running_mean is not None
    assert network.bn1.running_var is not None
    assert torch.allclose(network.bn1.running_mean.double(), torch.stack(means).mean(0), atol=1e-6)
    assert torch.allclose(network.bn1.running_var.double(), torch.stack(variances).mean(0), atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_else_of_the_network_changes(training: bool) -> None:
    network = toy_net().train(training)
    network.bn1.momentum = 0.3
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    reestimate_batchnorm(network, toy_images(20), TOY_PREPROCESSING, batch_size=10)
    assert all(torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())
    assert network.training is training
    assert network.bn2.training is training
    assert (network.bn1.momentum, network.bn2.momentum) == (0.3, 0.1)


def test_what_was_estimated_before_is_forgotten() -> None:
    first, second = toy_net(), toy_net()
    perturb_batchnorm(first, seed=1)
    second.load_state_dict({**first.state_dict(), "bn2.running_var": torch.full((8,), 9.0)})
    for network in (first, second):
        reestimate_batchnorm(network, toy_images(20), TOY_PREPROCESSING, batch_size=10)
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_a_network_without_batchnorm_is_not_run() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 1))  # fits no picture
    reestimate_batchnorm(network, toy_images(4), TOY_PREPROCESSING)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        reestimate_batchnorm(nn.Sequential(*network, nn.BatchNorm1d(1)), toy_images(4), TOY_PREPROCESSING)
