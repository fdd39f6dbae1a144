"""Trained centroids against autograd through an explicit codebook; members of a cluster stay bit-identical."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compressor.errors import RecipeError
from compressor.pruning.masks import prunable_parameters
from compressor.sharing.centroids import GRADIENTS, SharedCentroids
from tests.compressor.blobs import quick_training, tiny_network, two_layers
from tests.compressor.resuming import check_resumed_run_repeats

CODEBOOK = torch.tensor([-0.6, -0.2, 0.1, 0.35, 0.8])


@torch.no_grad()
def shared_by_drawing(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every weight 0 or one of five values, drawn unevenly."""
    generator = torch.Generator().manual_seed(seed)
    for weight in prunable_parameters(network).values():
        chosen = torch.multinomial(torch.tensor([4.0, 1, 2, 3, 1, 5]), weight.numel(), True, generator=generator)
        chosen[:6] = torch.arange(6)  # every value is there
        weight.copy_(torch.cat([torch.zeros(1), CODEBOOK])[chosen].reshape(weight.shape))
    return network


def members_of(network: nn.Module) -> dict[str, list[Tensor]]:
    """For every weight: the masks of zeros and of each value."""
    values = [0.0, *CODEBOOK.tolist()]
    return {
        name: [weight.detach() == torch.tensor(value) for value in values]
        for name, weight in prunable_parameters(network).items()
    }


def centroid_gradients(network: nn.Sequential, inputs: Tensor) -> dict[str, Tensor]:
    """dL/dc by autograd, the weights gathered from codebooks that require gradients."""
    codebooks, gathered = {}, {}
    for name, masks in members_of(network).items():
        codebooks[name] = CODEBOOK.clone().requires_grad_()
        codes = torch.stack(masks[1:]).long().argmax(0)
        gathered[name] = codebooks[name][codes] * ~masks[0]
    torch.func.functional_call(network, gathered, (inputs,)).square().sum().backward()
    return {name: codebook.grad for name, codebook in codebooks.items() if codebook.grad is not None}


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_each_member_gets_its_centroids_gradient_as_autograd_has_it_scaled_as_named(gradient: str) -> None:
    network = two_layers()
    shared_by_drawing(network)
    inputs = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    expected = centroid_gradients(network, inputs)
    members = members_of(network)
    network(inputs).square().sum().backward()
    SharedCentroids(network, gradient).before_step(network)
    for name, weight in prunable_parameters(network).items():
        assert weight.grad is not None
        counts = torch.tensor([int(mask.sum()) for mask in members[name][1:]]).double()
        scale = {"sum": torch.ones(5), "layer-sum": counts.mean().expand(5), "mean": counts}[gradient]
        assert not weight.grad[members[name][0]].any(), "a pruned weight has a gradient"
        for code, mask in enumerate(members[name][1:]):
            values = weight.grad[mask].unique()
            assert len(values) == 1
            assert float(values) == pytest.approx(float(expected[name][code] / scale[code]), rel=1e-5, abs=1e-6)


def test_biases_keep_their_own_gradient() -> None:
    network = two_layers()
    shared_by_drawing(network)
    network(torch.ones(2, 6)).square().sum().backward()
    bias = network.get_parameter("2.bias")
    assert bias.grad is not None
    before = bias.grad.clone()
    SharedCentroids(network).before_step(network)
    assert torch.equal(bias.grad, before)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_members_stay_bit_identical_and_pruned_weights_zero_over_steps_with_momentum(gradient: str) -> None:
    network = two_layers()
    shared_by_drawing(network)
    members, start = members_of(network), {n: w.detach().clone() for n, w in prunable_parameters(network).items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.003, momentum=0.9, nesterov=True)
    constraint = SharedCentroids(network, gradient)
    generator = torch.Generator().manual_seed(2)
    for number in range(10):
        optimizer.zero_grad()
        network(torch.randn(5, 6, generator=generator)).square().sum().backward()
        constraint.before_step(network)
        optimizer.step()
        constraint.after_step(network, number / 10)
        for name, weight in prunable_parameters(network).items():
            assert not weight[members[name][0]].any()
            assert [len(weight[mask].unique()) for mask in members[name][1:]] == [1] * 5
    for name, weight in prunable_parameters(network).items():
        assert all(not torch.equal(weight[mask], start[name][mask]) for mask in members[name][1:])


def test_what_drifts_apart_or_off_zero_is_brought_back_by_the_next_step() -> None:
    network = two_layers()
    shared_by_drawing(network)
    weight = network.get_parameter("0.weight")
    constraint, before = SharedCentroids(network), weight.detach().clone()
    with torch.no_grad():
        weight.view(-1)[7:] += 0.5  # the first six positions hold 0 and one member of each value
    constraint.after_step(network, 0.5)
    assert torch.equal(weight, before)


def test_projection_takes_each_clusters_mean_and_zeroes_what_is_pruned() -> None:
    network = two_layers()
    shared_by_drawing(network)
    members = members_of(network)
    averages = {name: torch.randn_like(value) for name, value in network.named_parameters()}
    before = {name: value.clone() for name, value in averages.items()}
    constraint = SharedCentroids(network)
    constraint.project(averages)
    for name, masks in members.items():
        assert not averages[name][masks[0]].any()
        for mask in masks[1:]:
            assert averages[name][mask].unique() == before[name][mask].double().mean().float()
    assert torch.equal(averages["2.bias"], before["2.bias"])
    once = {name: value.clone() for name, value in averages.items()}
    constraint.project(averages)
    assert all(torch.equal(averages[name], once[name]) for name in once), "a second projection changes nothing"


def test_a_layer_without_weights_stays_without() -> None:
    network = two_layers()
    shared_by_drawing(network)
    weight = network.get_parameter("0.weight")
    with torch.no_grad():
        weight.zero_()
    constraint = SharedCentroids(network, "layer-sum")
    network(torch.ones(2, 6)).square().sum().backward()
    constraint.before_step(network)
    assert weight.grad is not None
    assert not weight.grad.any()
    with torch.no_grad():
        weight.fill_(1)
    constraint.after_step(network, 0.5)
    assert not weight.any()


def test_the_layout_of_the_weights_in_memory_does_not_matter() -> None:
    plain, strided = tiny_network(), tiny_network()
    for network in (plain, strided):
        shared_by_drawing(network)
    strided.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    gradient = torch.randn(8, 6, 3, 3, generator=torch.Generator().manual_seed(3))
    for network in (plain, strided):
        network.conv2.weight.grad = gradient.clone().to(memory_format=torch.preserve_format)
        SharedCentroids(network, "sum").before_step(network)
    assert plain.conv2.weight.grad is not None
    assert strided.conv2.weight.grad is not None
    assert torch.equal(plain.conv2.weight.grad, strided.conv2.weight.grad)
    first, second = SharedCentroids(plain).state(), SharedCentroids(strided).state()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_state_and_restore_are_exact_also_where_clusters_have_met() -> None:
    network = two_layers()
    shared_by_drawing(network)
    constraint = SharedCentroids(network)
    state = {name: tensor.clone() for name, tensor in constraint.state().items()}
    with torch.no_grad():
        weight = network.get_parameter("0.weight")
        weight[weight == CODEBOOK[0]] = CODEBOOK[1]
    fresh = SharedCentroids(network)
    assert len(fresh.clusters["0.weight"].counts) == 4
    fresh.restore(state)
    assert fresh.state().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in fresh.state().items())
    for name, clusters in constraint.clusters.items():
        assert torch.equal(fresh.clusters[name].counts, clusters.counts)


def test_an_unknown_gradient_is_refused() -> None:
    with pytest.raises(RecipeError, match="^gradient 'median', must be one of sum, layer-sum, mean$"):
        SharedCentroids(two_layers(), "median")


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_resumed_centroid_run_repeats_an_uninterrupted_one(tmp_path: Path, gradient: str) -> None:
    recipe = quick_training(epochs=3, learning_rate=0.002, weight_decay=0.0)
    constraint = check_resumed_run_repeats(
        tmp_path,
        recipe,
        lambda: shared_by_drawing(tiny_network()),
        lambda network: SharedCentroids(network, gradient),
        8,
    )
    assert isinstance(constraint, SharedCentroids)
    assert {name: len(clusters.counts) for name, clusters in constraint.clusters.items()} == {
        "conv1.weight": 5,
        "conv2.weight": 5,
        "linear.weight": 5,
    }
    assert np.sum([len(clusters.codes) for clusters in constraint.clusters.values()]) < 510


def together() -> nn.Module:
    """Two layers that share values."""
    network = two_layers()
    with torch.no_grad():
        for weight in prunable_parameters(network).values():
            weight.copy_(torch.where(weight.abs() < 0.1, 0.0, torch.where(weight > 0, 0.5, -0.25)))
    return network


@pytest.mark.parametrize("gradient", ["sum", "layer-sum", "mean"])
def test_a_value_that_layers_share_moves_by_the_gradient_of_all_its_members(gradient: str) -> None:
    network = together()
    weights = prunable_parameters(network)
    constraint = SharedCentroids(network, gradient, together=True)
    for seed, weight in enumerate(weights.values()):
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
    before = {
        name: (weight.detach().clone(), weight.grad.clone())
        for name, weight in weights.items()
        if weight.grad is not None
    }
    members = [torch.cat([grad[value == each] for value, grad in before.values()]) for each in (-0.25, 0.5)]
    factor = {"sum": 1.0, "layer-sum": 2 / sum(len(each) for each in members), "mean": None}[gradient]
    constraint.before_step(network)
    for name, (value, _) in before.items():
        found = weights[name].grad
        assert found is not None
        for each, mine in zip((-0.25, 0.5), members, strict=True):
            expected = float(mine.sum()) * (1 / len(mine) if factor is None else factor)
            torch.testing.assert_close(found[value == each], torch.full_like(found[value == each], expected))
        assert not found[value == 0].any()


def test_layers_that_share_values_go_on_sharing_them() -> None:
    network = together()
    weights = prunable_parameters(network)
    constraint = SharedCentroids(network, together=True)
    with torch.no_grad():
        for step, weight in enumerate(weights.values()):
            weight.add_(0.01 * (step + 1))  # as rounding might
    constraint.after_step(network, 0.5)
    values = torch.cat([weight[weight != 0] for weight in weights.values()]).unique()
    assert len(values) == 2
    constraint.project(dict(weights))
    assert torch.equal(torch.cat([weight[weight != 0] for weight in weights.values()]).unique(), values)
    fresh = SharedCentroids(together(), together=True)
    fresh.restore(constraint.state())
    assert all(torch.equal(fresh.clusters[name].counts, mine.counts) for name, mine in constraint.clusters.items())
