import math

import numpy as np
import pytest

from model_store.accounting import account
from model_store.bundle import encode_bundle
from model_store.serialization import serialize
from model_store.stream_costs import StreamCost, entropy_bytes, render_stream_costs, stream_costs
from model_store.vectors import VectorTensor
from tests.model_store.examples import residual_bundle, smallest_bundle, with_vectors
from tests.model_store.generation import random_bundle, random_coding
from tests.model_store.sample_bundles import tiny_bundle


def test_a_code_for_every_element_has_a_mask_only_in_the_other_coder() -> None:
    """A table's number, a lane's bits, a byte of codes; in the other coder a size and a state of three bytes each."""
    assert stream_costs(encode_bundle(smallest_bundle())) == (
        StreamCost("linear", "indices", "huffman", 0, 0.0, 4),
        StreamCost("linear", "values", "huffman", 3, 1.5 * 4 / 8, 4),
    )


@pytest.mark.parametrize("density", [0.05, 0.3])
def test_what_the_other_coder_would_take_is_what_it_takes(density: float) -> None:
    bundle = residual_bundle(3, density)
    files = {coder: encode_bundle(bundle, coder) for coder in ("huffman", "arithmetic")}
    costs = {coder: stream_costs(data) for coder, data in files.items()}
    for coder, other in (("huffman", "arithmetic"), ("arithmetic", "huffman")):
        kinds = account(files[coder]).by_kind()
        for stream in ("indices", "values"):
            mine = [cost for cost in costs[coder] if cost.stream == stream]
            theirs = [cost for cost in costs[other] if cost.stream == stream]
            assert {cost.coder for cost in mine} == {coder}
            assert sum(cost.size_bytes for cost in mine) == kinds.get(stream, 0)
            assert [cost.other_bytes for cost in mine] == [cost.size_bytes for cost in theirs]


def test_huffman_streams_are_never_below_their_entropy_and_masks_may_be() -> None:
    for cost in stream_costs(encode_bundle(residual_bundle(1, 0.3))):
        assert cost.size_bytes >= math.floor(cost.entropy_bytes)
    mask = next(cost for cost in stream_costs(encode_bundle(residual_bundle(1, 0.9), "arithmetic")))
    assert mask.stream == "indices"
    assert mask.entropy_bytes == pytest.approx(entropy_bytes(np.array([22, 194])), abs=2)


@pytest.mark.parametrize("seed", range(12))
def test_bundles_of_both_coders_add_up(seed: int) -> None:
    data = serialize(random_coding(random_bundle(seed), seed))
    kinds = account(data).by_kind()
    costs = stream_costs(data)
    assert sum(cost.size_bytes for cost in costs) == kinds.get("indices", 0) + kinds.get("values", 0)


@pytest.mark.parametrize(
    ("counts", "size"), [([], 0), ([0, 0], 0), ([7], 0), ([4, 4], 1), ([2, 0, 2, 4], 1.5), ([8, 8, 8, 8], 8)]
)
def test_entropy_is_that_of_the_counts(counts: list[int], size: float) -> None:
    assert entropy_bytes(np.array(counts, np.int64)) == pytest.approx(size)


def test_the_table_has_a_line_a_stream_and_two_totals() -> None:
    costs = stream_costs(encode_bundle(tiny_bundle()))
    lines = render_stream_costs(costs).splitlines()
    assert lines[0].split() == ["layer", "stream", "coder", "bytes", "entropy", "other", "coder"]
    assert len(lines) == 1 + len(costs) + 2
    assert lines[-1].split()[:2] == ["total", "values"]
    assert int(lines[-1].split()[2]) == sum(cost.size_bytes for cost in costs if cost.stream == "values")


def test_stages_of_vectors_are_told_as_one_stream_at_their_entropy() -> None:
    bundle = with_vectors(residual_bundle(3))
    costs = {cost.layer: cost for cost in stream_costs(encode_bundle(bundle))}
    names = bundle.graph.tensor_names()
    vectors = {names[i].rpartition(".")[0]: t for i, t in enumerate(bundle.tensors) if isinstance(t, VectorTensor)}
    assert costs.keys() == vectors.keys()
    for layer, tensor in vectors.items():
        assert costs[layer].stream == "values"
        assert costs[layer].entropy_bytes == pytest.approx(sum(entropy_bytes(np.bincount(c)) for c in tensor.codes))
        assert costs[layer].size_bytes >= costs[layer].entropy_bytes
