"""Searches for structure: what each does in a step, what is left at the end, and resuming."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compressor.errors import RecipeError
from compressor.pruning.masks import prunable_parameters
from compressor.structured.groups import group_norms
from compressor.structured.recipe import METHODS, StructuredRecipe
from compressor.structured.rounds import structured_rounds
from compressor.structured.search import StructuredSearch
from compressor.training.trainer import Trainer
from tests.compressor.blobs import TINY_PREPROCESSING, TINY_SAMPLES, draw, quick_training, tiny_network
from tests.compressor.resuming import check_resumed_run_repeats
from tests.compressor.toys import exactly

HALF = (("*", 0.5),)
START = [[1.0, 1.0], [-3.0, 0.0], [0.0, 4.0], [0.5, 0.5]]  # l1 norms 2, 3, 4, 1; l2 norms 1.41, 3, 4, 0.71


def layer() -> nn.Linear:
    made = nn.Linear(2, 4, bias=False)
    with torch.no_grad():
        made.weight.copy_(torch.tensor(START))
    return made


def search(network: nn.Module, recipe: StructuredRecipe) -> StructuredSearch:
    return next(structured_rounds(recipe, lambda progress: 0.1)).begin(network, TINY_SAMPLES)


def step(constraint: StructuredSearch, network: nn.Linear, gradient: Tensor, progress: float) -> Tensor:
    """One step of plain SGD at a rate of 0.1; returns the gradient that the optimiser saw."""
    network.weight.grad = gradient.clone()
    constraint.before_step(network)
    seen = network.weight.grad.clone()
    with torch.no_grad():
        network.weight.sub_(0.1 * seen)
    constraint.after_step(network, progress)
    return seen


def test_a_search_without_time_chooses_at_once() -> None:
    network = layer()
    search(network, StructuredRecipe("l1", kept=HALF, end=0.0))
    assert network.weight.tolist() == [[0, 0], [-3, 0], [0, 4], [0, 0]]


def test_l1_and_l2_norms_choose_differently() -> None:
    network = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 1.0, 1.0], [2.5, 0.1, 0.1]]))
    search(network, StructuredRecipe("l1", kept=HALF, end=0.0))
    assert network.weight[:, 0].tolist() == [1.0, 0.0]


def test_what_is_gone_stays_gone_and_the_rest_trains() -> None:
    network = layer()
    constraint = search(network, StructuredRecipe("l1", kept=HALF, end=0.0))
    step(constraint, network, torch.ones(4, 2), 0.5)
    assert network.weight.tolist() == [[0, 0], [pytest.approx(-3.1), 0], [0, pytest.approx(3.9)], [0, 0]]


def test_soft_filters_are_zeroed_and_may_come_back() -> None:
    network = layer()
    recipe = StructuredRecipe("sfp", kept=HALF, refresh_steps=1, end=0.9)
    constraint = search(network, recipe)
    step(constraint, network, torch.zeros(4, 2), 0.1)
    assert group_norms(network.weight.detach(), "filters").tolist() == [0, 3, 4, 0]
    step(constraint, network, torch.tensor([[-90.0, 0], [0, 0], [0, 0], [0, 0]]), 0.2)
    assert group_norms(network.weight.detach(), "filters").tolist() == pytest.approx([9, 0, 4, 0])


def test_group_lasso_pulls_whole_filters_towards_zero_at_one_pace() -> None:
    network = layer()
    constraint = search(network, StructuredRecipe("group-lasso", kept=HALF, strength=2.0))
    pull = step(constraint, network, torch.zeros(4, 2), 0.1)
    assert pull.norm(dim=1).tolist() == pytest.approx([2.0] * 4)
    assert torch.allclose(pull[1], torch.tensor([-2.0, 0.0]))


def test_admm_pulls_towards_the_projection_and_counts_what_is_left() -> None:
    network = layer()
    constraint = search(network, StructuredRecipe("admm", kept=HALF, strength=1.0, growth=1.5, refresh_steps=1))
    pull = step(constraint, network, torch.zeros(4, 2), 0.1)
    assert torch.allclose(pull, torch.tensor([[1.0, 1.0], [0, 0], [0, 0], [0.5, 0.5]]))  # W - Z + U, U = 0
    again = step(constraint, network, torch.zeros(4, 2), 0.2)  # U = W - Z = 0.9 W there, rho = 1.5
    assert torch.allclose(again[0], torch.tensor([1.5 * 1.8, 1.5 * 1.8]))


def test_factorized_filters_hold_scalar_times_filter() -> None:
    network = layer()
    recipe = StructuredRecipe("fcf", kept=HALF, strength=0.5, growth=1.0, mixing=1.0)
    constraint = search(network, recipe)
    seen = step(constraint, network, torch.ones(4, 2), 0.1)
    assert torch.equal(seen, torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))  # v = 1; zeros stay
    # v = 1: the box gives 1/2 each, the sphere 1 each: v -= 0.1 * 0.5 * (2 - 1.5)
    state = constraint.state()
    assert state["scalars.weight"].tolist() == pytest.approx([0.975] * 4)
    assert state["box.weight"].tolist() == pytest.approx([0.5 * 0.475] * 4)
    assert state["sphere.weight"].tolist() == pytest.approx([0.5 * -0.025] * 4)
    assert torch.allclose(network.weight, 0.975 * state["filters.weight"])


def test_factorized_scalars_are_driven_to_the_filters_that_the_loss_wants() -> None:
    network = layer()
    recipe = StructuredRecipe("fcf", kept=HALF, strength=0.01, growth=1.01, mixing=0.5, end=0.9)
    constraint = search(network, recipe)
    for number in range(1200):
        target = torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.5, 0.5]])
        step(constraint, network, network.weight.detach() - target, 0.0005 * number)
    scalars = constraint.state()["scalars.weight"]
    assert bool((((scalars - 0).abs() < 0.05) | ((scalars - 1).abs() < 0.05)).all())
    assert (scalars > 0.5).tolist() == [True, False, False, True]


def test_a_layer_whose_share_is_one_is_left_alone() -> None:
    network = tiny_network()
    before = network.linear.weight.detach().clone()
    search(network, StructuredRecipe("l1", kept=(("last", 1.0), ("*", 0.5)), end=0.0))
    assert torch.equal(network.linear.weight, before)
    assert int((group_norms(network.conv2.weight.detach(), "filters") > 0).sum()) == 4


def test_nothing_to_prune_is_refused() -> None:
    message = "kept: (('*', 1.0),), must be below 1 for one of 3 layers"
    with pytest.raises(RecipeError, match=exactly(message)):
        search(tiny_network(), StructuredRecipe(kept=(("*", 1.0),)))


def test_columns_then_filters_leave_what_both_rounds_keep() -> None:
    network = tiny_network()
    recipe = StructuredRecipe("l1", ("columns", "filters"), kept=(("last", 1.0), ("*", 0.5)), end=0.0)
    names = []
    for one in structured_rounds(recipe, lambda progress: 0.1):
        one.begin(network, TINY_SAMPLES)
        names.append(one.name)
    weight = network.conv2.weight.detach()
    assert names == ["prune-columns", "prune-filters"]
    assert int((group_norms(weight, "filters") > 0).sum()) == 4
    assert int((group_norms(weight, "columns") > 0).sum()) <= 27
    assert int((weight != 0).sum()) == 4 * 27


def test_each_round_has_its_own_shares() -> None:
    network = tiny_network()
    kept = (("filters:conv2", 0.5), ("columns:conv2", 0.25), ("channels:last", 0.5), ("*", 1.0))
    recipe = StructuredRecipe("l1", ("filters", "columns", "channels"), kept=kept, end=0.0)
    before = network.conv1.weight.detach().clone()
    for one in structured_rounds(recipe, lambda progress: 0.1):
        one.begin(network, TINY_SAMPLES)
    weight, linear = network.conv2.weight.detach(), network.linear.weight.detach()
    assert torch.equal(network.conv1.weight, before)
    assert int((group_norms(weight, "filters") > 0).sum()) == weight.shape[0] // 2
    assert int((group_norms(weight, "columns") > 0).sum()) == weight[0].numel() // 4
    assert int((group_norms(linear, "filters") > 0).sum()) == linear.shape[0]
    assert int((group_norms(linear, "channels") > 0).sum()) == linear.shape[1] // 2


@pytest.mark.parametrize("method", METHODS)
def test_what_is_trained_learns_and_has_the_structure(method: str) -> None:
    network = tiny_network()
    recipe = quick_training(epochs=8)
    rounds = StructuredRecipe(method, kept=(("last", 1.0), ("*", 0.5)), refresh_steps=3)
    constraint = next(structured_rounds(rounds, recipe.learning_rate_at)).begin(network, TINY_SAMPLES)
    trained = Trainer(network, TINY_PREPROCESSING, recipe, constraint=constraint, progress=False).fit(
        draw(192, 1), draw(60, 2)
    )
    alive = {n: int((group_norms(w.detach(), "filters") > 0).sum()) for n, w in prunable_parameters(trained).items()}
    assert alive == {"conv1.weight": 3, "conv2.weight": 4, "linear.weight": 3}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", [8, 14])  # killed while it searches, and after the choice
def test_a_killed_run_goes_on_as_if_it_had_not_been(method: str, steps: int, tmp_path: Path) -> None:
    recipe = quick_training(epochs=4)
    rounds = StructuredRecipe(method, kept=(("last", 1.0), ("*", 0.5)), refresh_steps=2)
    check_resumed_run_repeats(
        tmp_path,
        recipe,
        tiny_network,
        lambda network: next(structured_rounds(rounds, recipe.learning_rate_at)).begin(network, TINY_SAMPLES),
        steps=steps,
    )
