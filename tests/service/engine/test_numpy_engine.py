import numpy as np
import pytest
from hypothesis import given, settings

import service.engine.numpy_kernels as numpy_kernels
from model_store.bundle import Bundle
from model_store.operators import OPERATORS
from service.engine.numpy_engine import NumpyPlan
from service.errors import EngineFailure
from tests.service.bundles import pictures, residual_bundle
from tests.service.engine.cases import convolutions, operator_cases
from tests.service.engine.reference import run_reference

CASES = operator_cases()


def test_the_cases_cover_every_operator() -> None:
    assert {node.operator for bundle in CASES.values() for node in bundle.graph.nodes} == set(OPERATORS)


@pytest.mark.parametrize("name", CASES)
def test_an_operator_agrees_with_torch(name: str) -> None:
    batch = pictures(CASES[name], 3)
    expected = run_reference(CASES[name], batch)
    np.testing.assert_allclose(NumpyPlan(CASES[name]).run(batch), expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_a_convolution_agrees_with_torch(bundle: Bundle) -> None:
    batch = pictures(bundle, 2)
    np.testing.assert_allclose(NumpyPlan(bundle).run(batch), run_reference(bundle, batch), rtol=1e-5, atol=1e-5)


def test_the_answer_for_a_picture_does_not_depend_on_its_batch() -> None:
    bundle = residual_bundle()
    batch = pictures(bundle, 7)
    together = NumpyPlan(bundle).run(batch)
    alone = np.concatenate([NumpyPlan(bundle).run(batch[index : index + 1]) for index in range(7)])
    assert together.shape == (7, 4)
    assert together.dtype == np.float32
    assert together.flags.c_contiguous
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_a_batch_cut_to_fit_the_cache_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = residual_bundle()
    batch = pictures(bundle, 7)
    whole = NumpyPlan(bundle).run(batch)
    monkeypatch.setattr(numpy_kernels, "_COLUMN_ELEMENTS", 2 * 27 * 64)
    np.testing.assert_allclose(NumpyPlan(bundle).run(batch), whole, rtol=1e-5, atol=1e-6)


def test_a_run_leaves_the_batch_as_it_was() -> None:
    for bundle in CASES.values():
        batch = pictures(bundle, 2)
        before = batch.copy()
        NumpyPlan(bundle).run(batch)
        np.testing.assert_array_equal(batch, before)


def test_resident_bytes_are_those_of_all_arrays_held() -> None:
    plan = NumpyPlan(residual_bundle())
    weights = {"stem": 6 * 27, "block.conv1": 8 * 54, "block.conv2": 8 * 72, "block.shortcut": 48, "head": 32 + 4}
    biases = {"stem.bn": 6, "block.bn1": 8, "block.bn2": 8}
    assert plan.layer_bytes == {layer: 4 * count for layer, count in (weights | biases).items()}
    assert plan.resident_bytes == sum(plan.layer_bytes.values())


def test_overflow_shows_in_the_logits_and_nowhere_else() -> None:
    bundle = residual_bundle()
    logits = NumpyPlan(bundle).run(np.full((1, *bundle.preprocessing.input_shape), 3e38, dtype=np.float32))
    assert not np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("batch", "given_"),
    [
        (np.zeros((1, 3, 8, 8), dtype=np.float64), "float64 of shape (1, 3, 8, 8)"),
        (np.zeros((0, 3, 8, 8), dtype=np.float32), "float32 of shape (0, 3, 8, 8)"),
        (np.zeros((1, 3, 8, 9), dtype=np.float32), "float32 of shape (1, 3, 8, 9)"),
        (np.zeros((3, 8, 8), dtype=np.float32), "float32 of shape (3, 8, 8)"),
    ],
)
def test_a_batch_of_another_type_or_shape_is_refused(batch: np.ndarray, given_: str) -> None:
    with pytest.raises(EngineFailure) as caught:
        NumpyPlan(residual_bundle()).run(batch)
    assert str(caught.value) == f"batch: {given_}, must be float32 of (n >= 1, 3, 8, 8)"
