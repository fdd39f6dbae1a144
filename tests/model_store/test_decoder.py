import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store import decoder, lock_step
from model_store.bundle import decode_bundle
from model_store.coded import CodedBundle, CodedCodes, CodedFloat, CodedSparse, CodedTensor, Identity, Layout
from model_store.decoder import decode_tensors
from model_store.errors import MalformedBundle
from model_store.graph import Graph, Node
from model_store.huffman import HuffmanTable
from model_store.lanes import CodedStream, encode_stream
from model_store.preprocessing import Preprocessing
from model_store.serialization import serialize
from model_store.tensors import FloatTensor, SharedTensor
from tests.model_store.generation import random_bundle, random_coding

IDENTITY = Identity("net", Preprocessing(1, 1, (0.0,), (1.0,)), ("a",), 1, 1)
BOOK = np.array([-1, 0.5], np.float16)
TABLE = HuffmanTable((2, 2, 2, 2))


def coded(tensor: CodedTensor) -> CodedBundle:
    shared = not isinstance(tensor, CodedFloat)
    graph = Graph((Node("Gemm", (0,), (0,), {}, "fc"),))
    return CodedBundle(IDENTITY, graph, (TABLE,) * shared, (BOOK,) * shared, 8, (tensor,), {})


def codes(*symbols: int) -> CodedCodes:
    return CodedCodes((2, len(symbols) // 2), 0, encode_stream(np.array(symbols, np.uint16), 0, TABLE, 8))


def sparse(layout: Layout, gaps: list[int], values: list[int]) -> CodedSparse:
    streams = [encode_stream(np.array(symbols, np.uint16), 0, TABLE, 8) for symbols in (gaps, values)]
    return CodedSparse(layout, (2, 3), 0, 3, streams[0], streams[1])


def test_codes_become_a_shared_tensor() -> None:
    (tensor,) = decode_tensors(coded(codes(0, 2, 1, 0)))
    assert isinstance(tensor, SharedTensor)
    assert tensor.to_dense().tolist() == [[0, 0.5], [-1, 0]]
    assert tensor.codes.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("layout", "expected"), [(Layout.CSR, [[0, -1, 0], [0, 0, 0.5]]), (Layout.CSC, [[0, 0, 0], [-1, 0, 0.5]])]
)
def test_the_same_gaps_scan_rows_or_columns(layout: Layout, expected: list[list[float]]) -> None:
    (tensor,) = decode_tensors(coded(sparse(layout, [1, 3, 0], [1, 2])))
    assert tensor.to_dense().tolist() == expected


def test_plain_values_are_read_little_endian() -> None:
    (tensor,) = decode_tensors(coded(CodedFloat((2,), b"\x00\x3c\x00\x80")))
    assert isinstance(tensor, FloatTensor)
    assert tensor.values.tolist() == [1, 0]
    assert np.signbit(tensor.values[1])


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (CodedFloat((2,), b"\x00\x3c\x00\x7c"), "a value is not finite, must be"),
        (CodedFloat((1,), b"\x01\x7e"), "a value is not finite, must be"),
        (codes(0, 3), "value symbol 3, must be <= 2"),
        (sparse(Layout.CSR, [0, 0], [1, 3]), "value symbol 3, must be <= 2"),
        (sparse(Layout.CSR, [0, 0], [1, 0]), "value symbol 0, must be >= 1 where gaps say what is zero"),
        (sparse(Layout.CSC, [0, 0], [1]), "2 positions, must be 1, the last symbol one of them"),
        (sparse(Layout.CSC, [0, 3], [1]), "1 positions, must be 1, the last symbol one of them"),
        (sparse(Layout.CSC, [2, 3, 0], [1, 1]), "position 6, must be < 6"),
        (replace(sparse(Layout.CSR, [0, 2], [1, 1]), gap_limit=1), "gap symbol 2, must be <= 1"),
        (
            replace(codes(0, 0), values=replace(codes(0, 0).values, payload=b"\x01")),
            "padding bits 0b1, must be zero",
        ),
        (
            replace(codes(0, 0), values=replace(codes(0, 0).values, lane_bits=(3,))),
            "the codes do not end where their lane ends",
        ),
    ],
)
def test_what_does_not_decode_is_refused_by_the_tensors_name(tensor: CodedTensor, message: str) -> None:
    with pytest.raises(MalformedBundle, match=f"^{re.escape(f'tensor {chr(34)}fc.weight{chr(34)}: {message}')}$"):
        decode_tensors(coded(tensor))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_what_the_decoder_does_not_check_again_holds(seed: int) -> None:
    for tensor in decode_bundle(serialize(random_coding(random_bundle(seed), seed))).tensors:
        if isinstance(tensor, SharedTensor):
            SharedTensor(tensor.shape, tensor.positions, tensor.codes, tensor.codebook)


@pytest.mark.parametrize("native", [lock_step._native, None], ids=["native", "numpy"])
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_tensors_are_the_same_however_many_are_decoded_together(native: object, seed: int) -> None:
    data = serialize(random_coding(random_bundle(seed), seed))
    expected = decode_bundle(data).tensors
    for symbols in (1, 50, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lock_step, "_native", native)
            patch.setattr(decoder, "symbols_at_once", lambda threads, symbols=symbols: symbols)
            for found, tensor in zip(decode_bundle(data).tensors, expected, strict=True):
                assert type(found) is type(tensor)
                np.testing.assert_array_equal(found.to_dense(), tensor.to_dense())


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        ([], []),
        ([0], [(0, 1)]),
        ([3, 3, 4], [(0, 3)]),
        ([3, 3, 5], [(0, 2), (2, 3)]),
        ([11, 1, 99, 0, 1], [(0, 1), (1, 2), (2, 3), (3, 5)]),
        ([10, 0, 10, 0], [(0, 2), (2, 4)]),
    ],
)
def test_parts_hold_as_many_symbols_as_they_may(counts: list[int], parts: list[tuple[int, int]]) -> None:
    streams = [CodedStream(0, count, (), b"") for count in counts]
    assert [(part.start, part.stop) for part in decoder._parts([[stream] for stream in streams], 10)] == parts


def spoilt(tensor: CodedTensor, generator: np.random.Generator) -> CodedTensor:
    """One byte of one stream changed, or how many bits a lane has."""
    if not isinstance(tensor, CodedCodes | CodedSparse):
        return tensor
    name = generator.choice(["gaps", "values"]) if isinstance(tensor, CodedSparse) else "values"
    stream = getattr(tensor, name)
    if not stream.count:
        return tensor
    if generator.random() < 0.2:
        lanes = list(stream.lane_bits)
        lanes[generator.integers(len(lanes))] += generator.choice([-1, 1])
        return replace(tensor, **{name: replace(stream, lane_bits=tuple(lanes))})
    payload = bytearray(stream.payload)
    payload[generator.integers(len(payload))] ^= 1 << int(generator.integers(8))
    return replace(tensor, **{name: replace(stream, payload=bytes(payload))})


def outcome(bundle: CodedBundle, threads: int) -> list[list[float]] | str:
    try:
        return [tensor.to_dense().reshape(-1).tolist() for tensor in decode_tensors(bundle, threads)]
    except MalformedBundle as error:
        return str(error)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_both_decoders_take_and_refuse_spoilt_streams_alike(seed: int, threads: int) -> None:
    generator = np.random.default_rng(seed)
    whole = random_coding(random_bundle(seed), seed)
    tensors = list(whole.tensors)
    at = int(generator.integers(len(tensors)))
    tensors[at] = spoilt(tensors[at], generator)
    bundle = replace(whole, tensors=tuple(tensors))
    found = outcome(bundle, threads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock_step, "_native", None)
        assert found == outcome(bundle, threads)
