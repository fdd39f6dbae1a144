"""What there is to reach by a method rather than in bytes: cost and accuracy against a published row."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from compressor.errors import RecipeError
from compressor.experiments.targets import SLACK
from compressor.networks import NETWORKS, build_network
from compressor.pruning.masks import prunable_parameters

Fields = Mapping[str, Any]  # of a record
DECLARED_CLASSES = 10  # of every declared experiment's data


@dataclass(frozen=True, slots=True)
class Aim:
    """A published row, and what ours should be.

    Attributes:
        published: the row as published; "" where there is none.
        accuracy: the least of the decoded file, 0..1; None where `drop` says it.
        drop: the most below the dense network's, as a share (0.008 is 0.8 points).
        parameters_down, multiply_adds_down: the least shares of both that have gone from the network's structure.
        weight_ratio: the least of the dense network's weights over the non-zero ones (biases and BatchNorm count in
            neither, as in P-RM).
        file_ratio: the least of the dense fp32 state_dict over the file.
    """

    published: str = ""
    accuracy: float | None = None
    drop: float | None = None
    parameters_down: float | None = None
    multiply_adds_down: float | None = None
    weight_ratio: float | None = None
    file_ratio: float | None = None

    def __post_init__(self) -> None:
        if self.accuracy is not None and self.drop is not None:
            raise RecipeError(f"aim: accuracy {self.accuracy} and drop {self.drop}, must be one of them")

    def met_by(self, record: Fields) -> bool:
        """Whether a recorded bundle costs little enough and is accurate enough."""
        return self.cheap_enough(record) and self._accurate_enough(record)

    def cheap_enough(self, record: Fields) -> bool:
        """Whether it costs little enough; not where a record lacks what that is read from."""
        found = costs_of(record)
        wanted = {
            "parameters_down": self.parameters_down,
            "multiply_adds_down": self.multiply_adds_down,
            "weight_ratio": self.weight_ratio,
            "file_ratio": self.file_ratio,
        }
        return all(least is None or found.get(name, 0.0) >= least - SLACK for name, least in wanted.items())

    def _accurate_enough(self, record: Fields) -> bool:
        if self.drop is None:
            return bool(record["accuracy"] >= (self.accuracy or 0.0) - SLACK)
        dense = record["dense"].get("test_accuracy")
        return dense is not None and dense - record["accuracy"] <= self.drop + SLACK

    def __str__(self) -> str:
        parts = []
        if self.parameters_down is not None:
            parts.append(f"parameters -{self.parameters_down:.1%}")
        if self.multiply_adds_down is not None:
            parts.append(f"operations -{self.multiply_adds_down:.1%}")
        if self.weight_ratio is not None:
            parts.append(f"weights {self.weight_ratio:g}x fewer")
        if self.file_ratio is not None:
            parts.append(f"file {self.file_ratio:g}x")
        if self.accuracy is not None:
            parts.append(f"at {self.accuracy:.1%}")
        if self.drop is not None:
            parts.append(f"drop at most {100 * self.drop:.1f}" if self.drop >= 0 else f"gain {-100 * self.drop:.1f}")
        return ", ".join(parts) or "run"


def costs_of(record: Fields) -> dict[str, float]:
    """What a bundle saves, by `Aim`'s names; those of which the record says nothing are missing."""
    found = {
        "weight_ratio": _dense_weights(record["architecture"], record["parameters"]) / max(1, record["nonzeros"]),
        "file_ratio": record["dense_bytes"] / record["bundle_bytes"],
    }
    if "parameters_left" in record:
        found["parameters_down"] = 1 - record["parameters_left"] / record["parameters"]
    if {"multiply_adds_of_structure", "dense_multiply_adds"} <= record.keys():
        found["multiply_adds_down"] = 1 - record["multiply_adds_of_structure"] / record["dense_multiply_adds"]
    return found


@functools.cache
def _dense_weights(architecture: str, parameters: int) -> int:
    """Weights among a network's parameters; all of them where it is not one of ours, or has other classes."""
    if architecture not in NETWORKS:
        return parameters
    with torch.device("meta"):
        network = build_network(architecture, DECLARED_CLASSES)
    known = sum(parameter.numel() for parameter in network.parameters()) == parameters
    return sum(weight.numel() for weight in prunable_parameters(network).values()) if known else parameters


_PRUNING = {"gradual": ["weights"], "threshold": ["thresholds"]}


def _quantization(quantize: Fields) -> str:
    """Its method, and whether it is that of named layers alone."""
    others = quantize["layers"][-1][1]  # of the rule for all that no rule before it names
    return str(quantize["method"]) if others else f"{quantize['method']} of some layers"


def method_of(record: Fields) -> str:
    """What took a recorded bundle's weights or their values, in a word or two."""
    recipe = record["recipe"]
    parts = []
    if recipe.get("factorize"):
        parts.append("low rank")
    if recipe.get("structure"):
        parts.append(recipe["structure"]["method"])
    elif recipe.get("quantize"):
        parts.append(_quantization(recipe["quantize"]))
    parts += _PRUNING.get(recipe.get("prune", {}).get("method"), [])
    if recipe.get("vectors"):
        parts.append(recipe["vectors"]["method"])
    return " + ".join(parts) or "sharing alone"
