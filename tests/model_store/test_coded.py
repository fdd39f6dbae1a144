import re
from typing import Any

import numpy as np
import pytest

from model_store.coded import (
    CodedBundle,
    CodedCodes,
    CodedContexts,
    CodedFloat,
    CodedTensor,
    Identity,
    elements_of,
    streams_of,
)
from model_store.errors import BundleError, BundleTooLarge, MalformedBundle
from model_store.graph import Graph, Node
from model_store.huffman import HuffmanTable
from model_store.lanes import CodedStream
from model_store.preprocessing import Preprocessing

IDENTITY = Identity("net", Preprocessing(1, 1, (0.0,), (1.0,)), ("a",), 1, 1)
BOOK = np.ones(1, np.float16)
TABLE = HuffmanTable((1, 1))


def coded(codebook: int, table: int) -> CodedCodes:
    return CodedCodes((1, 1), codebook, CodedStream(table, 1, (1,), b"\0"))


def bundle(tensors: tuple[CodedTensor, ...], tables: int, codebooks: int, **changes: Any) -> CodedBundle:
    nodes = tuple(Node("Gemm", (i,), (i,), {}, f"fc{i}") for i in range(len(tensors)))
    fields = {"graph": Graph(nodes), "lane_log2": 8, **changes}
    return CodedBundle(
        IDENTITY, fields["graph"], (TABLE,) * tables, (BOOK,) * codebooks, fields["lane_log2"], tensors, {}
    )


def test_numbers_in_the_order_of_first_use_are_accepted() -> None:
    tensors = (coded(0, 0), coded(1, 0), coded(0, 1), coded(2, 0))
    assert bundle(tensors, 2, 3).tensors == tensors


@pytest.mark.parametrize(
    ("tensors", "tables", "codebooks", "message"),
    [
        ((coded(1, 0), coded(0, 0)), 1, 2, "codebook 1 is used before 0, must be numbered by first use, < 2"),
        ((coded(0, 1), coded(0, 0)), 2, 1, "Huffman table 1 is used before 0, must be numbered by first use, < 2"),
        ((coded(0, 0), coded(2, 0)), 1, 3, "codebook 2 is used before 1, must be numbered by first use, < 3"),
        ((coded(0, 0), coded(1, 0)), 1, 1, "codebook 1 is used before 1, must be numbered by first use, < 1"),
        ((coded(0, 0),), 2, 1, "Huffman table 1 is never used, must be"),
        ((coded(0, 0),), 1, 2, "codebook 1 is never used, must be"),
    ],
)
def test_tables_and_codebooks_have_one_numbering(
    tensors: tuple[CodedTensor, ...], tables: int, codebooks: int, message: str
) -> None:
    with pytest.raises(MalformedBundle, match=f"^{re.escape(message)}$"):
        bundle(tensors, tables, codebooks)


def test_tensors_are_numbered_by_the_graph_and_none_is_left_over() -> None:
    swapped = Graph((Node("Gemm", (0,), (1,), {}, "a"), Node("Gemm", (1,), (0,), {}, "b")))
    with pytest.raises(MalformedBundle, match=r"^tensor 1 is used before 0, must be numbered by first use, < 2$"):
        bundle((coded(0, 0), coded(0, 0)), 1, 1, graph=swapped)
    one = Graph((Node("Gemm", (0,), (0,), {}, "a"),))
    with pytest.raises(MalformedBundle, match=r"^tensor 1 is never used, must be$"):
        bundle((coded(0, 0), coded(0, 0)), 1, 1, graph=one)
    with pytest.raises(MalformedBundle, match=r"^tensor 0 is used before 0, must be numbered by first use, < 0$"):
        CodedBundle(IDENTITY, one, (), (), 8, (), {})


@pytest.mark.parametrize("lane_log2", [7, 13])
def test_the_lane_size_is_within_its_range(lane_log2: int) -> None:
    with pytest.raises(MalformedBundle, match=rf"^lane_log2 = {lane_log2}, must be in 8\.\.12$"):
        bundle((coded(0, 0),), 1, 1, lane_log2=lane_log2)


def test_all_tensors_together_are_held_to_their_limit() -> None:
    half = CodedFloat((1 << 27,), b"")
    assert elements_of(half) == 1 << 27
    assert streams_of(half) == ()
    bundle((half, half), 0, 0)
    with pytest.raises(BundleTooLarge, match=r"^bundle: 268435457 elements of all tensors, must be <= 268435456$"):
        bundle((half, half, CodedFloat((1,), b"")), 0, 0)


def test_context_coded_tensors_together_are_held_to_their_limit() -> None:
    most = CodedContexts((1 << 13, 1 << 12), 0, b"\1" * (1 << 15), b"")
    assert streams_of(most) == ()
    bundle((most,), 0, 1)
    with pytest.raises(BundleTooLarge, match=r"^bundle: 33554433 elements in layout CONTEXTS, must be <= 33554432$"):
        bundle((most, CodedContexts((1, 1), 0, b"\1\1\1", b"")), 0, 1)


def test_a_mask_stands_for_1024_elements_a_byte_at_most() -> None:
    CodedContexts((3, 1024), 0, b"\1\1\1", b"")
    with pytest.raises(BundleTooLarge, match=r"^layout CONTEXTS: 3073 elements, must be <= 3072 in 3 bytes$"):
        CodedContexts((1, 3073), 0, b"\1\1\1", b"")


def test_a_context_coded_kernel_has_1024_taps_at_most() -> None:
    CodedContexts((1, 1, 32, 32), 0, b"\1\1\1", b"")
    with pytest.raises(BundleTooLarge, match=r"^layout CONTEXTS: kernels of 1025 taps, must be <= 1024$"):
        CodedContexts((1, 1, 1025), 0, b"\1\1\1", b"")


def test_a_bundle_holds_at_most_1024_tables() -> None:
    tensors = tuple(coded(0, number) for number in range(1025))
    assert len(bundle(tensors[:1024], 1024, 1).tables) == 1024
    with pytest.raises(BundleTooLarge, match=r"^bundle: 1025 Huffman tables, must be <= 1024$"):
        bundle(tensors, 1025, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": ""}, "identity: architecture: '', must be 1..256 bytes of UTF-8"),
        ({"class_names": ("a\n",)}, r"identity: class name: 'a\n', must hold no control character"),
        ({"class_names": ("a", "a")}, "identity: two classes have the same name, must differ"),
        ({"parameters": 0}, "identity: parameters = 0, must be in 1..281474976710655"),
        ({"dense_bytes": 1 << 48}, "identity: dense_bytes = 281474976710656, must be in 1..281474976710655"),
    ],
)
def test_an_identity_is_checked_when_it_is_made(change: dict[str, Any], message: str) -> None:
    fields = {name: getattr(IDENTITY, name) for name in Identity.__dataclass_fields__}
    with pytest.raises(BundleError, match=f"^{re.escape(message)}$"):
        Identity(**{**fields, **change})
