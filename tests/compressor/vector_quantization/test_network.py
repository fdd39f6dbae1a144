"""Networks whose vectors are codewords: assignment, projection, training, the file."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compressor.bundling import bundle_of
from compressor.errors import CheckpointError, RecipeError
from compressor.layer_rules import LayerRules
from compressor.networks import build_network
from compressor.pruning.masks import prunable_parameters
from compressor.sharing.network import share_network
from compressor.sharing.recipe import ShareRecipe
from compressor.training.files import save_tensors
from compressor.training.trainer import Trainer
from compressor.vector_quantization import (
    TrainedCodewords,
    VectorAssignment,
    VectorRecipe,
    check_vectors,
    input_moments,
    quantize_vectors,
)
from model_store.tensors import SharedTensor
from model_store.vectors import VectorTensor
from tests.compressor.blobs import (
    TINY_CARD,
    TINY_PREPROCESSING,
    TINY_SAMPLES,
    TinyNetwork,
    draw,
    quick_training,
    tiny_network,
)

IMAGES = TINY_SAMPLES.images
MIDDLE: LayerRules = (("conv2", 6), ("*", 0))
EVERY: LayerRules = (("*", 6),)
PQ = VectorRecipe("pq", (("*", 9),), MIDDLE)
RQ = VectorRecipe("rq", (("*", 9),), MIDDLE, stages=3)


def quantized(recipe: VectorRecipe, seed: int = 0) -> tuple[TinyNetwork, VectorAssignment]:
    network = tiny_network(seed)
    moments = input_moments(network, TINY_SAMPLES)
    return network, quantize_vectors(network, recipe, moments, seed)


def distinct(weight: torch.Tensor, length: int = 9) -> int:
    return len(torch.unique(weight.detach().reshape(-1, length), dim=0))


def test_product_quantization_leaves_so_many_kernels_and_touches_no_other_layer() -> None:
    network, assignment = quantized(PQ)
    assert distinct(network.conv2.weight) == 6
    assert assignment.layers == {"conv2.weight"}
    before = tiny_network()
    assert torch.equal(network.conv1.weight, before.conv1.weight)
    assert torch.equal(network.linear.weight, before.linear.weight)


def test_residual_stages_err_less_than_one_of_as_many_codewords() -> None:
    exact = tiny_network().conv2.weight.detach()
    errors = [float((quantized(recipe)[0].conv2.weight.detach() - exact).square().sum()) for recipe in (PQ, RQ)]
    assert errors[1] < 0.8 * errors[0]
    assert distinct(quantized(RQ)[0].conv2.weight) > 6


def test_the_assignment_is_the_same_for_the_same_seed() -> None:
    first, second = quantized(RQ, 3), quantized(RQ, 3)
    assert torch.equal(first[0].conv2.weight, second[0].conv2.weight)
    assert torch.equal(first[1].groups[0].codes, second[1].groups[0].codes)


@pytest.mark.parametrize("recipe", [PQ, RQ])
def test_projection_is_the_nearest_of_its_space_and_leaves_what_is_in_it(recipe: VectorRecipe) -> None:
    _, assignment = quantized(recipe)
    (group,) = assignment.groups
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(8, 6, 3, 3, generator=generator)
    once = {"conv2.weight": given.clone()}
    group.project(once)
    twice = {"conv2.weight": once["conv2.weight"].clone()}
    group.project(twice)
    torch.testing.assert_close(once["conv2.weight"], twice["conv2.weight"])
    rest = (given - once["conv2.weight"]).reshape(-1, 9).double()
    for codes in group.codes:  # orthogonal to every codeword's indicator
        sums = torch.zeros(group.codewords, 9, dtype=torch.float64).index_add_(0, codes, rest)
        assert float(sums.abs().max()) < 1e-4


def test_codebooks_of_the_network_hold_the_vectors_of_several_layers() -> None:
    recipe = VectorRecipe("pq", (("linear", 8), ("*", 9)), (("*", 5),), codebooks="network")
    network, assignment = quantized(recipe)
    assert [(group.length, group.layers) for group in assignment.groups] == [
        (9, ("conv1.weight", "conv2.weight")),
        (8, ("linear.weight",)),
    ]
    both = torch.cat([network.conv1.weight.reshape(-1, 9), network.conv2.weight.reshape(-1, 9)])
    assert distinct(both) == 5


def test_vectors_that_are_zero_stay_zero_and_have_a_codeword_of_their_own() -> None:
    network = tiny_network()
    with torch.no_grad():
        network.conv2.weight[:, 2] = 0
    assignment = quantize_vectors(network, RQ, input_moments(network, TINY_SAMPLES), 0)
    assert not network.conv2.weight[:, 2].any()
    gradients = {"conv2.weight": torch.ones(8, 6, 3, 3)}
    assignment.groups[0].project(gradients)
    assert not gradients["conv2.weight"][:, 2].any()
    share_network(network, ShareRecipe(), 0, assignment.layers)
    tensor = bundle_of(network, TINY_CARD, vectors=assignment).tensors
    (vectors,) = (each for each in tensor if isinstance(each, VectorTensor))
    assert not vectors.to_dense()[:, 2].any()


@pytest.mark.parametrize("recipe", [PQ, RQ])
def test_training_moves_codewords_and_never_leaves_them(recipe: VectorRecipe) -> None:
    network, assignment = quantized(recipe)
    before = network.conv2.weight.detach().clone()
    trainer = Trainer(
        network, TINY_PREPROCESSING, quick_training(), constraint=TrainedCodewords(assignment), progress=False
    )
    weight = trainer.fit(IMAGES, draw(30, 2)).get_parameter("conv2.weight").detach()
    assert float((weight - before).abs().max()) > 1e-3
    (group,) = assignment.groups
    vectors = group.vectors({"conv2.weight": weight})
    torch.testing.assert_close(group.sums(group.fit(vectors)), vectors, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recipe", [PQ, RQ])
def test_the_file_holds_the_codewords_to_float16(recipe: VectorRecipe) -> None:
    network, assignment = quantized(recipe)
    share_network(network, ShareRecipe(), 0, assignment.layers)
    tensors = bundle_of(network, TINY_CARD, vectors=assignment).tensors
    (vectors,) = (tensor for tensor in tensors if isinstance(tensor, VectorTensor))
    assert len(vectors.books) == recipe.stages
    assert max(len(book) for book in vectors.books) <= 6
    np.testing.assert_allclose(vectors.to_dense(), network.conv2.weight.detach().numpy(), atol=2e-3)
    assert sum(isinstance(tensor, SharedTensor) for tensor in tensors) == 2


def test_an_assignment_is_saved_and_read_back(tmp_path: Path) -> None:
    _, assignment = quantized(RQ)
    assignment.save(tmp_path / "vectors.safetensors")
    (before,), (after,) = (
        assignment.groups,
        VectorAssignment.load(tmp_path / "vectors.safetensors", torch.device("cpu")).groups,
    )
    assert (before.length, before.layers, before.codewords) == (after.length, after.layers, after.codewords)
    assert torch.equal(before.codes, after.codes)
    assert all(torch.equal(a, b) for a, b in zip(before.alive, after.alive, strict=True))
    save_tensors(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=r"other.safetensors: not an assignment of codewords"):
        VectorAssignment.load(tmp_path / "other.safetensors", torch.device("cpu"))


@torch.no_grad()
def test_moments_are_the_mean_squares_of_what_each_layer_sees() -> None:
    network = tiny_network()
    moments = input_moments(network, TINY_SAMPLES)
    seen: dict[str, torch.Tensor] = {}
    network.eval()
    network.linear.register_forward_hook(lambda module, inputs, output: seen.update(linear=inputs[0]))
    network.conv2.register_forward_hook(lambda module, inputs, output: seen.update(conv2=inputs[0]))
    network((IMAGES.pixels.float() / 255 - 0.3) / 0.25)
    torch.testing.assert_close(moments["linear.weight"], seen["linear"].double().square().mean(0))
    torch.testing.assert_close(moments["conv2.weight"], seen["conv2"].double().square().mean((0, 2, 3)))


def test_vectors_whose_inputs_are_strong_are_served_better() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 40, bias=False))
    torch.manual_seed(1)
    nn.init.normal_(network[1].weight)
    exact = network[1].weight.detach().clone()
    strong = torch.cat([torch.full((32,), 100.0), torch.ones(32)]).double()
    quantize_vectors(network, VectorRecipe("pq", (("*", 4),), (("*", 12),)), {"1.weight": strong}, 0)
    error = (network[1].weight.detach() - exact).square().mean(0)
    assert float(error[:32].mean()) < 0.8 * float(error[32:].mean())


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (VectorRecipe("pq", (("*", 7),), MIDDLE), "length: conv2 = 7, must divide its rows of 54 weights"),
        (VectorRecipe("pq", (("*", 9),), EVERY), "length: linear = 9, must divide its rows of 8 weights"),
        (VectorRecipe("pq", (("*", 9),), (("*", 0),)), "must be above 0 for one of 3 layers"),
    ],
)
def test_a_recipe_that_fits_no_layer_is_refused(recipe: VectorRecipe, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        quantized(recipe)
    assert message in str(caught.value)
    with pytest.raises(RecipeError) as before:
        check_vectors(tiny_network(), recipe)
    assert str(before.value) == str(caught.value)


def test_without_a_length_the_layers_that_have_whole_kernels_are_cut_and_no_others() -> None:
    network, assignment = quantized(VectorRecipe("pq", codewords=EVERY))
    assert assignment.layers == {"conv1.weight", "conv2.weight"}
    assert {group.length for group in assignment.groups} == {9}
    assert torch.equal(network.linear.weight, tiny_network().linear.weight)
    check_vectors(build_network("resnet18", 10), VectorRecipe())  # whose shortcuts are 1x1
    with pytest.raises(RecipeError) as caught:
        check_vectors(build_network("lenet5", 10), VectorRecipe())
    assert str(caught.value) == "length: 9 where none is given, must divide the rows of a layer that takes codewords"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "vq"}, "vector quantization 'vq', must be one of pq, rq"),
        ({"length": (("*", 65),)}, "length: * = 65, must be in 1..64"),
        ({"codewords": (("*", 1023),)}, "codewords: * = 1023, must be in 0..1022"),
        ({"length": (("*", 1.5),)}, "must be whole numbers"),
        ({"stages": 2}, "stages = 2, must be in 1..1 for pq"),
        ({"method": "rq"}, "stages = 1, must be in 2..8 for rq"),
        ({"codebooks": "file"}, "codebooks 'file', must be one of layer, network"),
        ({"codebooks": "network", "codewords": (("first", 8), ("*", 16))}, "must be 0 or one number"),
    ],
)
def test_recipes_say_what_is_out_of_range(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        dataclasses.replace(VectorRecipe(), **changes)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_a_grouped_convolution_weighs_each_filter_by_its_own_channels() -> None:
    convolution = nn.Conv2d(4, 4, 1, groups=2, bias=False)
    network = nn.Sequential(convolution)
    with torch.no_grad():
        convolution.weight.copy_(torch.arange(8.0).reshape(4, 2, 1, 1) + 1)
    moments = torch.tensor([1.0, 1.0, 9.0, 9.0], dtype=torch.float64)
    quantize_vectors(network, VectorRecipe("pq", (("*", 2),), (("*", 1),)), {"0.weight": moments}, 0)
    # one codeword for all: the mean of (1, 2), (3, 4), (5, 6), (7, 8), of which the last two count nine times
    mean = (1 + 3 + 9 * 5 + 9 * 7) / 20
    torch.testing.assert_close(
        prunable_parameters(network)["0.weight"][:, :, 0, 0], torch.tensor([[mean, mean + 1]] * 4)
    )
