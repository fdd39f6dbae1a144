"""The scan on a small network: what is pruned, what is restored, and which thresholds follow."""

from typing import Any

import pytest
import torch
from torch import nn

from compressor.errors import RecipeError
from compressor.pruning.masks import prunable_parameters
from compressor.pruning.sensitivity import Ladder, Measurement, qualities_within, scan_sensitivity
from compressor.pruning.threshold import threshold_mask
from tests.compressor.blobs import same_state, tiny_network, two_layers
from tests.compressor.toys import exactly

LAYERS = ("conv1", "conv2", "linear")


def densities(network: nn.Module) -> tuple[float, ...]:
    return tuple(float((weight != 0).double().mean()) for weight in prunable_parameters(network).values())


def scanned(network: nn.Module, ladder: Ladder, **more: Any) -> tuple[list[Measurement], list[tuple[float, ...]]]:
    """The measurements, and the density of every layer at each of them."""
    seen: list[tuple[float, ...]] = []

    def measure() -> float:
        seen.append(densities(network))
        return 0.5

    return list(scan_sensitivity(network, ladder, measure, **more)), seen


def test_one_layer_at_a_time_is_pruned_and_the_network_is_left_as_it_was() -> None:
    network = tiny_network()
    found, seen = scanned(network, Ladder("quality", (0.5, 1.0)))
    assert [(m.layer, m.step, m.quality) for m in found] == [(name, q, q) for name in LAYERS for q in (0.5, 1.0)]
    for index, (measurement, density) in enumerate(zip(found, seen, strict=True)):
        pruned = index // 2
        assert density[pruned] == pytest.approx(1 - measurement.sparsity)
        assert 0 < density[pruned] < 1
        assert [share for layer, share in enumerate(density) if layer != pruned] == [1.0, 1.0]
    assert same_state(network, tiny_network())


def test_a_step_of_sparsity_prunes_that_share_and_names_the_quality_that_does() -> None:
    network = tiny_network()
    found, _ = scanned(network, Ladder("sparsity", (0.25, 0.5, 0.75)))
    weights = dict(zip(LAYERS, prunable_parameters(network).values(), strict=True))
    for measurement in found:
        assert measurement.sparsity == pytest.approx(measurement.step, abs=1 / 24)
        mask = threshold_mask(weights[measurement.layer], measurement.quality)
        assert 1 - float(mask.double().mean()) == measurement.sparsity


def test_what_is_done_is_not_measured_again() -> None:
    done = {("conv1", 0.5), ("conv1", 1.0), ("conv2", 1.0), ("linear", 0.5)}
    found, seen = scanned(tiny_network(), Ladder("quality", (0.5, 1.0)), done=done)
    assert [(m.layer, m.step) for m in found] == [("conv2", 0.5), ("linear", 1.0)]
    assert len(seen) == 2


def test_an_interrupted_measurement_leaves_the_weights_as_they_were() -> None:
    network = two_layers()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def interrupted() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(scan_sensitivity(network, Ladder("quality", (1.0,)), interrupted))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_layer_of_zeros_has_quality_zero() -> None:
    network = two_layers()
    network[0].weight.data.zero_()  # type: ignore[operator, union-attr]
    found, _ = scanned(network, Ladder("sparsity", (0.5,)))
    assert (found[0].quality, found[0].sparsity) == (0.0, 1.0)


def test_a_layer_gets_the_last_quality_before_the_first_that_costs_too_much() -> None:
    def ladder(layer: str, *accuracies: float) -> list[Measurement]:
        steps = zip((0.5, 1.0, 1.5), accuracies, strict=True)
        return [Measurement(layer, step, step, step / 2, accuracy) for step, accuracy in steps]

    found = [*ladder("a", 0.92, 0.91, 0.5), *ladder("b", 0.8, 0.95, 0.95), *ladder("c", 0.92, 0.92, 0.91)]
    assert qualities_within(found, 0.91) == (("a", 1.0), ("b", 0.0), ("c", 1.5), ("*", 0.0))
    assert qualities_within(ladder("a", 0.92, 0.91, 0.5), 0.91) == (("a", 1.0), ("*", 1.0))


@pytest.mark.parametrize(
    ("by", "steps", "message"),
    [
        ("magnitude", (0.5,), "ladder of 'magnitude', must be one of quality, sparsity"),
        ("quality", (), "ladder (), must rise within 0..100, from above 0"),
        ("quality", (1.0, 0.5), "ladder (1.0, 0.5), must rise within 0..100, from above 0"),
        ("quality", (0.0, 0.5), "ladder (0.0, 0.5), must rise within 0..100, from above 0"),
        ("sparsity", (0.5, 1.0), "ladder (0.5, 1.0), must rise within 0..0.9999, from above 0"),
    ],
)
def test_a_ladder_that_does_not_rise_within_its_range_is_refused(
    by: str, steps: tuple[float, ...], message: str
) -> None:
    with pytest.raises(RecipeError, match=exactly(message)):
        Ladder(by, steps)
