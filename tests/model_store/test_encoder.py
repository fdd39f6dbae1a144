import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import model_store.encoder as encoder_module
from model_store.affine import fit_affine
from model_store.bundle import decode_bundle, encode_bundle
from model_store.coded import CodedCodes, CodedFloat, CodedSparse, Layout
from model_store.encoder import choose_lane_log2, encode_tensors
from model_store.huffman import HuffmanTable
from model_store.lanes import CodedStream
from model_store.tensors import FloatTensor, SharedTensor
from tests.model_store.examples import random_shared, residual_bundle, smallest_bundle
from tests.model_store.realistic import realistic_bundle

ROOT = Path(__file__).parents[2]
HASH_SEEDS = ("0", "1", "12345")


def test_each_tensor_is_coded_as_its_kind_asks() -> None:
    floats = FloatTensor(np.array([1, -2], np.float16))
    dense = SharedTensor(
        (1, 3), np.arange(3, dtype=np.int32), np.array([0, 1, 0], np.uint16), np.array([1, 2], np.float16)
    )
    empty = SharedTensor((2, 2), np.zeros(0, np.int32), np.zeros(0, np.uint16), np.array([1, 2], np.float16))
    encoded = encode_tensors([floats, dense, empty])
    assert encoded.lane_log2 == 8
    assert encoded.tables == (HuffmanTable((0, 1, 1)),)
    assert [book.tolist() for book in encoded.codebooks] == [[1, 2]]
    nothing = CodedStream(-1, 0, (), b"")
    assert encoded.tensors == (
        CodedFloat((2,), b"\x00\x3c\x00\xc0"),
        CodedCodes((1, 3), 0, CodedStream(0, 3, (3,), b"\x40")),
        CodedSparse(Layout.CSR, (2, 2), 0, 1, nothing, nothing),
    )


def test_arithmetic_coding_takes_the_shared_tensors_that_its_limits_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    small, wide = random_shared(generator, (4, 4), 0.5), random_shared(generator, (2, 2, 33, 33), 0.1)
    plain, eight = FloatTensor(np.ones(3, np.float16)), fit_affine(np.arange(3, dtype=np.float16))
    tensors = [small, plain, wide, eight, small]

    def layouts(coder: Literal["huffman", "arithmetic"]) -> list[Layout]:
        return [tensor.layout for tensor in encode_tensors(tensors, coder).tensors]

    assert Layout.CONTEXTS not in layouts("huffman")
    found = layouts("arithmetic")
    assert found[0] == found[4] == Layout.CONTEXTS
    assert (found[1], found[3]) == (Layout.FLOAT16, Layout.AFFINE8)
    assert found[2] in (Layout.CODES, Layout.CSR, Layout.CSC)
    monkeypatch.setattr(encoder_module, "MAX_CONTEXT_ELEMENTS", 16)
    assert layouts("arithmetic")[4] is not Layout.CONTEXTS


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_smallest_is_the_smaller_of_the_two(seed: int) -> None:
    bundle = residual_bundle(seed, 0.3) if seed else smallest_bundle()
    sizes = {coder: len(encode_bundle(bundle, coder)) for coder in ("huffman", "arithmetic")}
    assert len(encode_bundle(bundle, "smallest")) == min(sizes.values())
    assert sizes["huffman"] != sizes["arithmetic"]


def test_a_realistic_network_keeps_every_weight_in_arithmetic_codes() -> None:
    bundle = realistic_bundle()
    decoded = decode_bundle(encode_bundle(bundle, "arithmetic"))
    for before, after in zip(bundle.tensors, decoded.tensors, strict=True):
        assert np.array_equal(before.to_dense(), after.to_dense())


def test_equal_codebooks_are_written_once() -> None:
    generator = np.random.default_rng(0)
    first = random_shared(generator, (6, 6), 0.5)
    again = SharedTensor((6, 6), first.positions, first.codes, first.codebook.copy())
    other = random_shared(generator, (6, 6), 0.5)
    encoded = encode_tensors([first, other, again])
    assert len(encoded.codebooks) == 2
    assert [tensor.codebook for tensor in encoded.tensors if not isinstance(tensor, CodedFloat)] == [0, 1, 0]


def test_layers_of_one_distribution_share_a_table() -> None:
    generator = np.random.default_rng(0)
    alone = encode_tensors([random_shared(generator, (16, 16), 0.2)])
    many = encode_tensors([random_shared(generator, (16, 16), 0.2) for _ in range(8)])
    assert len(many.tables) <= len(alone.tables)


@pytest.mark.parametrize(
    ("symbols", "lane_log2"), [(0, 8), (32_767, 8), (32_768, 9), (262_143, 11), (262_144, 12), (1 << 30, 12)]
)
def test_lanes_grow_as_long_as_there_are_64(symbols: int, lane_log2: int) -> None:
    assert choose_lane_log2(symbols) == lane_log2


def test_a_realistic_network_keeps_every_weight() -> None:
    bundle = realistic_bundle()
    assert 100_000 < bundle.nonzeros < 120_000
    decoded = decode_bundle(encode_bundle(bundle))
    for before, after in zip(bundle.tensors, decoded.tensors, strict=True):
        assert type(before) is type(after)
        assert np.array_equal(before.to_dense(), after.to_dense())


@pytest.mark.parametrize("hash_seed", HASH_SEEDS)
def test_another_process_writes_the_same_bytes(hash_seed: str) -> None:
    code = (
        "import hashlib; from model_store.bundle import encode_bundle;"
        "from tests.model_store.examples import residual_bundle;"
        "print(hashlib.sha256(encode_bundle(residual_bundle(5, 0.1, {'b': 1, 'a': [2]}))).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    expected = encode_bundle(residual_bundle(5, 0.1, {"a": [2], "b": 1}))
    assert run.stdout.strip() == hashlib.sha256(expected).hexdigest()
