import struct

import pytest

from model_store.errors import BundleError, BundleTooLarge, TruncatedBundle
from model_store.graph import Graph, Node
from model_store.sections.graph import read_graph, write_graph
from model_store.wire import Reader
from tests.model_store.mutation import varint
from tests.model_store.sample_bundles import every_operator_bundle

GEMM = b"\x02\x00"  # and the tensors, and the name


def read(data: bytes) -> Graph:
    return read_graph(Reader(data, "graph"))


def refusal(data: bytes) -> str:
    with pytest.raises(BundleError) as caught:
        read(data)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_nodes_have_these_bytes() -> None:
    nodes = (
        Node("Flatten", (0,)),
        Node("Gemm", (1,), (0, 1), {}, "fc1"),
        Node("Clip", (2,), (), {"bounds": (0.0, 6.0)}),
        Node("Concat", (3, 2, 3)),
        Node("Gemm", (4,), (2,), {}, "fc22"),
    )
    data = (
        b"\x05\x0c\x00"
        b"\x02\x00\x02\x00\x01\x00\x03fc1"
        b"\x07\x00" + struct.pack("<2f", 0, 6) + b"\x0d\x03\x00\x01\x00"
        b"\x02\x00\x01\x02\x02\x0222"
    )
    assert write_graph(Graph(nodes)) == data
    assert read(data) == Graph(nodes)


def test_every_operator_round_trips() -> None:
    graph = every_operator_bundle().graph
    data = write_graph(graph)
    assert read(data) == graph
    for size in range(len(data)):
        with pytest.raises(TruncatedBundle):
            read(data[:size])


def test_a_name_may_be_the_beginning_of_the_one_before() -> None:
    nodes = (Node("Gemm", (0,), (0,), {}, "fc1"), Node("Gemm", (1,), (1,), {}, "fc"))
    data = write_graph(Graph(nodes))
    assert data.endswith(b"\x02\x00")
    assert read(data) == Graph(nodes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x00", "MalformedBundle: graph: number of nodes = 0, must be >= 1"),
        (varint(16_385), "BundleTooLarge: graph: number of nodes = 16385, must be <= 16384"),
        (varint(1 << 62), f"BundleTooLarge: graph: number of nodes = {1 << 62}, must be <= 16384"),
        (b"\x01\x00", "UnsupportedBundle: graph: operator 0 of node 0, must be a known one"),
        (b"\x01\x10", "UnsupportedBundle: graph: operator 16 of node 0, must be a known one"),
        (b"\x01\xff", "UnsupportedBundle: graph: operator 255 of node 0, must be a known one"),
        (b"\x01\x04\x01", "BundleTooLarge: graph: an input of node 0 = 1, must be <= 0"),
        (b"\x02\x04\x00\x05\x00\x02", "BundleTooLarge: graph: an input of node 1 = 2, must be <= 1"),
        (b"\x01\x0d\x01\x00", "MalformedBundle: graph: inputs of node 0 = 1, must be >= 2"),
        (b"\x01\x0d\x41", "BundleTooLarge: graph: inputs of node 0 = 65, must be <= 64"),
        (b"\x01" + GEMM + b"\x03", "BundleTooLarge: graph: tensors of node 0 = 3, must be <= 2"),
        (
            b"\x01" + GEMM + b"\x00\x00\x02fc",
            "MalformedBundle: node 'fc' (Gemm): 0 tensors, must be for ('weight', '[bias]')",
        ),
        (
            b"\x01" + GEMM + b"\x01" + varint(65_536),
            "BundleTooLarge: graph: a tensor of node 0 = 65536, must be <= 65535",
        ),
        (b"\x01" + GEMM + b"\x01\x00\x01", "BundleTooLarge: graph: shared name of node 0 = 1, must be <= 0"),
        (
            b"\x01" + GEMM + b"\x01\x00\x00\x81\x01",
            "BundleTooLarge: graph: name length of node 0 = 129, must be <= 128",
        ),
        (b"\x01" + GEMM + b"\x01\x00\x00\x02\xc3\xa9", "MalformedBundle: graph: name of node 0 is not ASCII"),
        (
            b"\x02" + GEMM + b"\x01\x00\x00\x02fc" + GEMM + b"\x01\x01\x01\x02c2",
            "MalformedBundle: graph: name of node 1 shares more than 1 characters, must say so",
        ),
        (
            b"\x02" + GEMM + b"\x01\x00\x00\x02fc" + GEMM + b"\x01\x01\x02\x00",
            "MalformedBundle: graph: two layers have the same name, must differ",
        ),
        (
            b"\x02" + GEMM + b"\x01\x00\x00\x02fc" + GEMM + b"\x01\x01\x02\x7f" + b"a" * 127,
            f"MalformedBundle: node {'fc' + 'a' * 127!r} (Gemm): must have a name of 1..128 of [A-Za-z0-9_.-] where it "
            "has tensors, and none elsewhere",
        ),
        (b"\x01\x0e\x00" + varint(65_537), "BundleTooLarge: graph: pads of node 0 = 65537, must be <= 65536"),
        (
            b"\x01\x07\x00" + struct.pack("<2f", -0.0, 6),
            "MalformedBundle: graph: bounds of node 0 = -0.0, must be finite and not -0",
        ),
        (
            b"\x01\x07\x00" + struct.pack("<2f", 0, float("inf")),
            "MalformedBundle: graph: bounds of node 0 = inf, must be finite and not -0",
        ),
        (b"\x01\x04\x00\x00", "MalformedBundle: graph: 1 bytes after its end, must be 0"),
        (b"\x02\x04\x00\x04\x01", "MalformedBundle: graph: value 1 is never read, must be"),
    ],
)
def test_every_refusal_names_its_node(data: bytes, message: str) -> None:
    assert refusal(data) == message


def test_a_minus_zero_bound_is_written_as_zero() -> None:
    graph = Graph((Node("Clip", (0,), (), {"bounds": (-0.0, 6.0)}),))
    assert write_graph(graph) == b"\x01\x07\x00" + struct.pack("<2f", 0, 6)


def test_16384_nodes_are_read() -> None:
    data = varint(16_384) + b"\x04\x00" * 16_384
    assert write_graph(read(data)) == data
    with pytest.raises(BundleTooLarge):
        read(varint(16_385) + b"\x04\x00" * 16_385)
