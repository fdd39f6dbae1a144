"""Layers become their factors: what the network computes at full energy, which layers, and that it can be traced."""

import pytest
import torch
from torch import nn

from compressor.factorization.network import FactorizedLayer, factorize_network
from compressor.factorization.recipe import FactorizeRecipe
from compressor.networks import build_network
from compressor.tracing import trace_network
from tests.compressor.toys import perturb_batchnorm

EVERYWHERE = FactorizeRecipe(energy=(("*", 0.999999),), least_saving=0.0)


def low_rank(outputs: int, inputs: int, side: int, rank: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    left, right = torch.randn(outputs, rank, generator=generator), torch.randn(rank, inputs, generator=generator)
    core = torch.randn(rank, rank, side, side, generator=generator)
    return torch.einsum("or,rshw,si->oihw", left, core, right)


def network(**options: object) -> nn.Sequential:
    """Kernels of rank 2: a strided 3x3, a 1x1 with bias, a linear layer."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(12, 16, 3, stride=2, padding=1, **options),  # type: ignore[arg-type]
        nn.Conv2d(16, 12, 1, stride=2, bias=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    )
    with torch.no_grad():
        layers[0].weight.copy_(low_rank(16, 12, 3, 2, 1))
        layers[1].weight.copy_(low_rank(12, 16, 1, 2, 2))
        layers[4].weight.copy_(low_rank(10, 12, 1, 2, 3)[:, :, 0, 0])
    return layers


def test_a_network_of_low_rank_computes_the_same_from_its_factors() -> None:
    layers, pictures = network(), torch.randn(2, 12, 9, 9)
    expected = layers(pictures)
    replaced = factorize_network(layers, EVERYWHERE)
    assert replaced == [
        FactorizedLayer("0", (2, 2), 1728, 24 + 36 + 32),
        FactorizedLayer("1", (2,), 192, 56),
        FactorizedLayer("4", (2,), 120, 44),
    ]
    assert sum(p.numel() for p in layers.parameters() if p.ndim > 1) == 92 + 56 + 44
    assert torch.allclose(layers(pictures), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("option", [{"dilation": 2}, {"padding_mode": "reflect"}, {"bias": False}])
def test_the_middle_factor_steps_over_the_picture_as_the_layer_did(option: dict[str, object]) -> None:
    layers, pictures = network(**option), torch.randn(2, 12, 9, 9)
    expected = layers(pictures)
    factorize_network(layers, EVERYWHERE)
    assert torch.allclose(layers(pictures), expected, rtol=1e-4, atol=1e-3)


def test_layers_at_full_energy_stay_as_they_are() -> None:
    layers = network()
    recipe = FactorizeRecipe(energy=(("first", 1.0), ("last", 1.0), ("*", 0.99)), least_saving=0.0)
    assert [layer.layer for layer in factorize_network(layers, recipe)] == ["1"]
    assert isinstance(layers[0], nn.Conv2d)


def test_factors_that_save_too_little_are_not_made() -> None:
    layers = network()
    recipe = FactorizeRecipe(energy=(("*", 0.999999),), least_saving=0.7)
    assert [layer.layer for layer in factorize_network(layers, recipe)] == ["0", "1"]


def test_grouped_convolutions_stay_as_they_are() -> None:
    assert factorize_network(nn.Sequential(nn.Conv2d(8, 8, 3, groups=2)), EVERYWHERE) == []


def test_a_layer_that_is_used_under_two_names_stays_as_it_is() -> None:
    shared = network()[4]
    assert factorize_network(nn.Sequential(shared, nn.Linear(10, 12), shared), EVERYWHERE) == []


@pytest.mark.parametrize("name", ["resnet20", "lenet5"])
def test_a_factorized_network_can_be_traced_and_computes_less(name: str) -> None:
    torch.manual_seed(0)
    whole = build_network(name, 10)
    perturb_batchnorm(whole)
    before = sum(parameter.numel() for parameter in whole.parameters())
    assert factorize_network(whole, FactorizeRecipe(energy=(("*", 0.5),)))
    assert sum(parameter.numel() for parameter in whole.parameters()) < before
    trace_network(whole.eval(), (3, 32, 32) if name == "resnet20" else (1, 28, 28))
