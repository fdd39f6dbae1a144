import re
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import model_store.bundle as bundle_module
from model_store.bundle import Bundle, decode_bundle, digest_of, encode_bundle, recode
from model_store.errors import BundleError, BundleTooLarge, MalformedBundle
from model_store.graph import Graph, Node
from model_store.preprocessing import Preprocessing
from model_store.serialization import serialize
from model_store.tensors import AffineTensor, FloatTensor
from tests.model_store.examples import residual_bundle, smallest_bundle, with_8_bit_vectors
from tests.model_store.generation import random_bundle, random_coding
from tests.model_store.sample_bundles import every_operator_bundle


def same(first: Bundle, second: Bundle) -> bool:
    plain = [field.name for field in fields(Bundle) if field.name != "tensors"]
    return all(getattr(first, name) == getattr(second, name) for name in plain) and all(
        type(a) is type(b) and np.array_equal(a.to_dense(), b.to_dense())
        for a, b in zip(first.tensors, second.tensors, strict=True)
    )


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_decoding_what_was_encoded_gives_the_bundle(seed: int) -> None:
    """P19."""
    bundle = random_bundle(seed)
    data = encode_bundle(bundle)
    assert same(decode_bundle(data), bundle)
    assert encode_bundle(decode_bundle(data)) == data


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_a_bundle_of_another_writer_is_read_the_same(seed: int) -> None:
    bundle = random_bundle(seed)
    assert same(decode_bundle(serialize(random_coding(bundle, seed))), bundle)


def test_statistics_are_rounded_to_float32_once() -> None:
    bundle = residual_bundle()
    decoded = decode_bundle(encode_bundle(bundle))
    expected = np.array(bundle.preprocessing.mean, np.float32).tolist()
    assert list(decoded.preprocessing.mean) == expected
    assert encode_bundle(decoded) == encode_bundle(bundle)


def test_counts_and_sparsity_are_of_the_weights() -> None:
    bundle = smallest_bundle()
    assert bundle.weights() == {0: "linear.weight"}
    assert (bundle.nonzeros, bundle.weight_nonzeros, bundle.weight_elements) == (3, 2, 4)
    assert bundle.sparsity == 0.5
    assert bundle.multiply_adds() == 2
    assert bundle.multiply_adds(dense=True) == 4
    assert bundle.shapes() == [(1, 1, 2), (2,), (2,)]


def test_a_bundle_without_weights_has_no_sparsity() -> None:
    graph = Graph((Node("GlobalAveragePool", (0,)), Node("Flatten", (1,))))
    bundle = Bundle("mean", Preprocessing(2, 2, (0.0,), (1.0,)), ("a",), 1, 4, graph, ())
    assert bundle.sparsity == 0
    assert same(decode_bundle(encode_bundle(bundle)), bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": ("a", "b", "c")}, "graph: logits of shape (2,), must be (3,), one a class"),
        ({"class_names": ("a",)}, "graph: logits of shape (2,), must be (1,), one a class"),
        ({"architecture": "a\tb"}, r"identity: architecture: 'a\tb', must hold no control character"),
        ({"parameters": 0}, "identity: parameters = 0, must be in 1..281474976710655"),
        ({"provenance": {"a": float("nan")}}, "provenance: nan, must be finite"),
        ({"tensors": ()}, "node 1 (Gemm linear): tensor 0, must be in 0..-1"),
        (
            {"preprocessing": Preprocessing(1, 3, (0.5,), (0.25,))},
            "node 1 (Gemm linear): weight (2, 2) does not fit input (3,)",
        ),
    ],
)
def test_a_bundle_that_does_not_fit_together_cannot_be_made(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=f"^{re.escape(message)}$"):
        replace(smallest_bundle(), **change)


def test_logits_of_rank_3_are_refused() -> None:
    graph = Graph((Node("GlobalAveragePool", (0,)),))
    with pytest.raises(MalformedBundle, match=r"^graph: logits of shape \(1, 1, 1\), must be \(1,\), one a class$"):
        Bundle("mean", Preprocessing(2, 2, (0.0,), (1.0,)), ("a",), 1, 4, graph, ())


def test_a_tensor_that_no_node_uses_is_refused_when_written() -> None:
    bundle = smallest_bundle()
    left_over = replace(bundle, tensors=(*bundle.tensors, FloatTensor(np.zeros(1, np.float16))))
    with pytest.raises(MalformedBundle, match=r"^tensor 2 is never used, must be$"):
        encode_bundle(left_over)


def test_what_the_reader_would_refuse_is_not_written() -> None:
    """P20: the limits of the file hold in the objects."""
    bundle = every_operator_bundle()
    clip = Node("Clip", (2,), (), {"bounds": (0.0, float("inf"))})
    nodes = tuple(clip if node.operator == "Clip" else node for node in bundle.graph.nodes)
    with pytest.raises(MalformedBundle, match=r"bounds \(0\.0, inf\), must be finite in float32$"):
        replace(bundle, graph=Graph(nodes))
    with pytest.raises(BundleTooLarge, match=r"^provenance: 65545 bytes, must be <= 65536$"):
        replace(bundle, provenance={"a": "b" * 65_537})


def test_the_digest_names_a_file() -> None:
    assert digest_of(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("seed", range(10))
def test_recoding_changes_bytes_and_nothing_else(seed: int) -> None:
    bundle = random_bundle(seed)
    for data in (serialize(random_coding(bundle, seed)), encode_bundle(bundle, "arithmetic")):
        for coder in ("huffman", "arithmetic", "smallest"):
            recoded = recode(data, coder)
            assert same(decode_bundle(recoded), bundle)
            assert recoded == encode_bundle(bundle, coder)


def test_recoding_refuses_what_decodes_to_another_network(monkeypatch: pytest.MonkeyPatch) -> None:
    other = encode_bundle(residual_bundle(1))
    monkeypatch.setattr(bundle_module, "encode_bundle", lambda bundle, coder: other)
    message = "bundle: what was recoded decodes to another network, must be the same"
    with pytest.raises(MalformedBundle, match=f"^{re.escape(message)}$"):
        recode(encode_bundle(residual_bundle(0)))


def test_vectors_in_8_bits_stay_in_8_bits() -> None:
    bundle = with_8_bit_vectors(residual_bundle())
    data = encode_bundle(bundle)
    decoded = decode_bundle(data)
    assert encode_bundle(decoded) == data
    for before, after in zip(bundle.tensors, decoded.tensors, strict=True):
        assert type(before) is type(after)
        assert np.array_equal(before.to_dense(), after.to_dense())
    vectors = [tensor for tensor in bundle.tensors if isinstance(tensor, AffineTensor)]
    saved = sum(tensor.codes.size - 4 for tensor in vectors)
    assert len(vectors) == 7
    assert len(data) == len(encode_bundle(residual_bundle())) - saved
