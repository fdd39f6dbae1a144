"""From a network to a bundle and back: float16 rounding, sizes, and an oracle that agrees."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from compressor.bundling import bundle_of, dense_bytes_of, oracle_of, same_tensors
from compressor.errors import CompressorError
from compressor.networks import build_network
from compressor.networks.card import NetworkCard
from compressor.pruning.masks import prunable_parameters
from compressor.sharing.network import share_network
from compressor.sharing.recipe import ShareRecipe
from compressor.training.evaluation import logits_of
from model_store.accounting import account
from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.errors import BundleError
from model_store.preprocessing import Preprocessing
from model_store.tensors import AffineTensor, FloatTensor, SharedTensor
from tests.compressor.blobs import CLASSES, TINY, TINY_CARD, TINY_PREPROCESSING, TinyNetwork, draw, tiny_network

CARD_300 = NetworkCard("lenet300", Preprocessing(28, 28, (0.13,), (0.31,)), tuple("0123456789"))


def shared_network(clusters: int = 6) -> TinyNetwork:
    """Pruned and shared, with BatchNorm statistics of its own."""
    network = tiny_network()
    with torch.no_grad():
        for weight in prunable_parameters(network).values():
            weight[weight.abs() < 0.08] = 0
        network.train()
        network(torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(1)))
        network.bn1.weight.add_(torch.linspace(-0.3, 0.3, 6))
    share_network(network, ShareRecipe((("*", clusters),)), 0)
    return network.eval()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return bundle_of(shared_network(), TINY_CARD, {"seed": 5})


@pytest.mark.parametrize(("name", "parameters"), [("lenet300", 266_610), ("lenet5", 431_080)])
def test_dense_bytes_are_four_a_parameter_where_there_are_no_buffers(name: str, parameters: int) -> None:
    assert dense_bytes_of(build_network(name, 10)) == 4 * parameters


def test_dense_bytes_count_floating_buffers_and_no_counters() -> None:
    weights, norms = 54 + 432 + 24 + 3, 4 * (6 + 8)  # BatchNorm: weight, bias, running mean and variance
    assert dense_bytes_of(tiny_network()) == 4 * (weights + norms)
    assert dense_bytes_of(nn.BatchNorm2d(5)) == 4 * 20


def test_dense_bytes_are_those_of_fp32_whatever_the_precision() -> None:
    assert dense_bytes_of(tiny_network().half()) == dense_bytes_of(tiny_network())


def test_a_bundle_says_what_it_was_made_from(bundle: Bundle) -> None:
    assert bundle.architecture == TINY
    assert bundle.preprocessing == TINY_PREPROCESSING
    assert bundle.class_names == CLASSES
    assert bundle.parameters == 54 + 432 + 24 + 3 + 2 * 14
    assert bundle.dense_bytes == dense_bytes_of(tiny_network())
    assert bundle.provenance == {"seed": 5}


def test_weights_are_shared_tensors_and_all_else_is_float16(bundle: Bundle) -> None:
    kinds = {}
    for node in bundle.graph.nodes:
        for role, index in node.tensor_roles():
            kinds[node.operator, role] = type(bundle.tensors[index])
    assert kinds["Conv", "weight"] is SharedTensor
    assert kinds["Gemm", "weight"] is SharedTensor
    assert {kind for (_, role), kind in kinds.items() if role != "weight"} == {FloatTensor}


def test_in_8_bits_vectors_are_off_by_half_a_step_and_the_rest_stays(bundle: Bundle) -> None:
    eight = bundle_of(shared_network(), TINY_CARD, {"seed": 5}, scale_bits=8)
    kinds = set()
    for before, after in zip(bundle.tensors, eight.tensors, strict=True):
        kinds.add((type(before), type(after), len(before.shape), before.shape[0] > 4))
        exact, found = before.to_dense(), after.to_dense()
        if isinstance(after, AffineTensor):
            assert np.abs(found - exact).max() <= np.ptp(exact) / 510 + 2 * np.spacing(np.float16(np.abs(exact).max()))
        else:
            assert np.array_equal(found, exact)
    assert kinds == {
        (SharedTensor, SharedTensor, 4, True),
        (SharedTensor, SharedTensor, 2, False),
        (FloatTensor, AffineTensor, 1, True),
        (FloatTensor, FloatTensor, 1, False),
    }
    images = draw(20, 5)
    logits = [logits_of(oracle_of(item), images, TINY_PREPROCESSING) for item in (bundle, eight)]
    torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=0.05)
    assert len(encode_bundle(eight)) < len(encode_bundle(bundle))


def test_shared_tensors_are_the_networks_weights_bit_for_bit(bundle: Bundle) -> None:
    weights = [weight.detach().numpy() for weight in prunable_parameters(shared_network()).values()]
    tensors = [tensor for tensor in bundle.tensors if isinstance(tensor, SharedTensor)]
    for weight, tensor in zip(weights, tensors, strict=True):
        assert np.array_equal(tensor.to_dense(), weight)
        assert len(tensor.codebook) <= 6


def test_the_oracle_of_the_decoded_file_agrees_with_the_network(bundle: Bundle) -> None:
    decoded = decode_bundle(encode_bundle(bundle))
    assert same_tensors(decoded, bundle)
    images = draw(40, 3)
    expected = logits_of(shared_network(), images, TINY_PREPROCESSING)
    found = logits_of(oracle_of(decoded), images, TINY_PREPROCESSING)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)  # scale and bias are rounded to float16


def test_the_oracle_computes_the_rounded_network_to_float32() -> None:
    network = build_network("lenet300", 10)
    share_network(network, ShareRecipe((("*", 8),)), 0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(parameter.half().float())
    images = draw(20, 4, 28)
    found = logits_of(oracle_of(bundle_of(network, CARD_300)), images, CARD_300.preprocessing)
    torch.testing.assert_close(found, logits_of(network, images, CARD_300.preprocessing), rtol=1e-5, atol=1e-5)


def test_a_layer_that_does_not_share_values_is_refused() -> None:
    with pytest.raises(CompressorError) as caught:
        bundle_of(build_network("lenet300", 10), CARD_300)
    assert str(caught.value).startswith("ip1.weight: ")
    assert str(caught.value).endswith(" distinct weights, must share at most 1022")


@pytest.mark.parametrize("place", ["weight", "bias"])
def test_a_value_that_float16_cannot_hold_is_refused_without_a_warning(place: str) -> None:
    network = shared_network()
    with torch.no_grad():
        getattr(network.linear, place).view(-1)[0] = 1e6
    with pytest.raises(BundleError):
        bundle_of(network, TINY_CARD)


def test_a_layer_without_any_weight_is_bundled() -> None:
    network = shared_network()
    with torch.no_grad():
        network.conv2.weight.zero_()
    decoded = decode_bundle(encode_bundle(bundle_of(network, TINY_CARD)))
    images = draw(9, 5)
    found = logits_of(oracle_of(decoded), images, TINY_PREPROCESSING)
    torch.testing.assert_close(found, logits_of(network, images, TINY_PREPROCESSING), rtol=0, atol=5e-3)


def test_bundling_changes_neither_weights_nor_mode_of_the_network() -> None:
    network = shared_network().train()
    before = copy.deepcopy(network.state_dict())
    bundle_of(network, TINY_CARD)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_bundles_that_compute_the_same_are_told_from_those_that_do_not(bundle: Bundle) -> None:
    assert same_tensors(bundle, dataclasses.replace(bundle, provenance={}))
    other = list(bundle.tensors)
    index = next(i for i, tensor in enumerate(other) if isinstance(tensor, FloatTensor))
    values = other[index].to_dense().astype(np.float16)
    values.flat[0] += 1
    other[index] = FloatTensor(values)
    assert not same_tensors(bundle, dataclasses.replace(bundle, tensors=tuple(other)))
    assert not same_tensors(bundle, bundle_of(build_shared_300(), CARD_300))


def build_shared_300() -> nn.Module:
    network = build_network("lenet300", 10)
    share_network(network, ShareRecipe((("*", 2),)), 0)
    return network


def test_one_codebook_is_in_the_file_once_and_the_values_are_the_same() -> None:
    network = tiny_network()
    share_network(network, ShareRecipe((("*", 6),), codebooks="network"), 0)
    apart, once = bundle_of(network, TINY_CARD), bundle_of(network, TINY_CARD, one_codebook=True)
    assert same_tensors(apart, once)
    books = [tensor.codebook for tensor in once.tensors if isinstance(tensor, SharedTensor)]
    assert len(books) == 3
    assert all(np.array_equal(book, books[0]) for book in books)
    by_kind = [account(encode_bundle(bundle)).by_kind()["codebooks"] for bundle in (apart, once)]
    assert by_kind[1] < by_kind[0]
    assert same_tensors(decode_bundle(encode_bundle(once)), once)
