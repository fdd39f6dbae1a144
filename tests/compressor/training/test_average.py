import pytest
import torch
from torch import nn

from compressor.training.average import MovingAverage
from tests.compressor.toys import toy_net


def changed(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for value in network.state_dict().values():
        value.copy_(torch.randint(-8, 8, value.shape, generator=generator))


def test_an_average_follows_its_definition() -> None:
    network = toy_net()
    average = MovingAverage(network, decay=0.4)
    expected = {name: value.double() for name, value in network.state_dict().items()}
    for step, decay in enumerate((1 / 10, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 0.4, 0.4), start=1):
        changed(network, step)
        average.update(network)
        for name, value in network.state_dict().items():
            mixed = decay * expected[name] + (1 - decay) * value
            expected[name] = mixed if value.is_floating_point() else value.double()
    assert average.steps == 8
    for name, value in average.network.state_dict().items():
        assert torch.allclose(value.double(), expected[name], rtol=0, atol=1e-5), name


def test_counters_are_copied_not_averaged() -> None:
    network = toy_net()
    average = MovingAverage(network, decay=0.9)
    network.get_buffer("bn1.num_batches_tracked").fill_(41)
    average.update(network)
    assert int(average.network.state_dict()["bn1.num_batches_tracked"]) == 41


def test_an_average_shares_nothing_with_the_network_and_is_not_trained() -> None:
    network = toy_net()
    average = MovingAverage(network, decay=0.9)
    with torch.no_grad():
        network.conv1.weight.add_(1)
    assert torch.equal(average.network.state_dict()["conv1.weight"], toy_net().conv1.weight)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_tied_weight_moves_once() -> None:
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    network[1].weight = network[0].weight
    nn.init.zeros_(network.get_parameter("0.weight"))
    average = MovingAverage(network, decay=0.9)
    nn.init.ones_(network.get_parameter("0.weight"))
    average.update(network)
    assert average.network.state_dict()["0.weight"].flatten().tolist() == pytest.approx([0.9] * 4)
