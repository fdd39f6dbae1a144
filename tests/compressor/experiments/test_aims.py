"""Aims by cost and accuracy, and what a record says of them."""

from typing import Any

import pytest

from compressor.errors import RecipeError
from compressor.experiments import ALL, EXPERIMENTS, METHODS, experiment_named
from compressor.experiments.aims import Aim, costs_of, method_of
from compressor.experiments.tables import methods_table
from compressor.layer_rules import resolve_rules
from compressor.networks import NETWORKS, build_network
from compressor.operations import multiply_adds_of
from compressor.pruning.masks import layer_of, prunable_parameters
from compressor.structured.groups import kept_count


def record(**more: Any) -> dict[str, Any]:
    fields = {
        "name": "a", "architecture": "resnet20", "accuracy": 0.91, "dense": {"test_accuracy": 0.9174},
        "nonzeros": 50_000,
        "parameters": 270_000, "parameters_left": 135_000, "multiply_adds_of_structure": 20, "dense_multiply_adds": 40,
        "bundle_bytes": 50_000, "dense_bytes": 1_000_000,
        "recipe": {"prune": {"method": "none"}, "structure": {"method": "fcf"}},
    }  # fmt: skip
    return fields | more


def test_an_aim_is_met_where_cost_and_accuracy_are() -> None:
    aim = Aim("theirs", drop=0.008, parameters_down=0.5, multiply_adds_down=0.5, weight_ratio=5.4, file_ratio=20)
    assert aim.met_by(record())
    assert not aim.met_by(record(accuracy=0.9093))
    assert not aim.met_by(record(parameters_left=135_001))
    assert not aim.met_by(record(multiply_adds_of_structure=21))
    assert not aim.met_by(record(nonzeros=50_001))
    assert not aim.met_by(record(bundle_bytes=50_001))
    assert not aim.met_by(record(dense={}))
    assert Aim(accuracy=0.91).met_by(record())
    assert not Aim(accuracy=0.9101).met_by(record())
    assert Aim(drop=-0.002).met_by(record(accuracy=0.9194))
    assert Aim().met_by(record(accuracy=0.1))


def test_what_a_record_does_not_say_is_not_met() -> None:
    old = record()
    del old["parameters_left"], old["multiply_adds_of_structure"]
    assert costs_of(old) == {"weight_ratio": 5.4, "file_ratio": 20.0}
    assert not Aim(parameters_down=0.1).met_by(old)


def test_weights_are_counted_against_weights() -> None:
    of_lenet5 = record(architecture="lenet5", parameters=431_080, nonzeros=4_305)
    assert costs_of(of_lenet5)["weight_ratio"] == 100.0, "430,500 of the parameters; the others are biases"
    assert costs_of(record(architecture="their:network", nonzeros=270))["weight_ratio"] == 1000.0


def test_a_record_without_the_dense_networks_operations_has_no_share_of_them() -> None:
    old = record()
    del old["dense_multiply_adds"]
    assert "multiply_adds_down" not in costs_of(old)
    assert not Aim(multiply_adds_down=0.1).met_by(old)


def test_an_aim_reads_as_a_sentence_would() -> None:
    aim = Aim(drop=0.008, parameters_down=0.4275, multiply_adds_down=0.416)
    assert str(aim) == "parameters -42.8%, operations -41.6%, drop at most 0.8"
    assert str(Aim(accuracy=0.991, weight_ratio=87.93)) == "weights 87.93x fewer, at 99.1%"
    assert str(Aim(drop=-0.002, file_ratio=300)) == "file 300x, gain 0.2"
    assert str(Aim()) == "run"


def test_accuracy_and_drop_exclude_one_another() -> None:
    with pytest.raises(RecipeError, match=r"^aim: accuracy 0\.9 and drop 0\.1, must be one of them$"):
        Aim(accuracy=0.9, drop=0.1)


def test_methods_have_names() -> None:
    none = {"prune": {"method": "none"}}
    assert method_of({"recipe": none}) == "sharing alone"
    assert method_of({"recipe": {"prune": {"method": "gradual"}}}) == "weights"
    assert method_of({"recipe": {"prune": {"method": "threshold"}}}) == "thresholds"
    ends_kept = {"method": "ttq", "layers": [["first", 0.0], ["last", 0.0], ["*", 1.0]]}
    assert method_of({"recipe": none | {"quantize": ends_kept}}) == "ttq"
    some_layers = {"method": "twn", "layers": [["layer3.*", 1.0], ["*", 0.0]]}
    assert method_of({"recipe": none | {"quantize": some_layers}}) == "twn of some layers"
    assert method_of({"recipe": none | {"vectors": {"method": "rq"}}}) == "rq"
    assert method_of({"recipe": none | {"structure": {"method": "nisp"}, "vectors": {"method": "pq"}}}) == "nisp + pq"
    assert (
        method_of({"recipe": none | {"structure": {"method": "admm"}, "factorize": {"energy": 1}}}) == "low rank + admm"
    )


def test_every_method_is_declared_on_a_network_of_ours_under_a_name_of_its_own() -> None:
    assert len(ALL) == len(EXPERIMENTS) + len(METHODS)
    assert all(name == experiment.name == experiment_named(name).name for name, experiment in ALL.items())
    assert all(experiment.network in NETWORKS and experiment.aim is not None for experiment in METHODS.values())


def test_the_table_names_the_nearest_record_of_network_and_method() -> None:
    cheap = record(parameters_left=150_000, multiply_adds_of_structure=23)
    other = {"prune": {"method": "none"}, "structure": {"method": "fcf", "end": 0.1}}
    records = [
        cheap,
        record(name="b", parameters_left=200_000, accuracy=0.92, recipe=other),
        record(name="c", architecture="resnet56"),
    ]
    (line,) = [line for line in methods_table(records).splitlines() if "`resnet20-fcf-43`" in line]
    assert "| -44.4%, weights 5.4x fewer | -42.5% | 50.0 kB (20.0x) | 91.00% (drop 0.74) | **met**, `a` |" in line
    (line,) = [line for line in methods_table(records).splitlines() if "`resnet32-fcf-43`" in line]
    assert line.endswith("|  |  |  |  | not run |")


@pytest.mark.parametrize(("name", "parameters", "operations"), [("a", 0.094, 0.104), ("b", 0.137, 0.276)])
def test_pruning_a_and_b_take_what_li_et_al_say_they_take(name: str, parameters: float, operations: float) -> None:
    """Table 1 of arXiv 1608.08710, by the filters that the rules leave: their inputs, and those of the layer behind."""
    network = build_network("resnet56", 10)
    weights = {layer_of(each): weight for each, weight in prunable_parameters(network).items()}
    structure = METHODS[f"resnet56-pruned-{name}"].compress.structure
    assert structure is not None
    pixels = {"layer1": 1024, "layer2": 256, "layer3": 64}
    gone, saved = 0, 0
    for layer, share in resolve_rules(structure.kept, list(weights)).items():
        filters = len(weights[layer]) - kept_count(len(weights[layer]), share)
        if filters:
            behind = weights[layer.replace("conv1", "conv2")]
            each = weights[layer][0].numel() + behind[:, 0].numel()
            gone += filters * (each + 2)  # and its BatchNorm
            saved += filters * each * pixels[layer[:6]]
    assert gone / sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(parameters, abs=1e-3)
    assert saved / multiply_adds_of(network, (3, 32, 32)) == pytest.approx(operations, abs=1e-3)
