"""The cubic schedule, and gradual pruning: weights may come back before the mask is fixed and never after."""

from pathlib import Path

import pytest
import torch
from torch import nn

from compressor.errors import RecipeError
from compressor.pruning.magnitude import CubicSchedule, GradualPruning
from compressor.pruning.masks import prunable_parameters, sparsity_of
from compressor.pruning.scores import SCORES, lamp_scores, masks_by_score
from tests.compressor.blobs import quick_training, tiny_network, two_layers
from tests.compressor.resuming import check_resumed_run_repeats

HALF = CubicSchedule(0.5, 0.0, 0.6)


def one_layer(*weights: float) -> nn.Linear:
    layer = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights]))
    return layer


def step(constraint: GradualPruning, layer: nn.Linear, optimizer: torch.optim.SGD, progress: float) -> None:
    """One step on L = (sum of weights)^2 / 2, whose gradient is that sum everywhere."""
    optimizer.zero_grad()
    (layer(torch.ones(1, layer.in_features)).square() / 2).sum().backward()
    constraint.before_step(layer)
    optimizer.step()
    constraint.after_step(layer, progress)


@pytest.mark.parametrize(
    ("progress", "sparsity"),
    [(0.0, 0.0), (0.2, 0.0), (0.4, 0.8 * 37 / 64), (0.6, 0.8 * 7 / 8), (0.8, 0.8 * 63 / 64), (0.99, 0.8), (1.0, 0.8)],
)
def test_sparsity_follows_the_cubic_between_begin_and_end(progress: float, sparsity: float) -> None:
    assert CubicSchedule(0.8, 0.2, 0.2 + 0.8 * 0.9875).sparsity_at(progress) == pytest.approx(sparsity, abs=0.02)
    share = min(max((progress - 0.1) / 0.6, 0), 1)
    assert CubicSchedule(0.8, 0.1, 0.7).sparsity_at(progress) == pytest.approx(0.8 - 0.8 * (1 - share) ** 3)


def test_sparsity_never_falls_and_ends_exactly_at_its_final_value() -> None:
    schedule = CubicSchedule(0.7, 0.1, 0.6)
    values = [schedule.sparsity_at(number / 100) for number in range(101)]
    assert values == sorted(values)
    assert values[10] == 0
    assert 0 < values[11] < values[59] < 0.7
    assert set(values[60:]) == {0.7}


@pytest.mark.parametrize(
    ("final", "begin", "end"), [(1.0, 0.0, 0.5), (-0.1, 0.0, 0.5), (0.5, 0.5, 0.5), (0.5, -0.1, 0.5), (0.5, 0.1, 1.0)]
)
def test_a_schedule_outside_its_range_is_refused(final: float, begin: float, end: float) -> None:
    message = f"schedule: sparsity {final} from {begin} to {end}, must be 0 <= sparsity < 1, 0 <= begin < end <= 0.99"
    with pytest.raises(RecipeError) as caught:
        CubicSchedule(final, begin, end)
    assert str(caught.value) == message


def test_floors_that_leave_no_room_for_the_sparsity_are_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        GradualPruning(two_layers(), CubicSchedule(0.9, 0.0, 0.5), floors=(("last", 0.5), ("*", 0.1)))
    assert str(caught.value) == "floors keep 23.3% of the weights, must leave room for a sparsity of 90.0%"


def test_nothing_is_pruned_before_the_schedule_begins() -> None:
    layer = one_layer(1.0, 2.0, 3.0, 4.0)
    constraint = GradualPruning(layer, CubicSchedule(0.5, 0.3, 0.6), refresh_steps=1)
    constraint.after_step(layer, 0.29)
    assert constraint.sparsity == 0
    constraint.after_step(layer, 0.45)
    assert constraint.sparsity == 0.5
    assert layer.weight.tolist() == [[0.0, 0.0, 3.0, 4.0]]


def test_masks_are_chosen_every_refresh_steps_and_at_the_end() -> None:
    network = tiny_network()
    constraint = GradualPruning(network, CubicSchedule(0.8, 0.0, 0.9), refresh_steps=3)
    sparsities = []
    for progress in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 0.95):
        constraint.after_step(network, progress)
        sparsities.append(round(constraint.sparsity, 2))
    first, second = (round(constraint.schedule.sparsity_at(progress), 2) for progress in (0.05, 0.3))
    assert sparsities == [first, first, first, second, second, second, 0.8, 0.8]


def test_a_masked_weight_that_grows_comes_back_before_the_mask_is_fixed() -> None:
    layer = one_layer(1.0, -3.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    constraint = GradualPruning(layer, HALF, refresh_steps=1)
    constraint.after_step(layer, 0.5)
    assert layer.weight.tolist() == [[0.0, -3.0]]
    step(constraint, layer, optimizer, 0.5)  # the gradient at the masked point is -3: latent 1 + 3, -3 + 3
    assert layer.weight.tolist() == [[4.0, 0.0]]
    assert constraint.latent["weight"].tolist() == [[4.0, 0.0]]


def test_what_was_pruned_before_never_comes_back_however_it_would_grow() -> None:
    layer = one_layer(0.0, -3.0, 2.0, 0.5)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    within = {"weight": torch.tensor([[False, True, True, True]])}
    constraint = GradualPruning(layer, CubicSchedule(0.5, 0.0, 0.6, 0.25), refresh_steps=1, within=within)
    step(constraint, layer, optimizer, 0.0)  # all move by 0.5, the first one too
    assert layer.weight.tolist() == [[0.0, -2.5, 2.5, 1.0]]
    assert constraint.sparsity == 0.25
    step(constraint, layer, optimizer, 0.6)  # by -1
    assert layer.weight.tolist() == [[0.0, -3.5, 1.5, 0.0]]
    for _ in range(3):
        step(constraint, layer, optimizer, 0.9)
    assert layer.weight[0, 0] == 0


def test_a_schedule_begins_at_the_sparsity_that_there_is() -> None:
    schedule = CubicSchedule(0.9, 0.1, 0.5, 0.6)
    assert schedule.sparsity_at(0.05) == 0.6
    assert schedule.sparsity_at(0.3) == pytest.approx(0.9 - 0.3 * 0.5**3)
    assert schedule.sparsity_at(0.5) == pytest.approx(0.9)
    with pytest.raises(RecipeError, match=r"^schedule: sparsity 0.5, must be at least the 0.6 that there is$"):
        CubicSchedule(0.5, 0.1, 0.5, 0.6)


def test_latent_weights_move_by_the_gradient_at_the_masked_point() -> None:
    layer = one_layer(0.5, 2.0, -0.25, 4.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0625)
    constraint = GradualPruning(layer, HALF, refresh_steps=100)
    constraint.after_step(layer, 0.59)
    assert layer.weight.tolist() == [[0.0, 2.0, 0.0, 4.0]]
    step(constraint, layer, optimizer, 0.59)
    moved = 0.0625 * 6  # the sum of the two that are left, not of all four latents
    assert constraint.latent["weight"].tolist() == [[0.5 - moved, 2.0 - moved, -0.25 - moved, 4.0 - moved]]
    assert layer.weight.tolist() == [[0.0, 2.0 - moved, 0.0, 4.0 - moved]]


def test_a_weight_never_comes_back_after_the_mask_is_fixed_whatever_momentum_holds() -> None:
    layer = one_layer(1.0, -3.0, 0.5, 2.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.125, momentum=0.9, nesterov=True, weight_decay=0.01)
    constraint = GradualPruning(layer, HALF, refresh_steps=1)
    for progress in (0.2, 0.4, 0.6):
        step(constraint, layer, optimizer, progress)
    mask = constraint.masks["weight"].clone()
    assert constraint.frozen
    assert not constraint.latent
    assert mask.sum() == 2
    assert optimizer.state[layer.weight]["momentum_buffer"][~mask].abs().min() > 0
    for progress in (0.7, 0.8, 0.9):
        before = layer.weight.detach().clone()
        step(constraint, layer, optimizer, progress)
        assert torch.equal(layer.weight != 0, mask)
        assert torch.equal(constraint.masks["weight"], mask)
        assert not torch.equal(layer.weight, before), "the others train on"


def test_after_the_mask_is_fixed_pruned_weights_have_no_gradient() -> None:
    layer = one_layer(1.0, -3.0, 0.5, 2.0)
    constraint = GradualPruning(layer, HALF)
    constraint.after_step(layer, 0.6)
    layer.weight.grad = torch.ones_like(layer.weight)
    constraint.before_step(layer)
    assert layer.weight.grad.tolist() == [[0.0, 1.0, 0.0, 1.0]]


def test_the_masks_are_those_of_score_and_floors() -> None:
    network = tiny_network()
    constraint = GradualPruning(network, HALF, floors=(("first", 0.75), ("*", 0.1)), score=SCORES["lamp"])
    scores = {name: lamp_scores(weight) for name, weight in prunable_parameters(network).items()}
    floors = {"conv1.weight": 0.75, "conv2.weight": 0.1, "linear.weight": 0.1}
    expected = masks_by_score(scores, 0.5, floors)
    constraint.after_step(network, 0.7)
    assert all(torch.equal(constraint.masks[name], mask) for name, mask in expected.items())
    assert constraint.sparsity == pytest.approx(0.5, abs=1 / 510)


def test_scores_per_byte_use_the_density_that_the_mask_before_left_and_take_more_from_the_sparser_layer() -> None:
    network = two_layers()
    with torch.no_grad():
        network[0].weight.copy_(torch.linspace(0.5, 1.5, 30).reshape(5, 6))
        network[2].weight.copy_(torch.linspace(0.51, 1.51, 15).reshape(3, 5))
    masks = {}
    for name in ("magnitude", "bytes"):
        constraint = GradualPruning(network, HALF, score=SCORES[name])
        constraint.masks["0.weight"] = torch.arange(30).reshape(5, 6) >= 25
        constraint._refresh(0.6)
        masks[name] = constraint.masks
    sparser, other = "0.weight", "2.weight"
    assert masks["bytes"][sparser].sum() < masks["magnitude"][sparser].sum()
    assert masks["bytes"][other].sum() > masks["magnitude"][other].sum()
    assert sparsity_of(masks["bytes"]) == sparsity_of(masks["magnitude"])


def test_scores_per_operation_take_more_where_a_weight_multiplies_at_more_pixels() -> None:
    masks = {}
    for name in ("magnitude", "macs"):
        network = tiny_network()
        constraint = GradualPruning(
            network, HALF, score=SCORES[name], pixels={"conv1.weight": 64, "conv2.weight": 16, "linear.weight": 1}
        )
        constraint.after_step(network, 0.6)
        masks[name] = constraint.masks
    assert masks["macs"]["conv1.weight"].sum() < masks["magnitude"]["conv1.weight"].sum()
    assert masks["macs"]["linear.weight"].all()


def test_projecting_averages_masks_the_prunable_ones() -> None:
    network = tiny_network()
    constraint = GradualPruning(network, HALF)
    constraint.after_step(network, 0.6)
    averages = {name: torch.ones_like(value) for name, value in network.named_parameters()}
    constraint.project(averages)
    assert sparsity_of({name: averages[name] != 0 for name in constraint.masks}) == constraint.sparsity
    assert all(value.all() for name, value in averages.items() if name not in constraint.masks)


@pytest.mark.parametrize("progress", [0.3, 0.6])
def test_state_and_restore_are_exact_before_and_after_the_mask_is_fixed(progress: float) -> None:
    network = tiny_network()
    constraint = GradualPruning(network, HALF, refresh_steps=2)
    for _ in range(3):
        constraint.after_step(network, progress)
    state = {name: tensor.clone() for name, tensor in constraint.state().items()}
    fresh = GradualPruning(tiny_network(seed=1), HALF, refresh_steps=2)
    fresh.restore(state)
    assert fresh.state().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in fresh.state().items())
    assert (fresh.steps, fresh.frozen) == ((1, True) if progress == 0.6 else (3, False))
    assert bool(fresh.latent) == (progress == 0.3)


@pytest.mark.parametrize("steps", [8, 14, 20])
def test_a_resumed_gradual_run_repeats_an_uninterrupted_one(tmp_path: Path, steps: int) -> None:
    def constrain(network: nn.Module) -> GradualPruning:
        return GradualPruning(network, CubicSchedule(0.75, 0.1, 0.6), refresh_steps=4, floors=(("*", 0.05),))

    constraint = check_resumed_run_repeats(tmp_path, quick_training(epochs=4), tiny_network, constrain, steps)
    assert isinstance(constraint, GradualPruning)
    assert constraint.frozen
    assert constraint.sparsity == pytest.approx(0.75, abs=1 / 510)
