"""What is declared can be run: a recipe that its network cannot have would only fail after the dense training."""

import pytest

from compressor.experiments import ALL, EXPERIMENTS
from compressor.layer_rules import resolve_rules
from compressor.networks import build_network
from compressor.networks.card import card_of
from compressor.networks.weights import load_weights
from compressor.pruning.masks import layer_of, prunable_parameters
from compressor.teaching import load_teachers

SMALL = [name for name, experiment in EXPERIMENTS.items() if not experiment.accelerator]


@pytest.mark.parametrize("name", SMALL)
def test_floors_leave_room_for_the_sparsity(name: str) -> None:
    experiment = EXPERIMENTS[name]
    prune = experiment.compress.prune
    counts = {
        layer: weight.numel() for layer, weight in prunable_parameters(build_network(experiment.network, 10)).items()
    }
    floors = resolve_rules(prune.floors, list(counts))
    assert sum(floors[layer] * count for layer, count in counts.items()) < (1 - prune.sparsity) * sum(counts.values())


@pytest.mark.parametrize("name", [name for name, experiment in ALL.items() if experiment.weights])
def test_what_an_experiment_starts_from_and_learns_from_is_there(name: str) -> None:
    experiment = ALL[name]
    assert experiment.weights is not None
    card = card_of(load_weights(experiment.weights)[1], str(experiment.weights))
    assert card is not None
    assert card.network == experiment.network
    for teacher in load_teachers(experiment.teacher_files):
        teacher.check(card)


def test_rules_that_name_a_layer_name_one_that_its_network_has() -> None:
    recipe = EXPERIMENTS["resnet20-must"].compress
    assert recipe.quantize is not None
    layers = [layer_of(name) for name in prunable_parameters(build_network("resnet20", 10))]
    ternary = {layer for layer, chosen in resolve_rules(recipe.quantize.layers, layers).items() if chosen}
    assert ternary == {f"layer3.{block}.conv{place}" for block in range(3) for place in (1, 2)} - {"layer3.0.conv1"}
    assert resolve_rules(recipe.share.codebook_sizes, layers)["layer3.0.conv1"] == 8
