"""What is declared can be run: a recipe that its network cannot have would only fail after the dense training."""

import pytest

from compressor.experiments import EXPERIMENTS
from compressor.layer_rules import resolve_rules
from compressor.networks import build_network
from compressor.pruning.masks import prunable_parameters

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
