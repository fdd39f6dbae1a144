"""Training at the quantized point: what the network holds, how latent weights and scales move, and resuming."""

from pathlib import Path

import pytest
import torch
from torch import nn

from compressor.bundling import bundle_of
from compressor.errors import RecipeError
from compressor.pruning.masks import prunable_parameters
from compressor.quantization.recipe import METHODS, QuantizeRecipe
from compressor.quantization.straight_through import StraightThrough
from compressor.training.trainer import Trainer
from tests.compressor.blobs import TINY_CARD, TINY_PREPROCESSING, draw, quick_training, tiny_network
from tests.compressor.resuming import check_resumed_run_repeats
from tests.compressor.toys import exactly

ALL = (("*", 1.0),)


def one_layer(*weights: float) -> nn.Linear:
    layer = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights]))
    return layer


def step(constraint: StraightThrough, layer: nn.Linear, gradient: list[float], progress: float = 0.0) -> None:
    """One step of plain SGD at a rate of 1 with this gradient."""
    layer.weight.grad = torch.tensor([gradient])
    constraint.before_step(layer)
    with torch.no_grad():
        layer.weight.sub_(layer.weight.grad)
    constraint.after_step(layer, progress)


def test_the_network_is_quantized_from_the_start() -> None:
    layer = one_layer(-3.0, 0.1, 1.0)
    StraightThrough(layer, QuantizeRecipe("twn", ALL))
    assert layer.weight.tolist() == [[-2.0, 0.0, 2.0]]


def test_gradients_move_the_latent_weights_straight_through() -> None:
    layer = one_layer(-3.0, 0.1, 1.0)
    constraint = StraightThrough(layer, QuantizeRecipe("twn", ALL))
    step(constraint, layer, [0.0, -2.9, 0.9])
    assert constraint.latent["weight"].tolist() == [[-3.0, pytest.approx(3.0), pytest.approx(0.1)]]
    assert layer.weight.tolist() == [[-3.0, 3.0, 0.0]]


@pytest.mark.parametrize("method", ["twn", "ttq"])
def test_each_layer_keeps_its_share_of_zeros_as_its_weights_move(method: str) -> None:
    network = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 10))
    recipe = QuantizeRecipe(method, ALL, zeros=(("first", 0.25), ("*", 0.7)))
    constraint = StraightThrough(network, recipe)
    for _ in range(3):
        for layer in network:
            layer.weight.grad = torch.randn_like(layer.weight)
        constraint.before_step(network)
        with torch.no_grad():
            for layer in network:
                layer.weight.sub_(layer.weight.grad)
        constraint.after_step(network, 0.5)
        assert [int((layer.weight == 0).sum()) for layer in network] == [150, 210]


def test_latent_binary_weights_are_clipped() -> None:
    layer = one_layer(-0.5, 0.5)
    constraint = StraightThrough(layer, QuantizeRecipe("binary", ALL))
    assert layer.weight.tolist() == [[-0.5, 0.5]]
    step(constraint, layer, [3.0, 0.7])
    assert constraint.latent["weight"].tolist() == [[-1.0, pytest.approx(-0.2)]]
    assert layer.weight.tolist() == [[pytest.approx(-0.6), pytest.approx(-0.6)]]


def test_ttq_scales_latent_gradients_and_trains_the_scales() -> None:
    layer = one_layer(-3.0, -1.0, 0.01, 4.0)
    constraint = StraightThrough(layer, QuantizeRecipe("ttq", ALL, scale_learning_rate=0.5))
    assert layer.weight.tolist() == [[-2.0, -2.0, 0.0, 4.0]]
    step(constraint, layer, [0.1, 0.3, 0.01, -0.2], progress=0.5)
    assert constraint.latent["weight"][0].tolist() == pytest.approx([-3.2, -1.6, 0.0, 4.8])
    rate = 0.5 * (1 - 0.5)
    assert constraint.scales["weight"].tolist() == pytest.approx([2.0 + rate * 0.2, 4.0 + rate * 0.2])


def test_a_trained_scale_stays_positive() -> None:
    layer = one_layer(-1.0, 1.0)
    constraint = StraightThrough(layer, QuantizeRecipe("ttq", ALL, scale_learning_rate=1.0))
    step(constraint, layer, [0.0, 50.0])
    assert constraint.scales["weight"].tolist() == [1.0, 1e-4]


def test_first_and_last_layer_keep_their_weights() -> None:
    network = tiny_network()
    before = {name: weight.detach().clone() for name, weight in prunable_parameters(network).items()}
    StraightThrough(network, QuantizeRecipe("ttq"))
    after = prunable_parameters(network)
    assert [name for name in before if torch.equal(before[name], after[name])] == ["conv1.weight", "linear.weight"]
    assert len(torch.unique(after["conv2.weight"])) == 3


def test_nothing_to_quantize_is_refused() -> None:
    with pytest.raises(RecipeError, match=exactly("layers: (('*', 0.0),), must leave one of 3 to quantize")):
        StraightThrough(tiny_network(), QuantizeRecipe(layers=(("*", 0.0),)))


@pytest.mark.parametrize("method", METHODS)
def test_what_is_trained_learns_and_is_quantized(method: str) -> None:
    network = tiny_network()
    constraint = StraightThrough(network, QuantizeRecipe(method, ALL))
    recipe = quick_training(epochs=8)
    trainer = Trainer(network, TINY_PREPROCESSING, recipe, constraint=constraint, progress=False)
    trained = trainer.fit(draw(192, 1), draw(60, 2))
    assert trainer.history[-1]["holdout_accuracy"] > 0.8
    for weight in prunable_parameters(trained).values():
        assert len(torch.unique(weight)) <= (2 if method == "binary" else 3)
    bundle = bundle_of(trained, TINY_CARD)
    assert bundle.weight_nonzeros > 0


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_goes_on_as_if_it_had_not_been(method: str, tmp_path: Path) -> None:
    recipe = quick_training(epochs=3)
    check_resumed_run_repeats(
        tmp_path, recipe, tiny_network, lambda n: StraightThrough(n, QuantizeRecipe(method)), steps=8
    )
