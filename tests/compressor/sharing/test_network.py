"""Sharing the weights of a whole network."""

import numpy as np
import torch
from torch import nn

from compressor.pruning.masks import nonzero_masks, prunable_parameters
from compressor.sharing.codebooks import fit_codebook, share
from compressor.sharing.network import share_network
from compressor.sharing.recipe import ShareRecipe
from tests.compressor.blobs import same_state, tiny_network


def pruned_network() -> nn.Module:
    network = tiny_network()
    with torch.no_grad():
        for weight in prunable_parameters(network).values():
            weight[weight.abs() < 0.1] = 0
    return network


def test_every_layer_has_its_own_codebook_of_its_own_size() -> None:
    network = pruned_network()
    share_network(network, ShareRecipe((("first", 4), ("last", 3), ("*", 8))), 0)
    values = [weight[weight != 0].unique() for weight in prunable_parameters(network).values()]
    assert [len(each) for each in values] == [4, 8, 3]
    assert not set(values[0].tolist()) & set(values[1].tolist())
    assert all(torch.equal(each, each.half().float()) for each in values)


def test_weights_are_those_of_fit_and_share_and_zeros_stay() -> None:
    network, before = pruned_network(), pruned_network()
    recipe = ShareRecipe((("*", 6),), "forgy", 0.01)
    share_network(network, recipe, 3)
    for name, weight in prunable_parameters(before).items():
        dense = weight.detach().numpy()
        expected = share(dense, fit_codebook(dense, 6, "forgy", 3), 0.01).to_dense()
        assert np.array_equal(prunable_parameters(network)[name].detach().numpy(), expected)
    for name, mask in nonzero_masks(before).items():
        assert torch.equal(nonzero_masks(network)[name], mask)


def test_nothing_but_weights_changes() -> None:
    network, before = pruned_network(), pruned_network()
    share_network(network, ShareRecipe(), 0)
    for name, weight in prunable_parameters(network).items():
        assert not torch.equal(weight, prunable_parameters(before)[name])
        with torch.no_grad():
            weight.copy_(prunable_parameters(before)[name])
    assert same_state(network, before)


def test_the_layout_of_the_weights_in_memory_does_not_matter() -> None:
    plain, strided = pruned_network(), pruned_network()
    strided.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for network in (plain, strided):
        share_network(network, ShareRecipe(), 0)
    assert same_state(plain, strided)


def test_a_layer_without_weights_stays_without() -> None:
    network = tiny_network()
    with torch.no_grad():
        network.linear.weight.zero_()
    share_network(network, ShareRecipe(), 0)
    assert not network.linear.weight.any()
    assert network.conv1.weight.any()


def test_one_codebook_for_all_layers_is_fitted_to_all_their_weights() -> None:
    network, before = pruned_network(), pruned_network()
    share_network(network, ShareRecipe((("*", 6),), entropy_penalty=0.01, codebooks="network"), 0)
    alive = np.concatenate([weight.detach().numpy().ravel() for weight in prunable_parameters(before).values()])[None]
    expected = share(alive, fit_codebook(alive, 6), 0.01)
    values = torch.cat([weight[weight != 0] for weight in prunable_parameters(network).values()]).detach()
    assert np.array_equal(values.unique().numpy(), expected.codebook.astype(np.float32))
    assert torch.equal(values, torch.from_numpy(expected.to_dense()[expected.to_dense() != 0]))
    for name, mask in nonzero_masks(before).items():
        assert torch.equal(nonzero_masks(network)[name], mask)
