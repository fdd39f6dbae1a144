"""However a bundle is coded, the engines compute the same: they see weights, never codes."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from compressor.bundling import oracle_of  # noqa: E402
from model_store.bundle import Bundle, decode_bundle, encode_bundle  # noqa: E402
from model_store.tensors import AffineTensor, FloatTensor  # noqa: E402
from model_store.vectors import VectorTensor  # noqa: E402
from service.engine import compile_plan  # noqa: E402
from service.engine.gpu import TorchPlan  # noqa: E402
from service.engine.numpy_engine import NumpyPlan  # noqa: E402
from tests.model_store.examples import residual_bundle, with_8_bit_vectors, with_vectors  # noqa: E402
from tests.service.bundles import pictures  # noqa: E402


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_vectors_run_like_the_dense_weights_they_stand_for(seed: int) -> None:
    bundle = decode_bundle(encode_bundle(with_vectors(residual_bundle(seed), seed)))
    batch = pictures(bundle, 5)
    with torch.no_grad():
        expected = oracle_of(bundle)(torch.from_numpy(batch)).numpy()
    for plan in (NumpyPlan(bundle), TorchPlan(bundle, "cpu"), compile_plan(bundle)):
        np.testing.assert_allclose(plan.run(batch), expected, rtol=1e-4, atol=1e-4)
    assert sum(isinstance(tensor, VectorTensor) for tensor in bundle.tensors) > 3


def in_float16(bundle: Bundle) -> Bundle:
    tensors = (FloatTensor(item.values) if isinstance(item, AffineTensor) else item for item in bundle.tensors)
    return replace(bundle, tensors=tuple(tensors))


@pytest.mark.parametrize("seed", [0, 1])
def test_context_coded_weights_and_vectors_of_8_bits_run_like_float16(seed: int) -> None:
    bundle = with_8_bit_vectors(residual_bundle(seed))
    decoded = decode_bundle(encode_bundle(bundle, "arithmetic"))
    batch = pictures(bundle, 3)
    expected = NumpyPlan(in_float16(bundle)).run(batch)

    assert any(isinstance(tensor, AffineTensor) for tensor in decoded.tensors)
    assert np.array_equal(NumpyPlan(decoded).run(batch), expected)
    np.testing.assert_allclose(TorchPlan(decoded, "cpu").run(batch), expected, rtol=1e-4, atol=1e-5)
