import numpy as np

from model_store.bundle import decode_bundle, encode_bundle
from model_store.decoder import decode_tensors
from model_store.operators import OPERATORS
from model_store.serialization import parse, serialize
from tests.model_store.examples import residual_bundle
from tests.model_store.generation import random_bundle, random_coding
from tests.model_store.mutation import join, mutate, split


def test_drawn_bundles_use_every_operator_and_every_layout() -> None:
    bundles = [random_bundle(seed) for seed in range(60)]
    assert {node.operator for bundle in bundles for node in bundle.graph.nodes} == set(OPERATORS)
    codings = [random_coding(bundle, seed) for seed, bundle in enumerate(bundles)]
    assert {int(tensor.layout) for coding in codings for tensor in coding.tensors} == {0, 1, 2, 3, 4, 5, 6}
    assert {coding.lane_log2 for coding in codings} == {8, 9, 10, 11, 12}


def test_random_codings_hold_the_same_tensors() -> None:
    for seed in range(20):
        bundle = random_bundle(seed)
        data = serialize(random_coding(bundle, seed))
        for expected, found in zip(bundle.tensors, decode_tensors(parse(data)), strict=True):
            assert np.array_equal(expected.to_dense(), found.to_dense())
        assert len(encode_bundle(decode_bundle(data), "smallest")) <= len(data)


def test_sections_that_are_joined_again_give_the_same_file() -> None:
    data = encode_bundle(residual_bundle())
    assert join(split(data)) == data
    assert mutate(data, np.random.default_rng(0)) != data
