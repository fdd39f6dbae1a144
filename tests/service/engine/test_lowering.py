import math

import numpy as np
import pytest

from model_store.bundle import Bundle
from model_store.graph import INPUT
from service.engine.lowering import lower
from tests.service.bundles import residual_bundle
from tests.service.engine.cases import operator_cases

CASES = operator_cases()


def operators(bundle: Bundle) -> list[str]:
    return [step.node.operator for step in lower(bundle)]


@pytest.mark.parametrize("name", CASES)
def test_every_value_is_made_before_it_is_read_and_freed_once(name: str) -> None:
    made = {INPUT}
    steps = lower(CASES[name])
    for step in steps:
        assert set(step.reads) <= made
        made.add(step.output)
        made -= set(step.frees)
    assert made == {steps[-1].output}


def test_a_residual_block_becomes_one_step_a_convolution() -> None:
    steps = lower(residual_bundle())
    assert [(step.node.name, step.normalization) for step in steps if step.node.name] == [
        ("stem", "stem.bn"),
        ("block.conv1", "block.bn1"),
        ("block.shortcut", ""),
        ("block.conv2", "block.bn2"),
        ("head", ""),
    ]
    last = next(step for step in steps if step.node.name == "block.conv2")
    assert (last.residual, last.bounds) == (9, (0.0, math.inf))
    assert operators(residual_bundle()) == ["Conv", "Conv", "Conv", "Conv", "GlobalAveragePool", "Flatten", "Gemm"]


def test_a_normalization_is_folded_over_the_bias_before_it() -> None:
    bundle = CASES["Conv with bias and normalization"]
    (step, _) = lower(bundle)
    before, scale, bias = (bundle.tensors[index].to_dense() for index in (1, 2, 3))
    assert step.bias is not None
    np.testing.assert_array_equal(step.bias, scale * before + bias)
    assert step.bias.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Conv added to itself", ["Conv", "Add", "Flatten"]),
        ("Conv read twice", ["Conv", "Relu", "Add", "Flatten"]),
        ("Conv, then a broadcast Add", ["Conv", "GlobalAveragePool", "Conv", "Add", "Flatten"]),
        ("two residuals", ["Conv", "Add", "Relu", "Flatten"]),
        ("two BatchNormalizations", ["BatchNormalization", "BatchNormalization", "Flatten"]),
        ("Conv and Clip", ["Conv", "Flatten"]),
        ("Gemm, normalization and Relu", ["Flatten", "Gemm"]),
    ],
)
def test_only_a_value_with_one_reader_is_taken_in(name: str, expected: list[str]) -> None:
    assert operators(CASES[name]) == expected
