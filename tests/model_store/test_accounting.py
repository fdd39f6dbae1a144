import numpy as np
import pytest

from model_store.accounting import KINDS, account
from model_store.bundle import encode_bundle
from model_store.coded import streams_of
from model_store.errors import BundleError
from model_store.lanes import decode_streams
from model_store.lock_step import lookup_of
from model_store.serialization import parse, serialize
from tests.model_store.examples import residual_bundle, smallest_bundle
from tests.model_store.generation import random_bundle, random_coding
from tests.model_store.realistic import realistic_bundle
from tests.model_store.sample_bundles import every_operator_bundle


def entropy_bytes(data: bytes) -> float:
    """Zero-order entropy of all streams, each by its own counts."""
    coded = parse(data)
    streams = [stream for tensor in coded.tensors for stream in streams_of(tensor) if stream.count]
    total = 0.0
    for symbols in decode_streams(streams, lookup_of(coded.tables), coded.lane_log2, ["here"] * len(streams)):
        counts = np.bincount(symbols)
        counts = counts[counts > 0]
        total -= float((counts * np.log2(counts / counts.sum())).sum())
    return total / 8


def test_every_byte_of_the_smallest_bundle_is_accounted_for() -> None:
    accounting = account(encode_bundle(smallest_bundle()))
    assert accounting.size_bytes == 129
    assert accounting.by_kind() == {
        "values": 3,
        "tables": 4,
        "codebooks": 6,
        "scale and bias": 4,
        "descriptions": 8,
        "graph": 16,
        "header": 54,
        "provenance": 2,
        "digest": 32,
    }
    assert accounting.by_layer() == {
        "": {"header": 54, "graph": 16, "tables": 4, "codebooks": 6, "provenance": 2, "digest": 32},
        "linear": {"descriptions": 8, "values": 3, "scale and bias": 4},
    }


@pytest.mark.parametrize("seed", range(25))
def test_rows_add_up_to_the_file_whatever_wrote_it(seed: int) -> None:
    bundle = random_bundle(seed)
    for data in (encode_bundle(bundle), encode_bundle(bundle, "arithmetic"), serialize(random_coding(bundle, seed))):
        accounting = account(data)
        assert sum(row.size_bytes for row in accounting.rows) == len(data)
        assert sum(accounting.by_kind().values()) == len(data)
        assert sum(size for kinds in accounting.by_layer().values() for size in kinds.values()) == len(data)
        assert set(accounting.by_kind()) <= set(KINDS)
        assert all(row.size_bytes > 0 for row in accounting.rows)


def test_weights_in_float16_are_dense_and_the_rest_is_scale_and_bias() -> None:
    layers = account(encode_bundle(every_operator_bundle())).by_layer()
    assert layers["fc"] == {"descriptions": 7, "dense": 120, "scale and bias": 10}
    assert layers["bn1"] == {"descriptions": 6, "scale and bias": 16}
    assert set(account(encode_bundle(residual_bundle())).by_layer()["layer1.0.conv1"]) == {
        "descriptions",
        "indices",
        "values",
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_streams_are_within_2_percent_of_their_entropy(seed: int) -> None:
    data = encode_bundle(realistic_bundle(seed))
    accounting = account(data)
    coded = sum(
        row.size_bytes for row in accounting.rows if row.section == "payload" and row.kind in ("indices", "values")
    )
    assert entropy_bytes(data) <= coded <= 1.02 * entropy_bytes(data)


def test_what_is_no_stream_is_little_of_a_realistic_file() -> None:
    data = encode_bundle(realistic_bundle())
    kinds = account(data).by_kind()
    assert kinds["tables"] + kinds["codebooks"] + kinds["descriptions"] + kinds["graph"] + kinds["header"] < 0.04 * len(
        data
    )


def test_what_is_no_bundle_is_refused() -> None:
    with pytest.raises(BundleError):
        account(b"nothing")
