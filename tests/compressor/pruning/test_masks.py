"""Which parameters are prunable, and masks that hold while the rest trains."""

from pathlib import Path

import pytest
import torch
from torch import nn

from compressor.errors import NetworkError
from compressor.pruning.masks import (
    FixedMasks,
    apply_masks,
    layer_of,
    nonzero_masks,
    prunable_parameters,
    sparsity_of,
)
from tests.compressor.blobs import quick_training, tiny_network, two_layers
from tests.compressor.resuming import check_resumed_run_repeats


def half_masks(network: nn.Module) -> dict[str, torch.Tensor]:
    """Every second weight, in row-major order, survives."""
    return {
        name: (torch.arange(weight.numel()) % 2 == 0).reshape(weight.shape)
        for name, weight in prunable_parameters(network).items()
    }


def test_weights_of_convolutions_and_linear_layers_are_prunable_in_network_order() -> None:
    network = tiny_network()
    assert list(prunable_parameters(network)) == ["conv1.weight", "conv2.weight", "linear.weight"]
    assert prunable_parameters(network)["conv2.weight"] is network.conv2.weight


def test_batchnorm_biases_and_other_modules_are_never_prunable() -> None:
    network = nn.Sequential(nn.Embedding(4, 3), nn.LayerNorm(3), nn.BatchNorm1d(3), nn.PReLU(), nn.Linear(3, 2))
    assert list(prunable_parameters(network)) == ["4.weight"]


def test_a_weight_that_two_layers_share_is_listed_once() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    network[2].weight = network[0].weight
    assert list(prunable_parameters(network)) == ["0.weight", "1.weight"]


def test_a_layer_that_is_used_twice_is_listed_once() -> None:
    layer = nn.Linear(3, 3)
    assert list(prunable_parameters(nn.Sequential(layer, nn.ReLU(), layer))) == ["0.weight"]


def test_a_network_that_is_one_layer_is_prunable() -> None:
    assert list(prunable_parameters(nn.Linear(2, 2))) == ["weight"]


def test_a_network_without_such_layers_is_refused() -> None:
    with pytest.raises(NetworkError, match="^the network has no convolution or linear layer to prune$"):
        prunable_parameters(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()))


@pytest.mark.parametrize(
    ("parameter", "layer"), [("layer1.0.conv1.weight", "layer1.0.conv1"), ("fc.weight", "fc"), ("weight", "")]
)
def test_the_layer_of_a_weight_is_its_path(parameter: str, layer: str) -> None:
    assert layer_of(parameter) == layer


def test_nonzero_masks_are_the_zeros_of_the_network_itself() -> None:
    network = two_layers()
    with torch.no_grad():
        prunable_parameters(network)["0.weight"][1, 2] = 0
    masks = nonzero_masks(network)
    assert [name for name, mask in masks.items() if not mask.all()] == ["0.weight"]
    assert (~masks["0.weight"]).nonzero().tolist() == [[1, 2]]


def test_sparsity_counts_weights_not_layers() -> None:
    masks = {"large": torch.ones(9, dtype=torch.bool), "small": torch.zeros(1, dtype=torch.bool)}
    assert sparsity_of(masks) == pytest.approx(0.1)


def test_applying_masks_zeroes_in_place_and_leaves_the_rest() -> None:
    weight = torch.tensor([1.0, -2.0, 3.0])
    apply_masks({"w": weight, "other": torch.ones(1)}, {"w": torch.tensor([True, False, True])})
    assert weight.tolist() == [1.0, 0.0, 3.0]


def test_momentum_from_before_the_mask_does_not_revive_a_weight() -> None:
    network = two_layers()
    weights = prunable_parameters(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    network(torch.ones(4, 6)).square().sum().backward()
    optimizer.step()  # fills the momentum of every weight
    constraint = FixedMasks(half_masks(network))
    apply_masks(dict(weights), constraint.masks)
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.ones(4, 6)).square().sum().backward()
        constraint.before_step(network)
        assert all(not weight.grad[~constraint.masks[name]].any() for name, weight in weights.items())  # type: ignore[index]
        optimizer.step()
        assert any(bool(weight[~constraint.masks[name]].any()) for name, weight in weights.items()), "momentum is gone"
        constraint.after_step(network, 0.5)
        for name, weight in weights.items():
            assert not weight[~constraint.masks[name]].any()
    for name, weight in weights.items():
        assert not torch.equal(weight[constraint.masks[name]], before[name][constraint.masks[name]])


def test_a_layer_without_gradient_is_no_obstacle() -> None:
    network = two_layers()
    FixedMasks(half_masks(network)).before_step(network)
    assert prunable_parameters(network)["0.weight"].grad is None


def test_fixed_masks_do_not_change_with_the_masks_they_were_made_from() -> None:
    masks = half_masks(two_layers())
    constraint = FixedMasks(masks)
    masks["0.weight"].fill_(True)
    assert constraint.masks["0.weight"].sum() == 15


def test_fixed_masks_project_averaged_weights() -> None:
    network = two_layers()
    constraint = FixedMasks(half_masks(network))
    averages = {name: torch.ones_like(value) for name, value in network.named_parameters()}
    constraint.project(averages)
    assert averages["0.weight"].flatten().tolist() == [1.0, 0.0] * 15
    assert averages["2.bias"].tolist() == [1.0, 1.0, 1.0]


def test_fixed_masks_are_restored_exactly() -> None:
    network = two_layers()
    saved = FixedMasks(half_masks(network)).state()
    fresh = FixedMasks(nonzero_masks(network))
    fresh.restore(saved)
    assert all(torch.equal(fresh.masks[name], mask) for name, mask in half_masks(network).items())
    assert saved.keys() == {"mask.0.weight", "mask.2.weight"}
    assert {tensor.dtype for tensor in saved.values()} == {torch.uint8}


def test_a_resumed_run_with_fixed_masks_repeats_an_uninterrupted_one(tmp_path: Path) -> None:
    def constrain(network: nn.Module) -> FixedMasks:
        masks = half_masks(network)
        apply_masks(dict(prunable_parameters(network)), masks)
        return FixedMasks(masks)

    constraint = check_resumed_run_repeats(tmp_path, quick_training(epochs=3), tiny_network, constrain, 8)
    assert isinstance(constraint, FixedMasks)
    assert sparsity_of(constraint.masks) == 0.5
