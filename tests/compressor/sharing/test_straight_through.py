"""Latent weights behind shared ones: how they move, which cluster they take, what stays, and resuming."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compressor.pruning.masks import nonzero_masks, prunable_parameters
from compressor.sharing.codebooks import shared_values
from compressor.sharing.network import share_network
from compressor.sharing.recipe import ShareRecipe
from compressor.sharing.straight_through import LatentWeights
from compressor.training.trainer import Trainer
from tests.compressor.blobs import TINY_PREPROCESSING, draw, quick_training, tiny_network, two_layers
from tests.compressor.resuming import check_resumed_run_repeats


def one_layer(*weights: float) -> nn.Linear:
    layer = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights]))
    return layer


def step(constraint: LatentWeights, network: nn.Module, gradients: list[Tensor]) -> None:
    """One step of plain SGD at a rate of 1 with these gradients."""
    weights = list(prunable_parameters(network).values())
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.clone().reshape(weight.shape)
    constraint.before_step(network)
    with torch.no_grad():
        for weight in weights:
            assert weight.grad is not None
            weight.sub_(weight.grad)
    constraint.after_step(network, 0.0)


def shared_network(penalty: float = 0.0, codebooks: str = "layer") -> nn.Module:
    network = tiny_network()
    with torch.no_grad():
        for weight in prunable_parameters(network).values():
            weight[weight.abs() < 0.1] = 0
    share_network(network, ShareRecipe((("*", 5),), entropy_penalty=penalty, codebooks=codebooks), 0)
    return network


def test_a_weight_changes_its_cluster_only_where_it_has_moved_past_the_border() -> None:
    layer = one_layer(1.0, 1.0, 3.0, 3.0)
    constraint = LatentWeights(layer, 0.0)
    step(constraint, layer, [torch.tensor([-0.4, 0.0, 0.0, 0.0])])
    assert layer.weight[0].tolist() == pytest.approx([1.2, 1.2, 3.0, 3.0])  # latent 1.4 stays below 2.1
    step(constraint, layer, [torch.tensor([-1.0, 0.0, 0.0, 0.0])])
    # its latent weight, 2.4, is the nearer to 3.0 although the network held 1.2; clusters are means of latent weights
    assert layer.weight[0].tolist() == pytest.approx([2.8, 1.0, 2.8, 2.8])


def test_pruned_weights_stay_zero_whatever_their_gradient() -> None:
    layer = one_layer(1.0, 0.0, -1.0)
    constraint = LatentWeights(layer, 0.0)
    step(constraint, layer, [torch.tensor([0.0, 5.0, 0.0])])
    assert layer.weight[0].tolist() == [1.0, 0.0, -1.0]


def test_a_layer_without_weights_stays_empty() -> None:
    network = two_layers()
    with torch.no_grad():
        network.get_parameter("0.weight").zero_()
        network.get_parameter("2.weight").fill_(0.5)
    step(LatentWeights(network, 0.01), network, [torch.ones(30), torch.zeros(15)])
    assert not network.get_parameter("0.weight").any()
    assert (network.get_parameter("2.weight") == 0.5).all()


def test_a_penalty_sends_weights_to_the_common_value() -> None:
    rare, common = [1.0] * 2, [2.0] * 30
    moved = torch.zeros(32)
    moved[0] = -0.42
    for penalty, expected in ((0.0, 1.21), (0.1, 62.42 / 32)):
        layer = one_layer(*rare, *common)
        step(LatentWeights(layer, penalty), layer, [moved])
        assert float(layer.weight[0, 0].detach()) == pytest.approx(expected)


def test_the_assignment_is_the_entropy_constrained_one_of_sharing() -> None:
    """Weights that do not move settle where the alternation of `share` does."""
    drawn = np.random.default_rng(0).normal(size=400)
    values = torch.from_numpy(shared_values(drawn, np.linspace(-2, 2, 9).astype(np.float16), 0.05).astype(np.float32))
    layer = one_layer(*values.tolist())
    constraint = LatentWeights(layer, 0.05)
    settled = layer.weight.detach().clone()
    for _ in range(3):
        step(constraint, layer, [torch.zeros(400)])
    assert torch.allclose(layer.weight, settled, atol=1e-6)


@pytest.mark.parametrize("codebooks", ["layer", "network"])
def test_what_is_trained_learns_shares_values_and_keeps_its_zeros(codebooks: str) -> None:
    network = shared_network(0.005, codebooks)
    masks, before = nonzero_masks(network), [weight.detach().clone() for weight in network.parameters()]
    constraint = LatentWeights(network, 0.005, together=codebooks == "network")
    trainer = Trainer(network, TINY_PREPROCESSING, quick_training(epochs=8), constraint=constraint, progress=False)
    trained = trainer.fit(draw(192, 1), draw(60, 2))
    assert trainer.history[-1]["holdout_accuracy"] > 0.8
    weights = prunable_parameters(trained)
    assert all(torch.equal(nonzero_masks(trained)[name], mask) for name, mask in masks.items())
    alive = [weight[weight != 0].unique() for weight in weights.values()]
    together = torch.cat(alive).unique()
    assert len(together) <= 5 if codebooks == "network" else all(len(each) <= 5 for each in alive)
    assert not any(torch.equal(old, new) for old, new in zip(before, trained.parameters(), strict=True))


def test_members_move_to_other_clusters() -> None:
    """What training of centroids alone never does."""
    network = shared_network()
    weight = network.get_parameter("conv2.weight")
    before = weight.detach().clone()
    trainer = Trainer(
        network, TINY_PREPROCESSING, quick_training(epochs=4), constraint=LatentWeights(network, 0.0), progress=False
    )
    after = trainer.fit(draw(192, 1), draw(60, 2)).get_parameter("conv2.weight")
    pairs = {(float(old), float(new)) for old, new in zip(before.ravel(), after.ravel(), strict=True) if old}
    assert len(pairs) > len(before[before != 0].unique())


@pytest.mark.parametrize("together", [False, True])
def test_a_killed_run_goes_on_as_if_it_had_not_been(together: bool, tmp_path: Path) -> None:
    recipe = quick_training(epochs=3)

    def constrain(network: nn.Module) -> LatentWeights:
        return LatentWeights(network, 0.01, together=together)

    check_resumed_run_repeats(
        tmp_path, recipe, lambda: shared_network(0.01, "network" if together else "layer"), constrain, steps=8
    )
