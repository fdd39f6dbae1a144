import numpy as np
import torch

from compressor.tracing.builder import GraphBuilder
from compressor.tracing.lowering import layer_of, pair


def gemm(builder: GraphBuilder, value: int, name: str, weight: str) -> int:
    tensors = (builder.add_tensor(torch.full((2, 2), float(len(weight))), weight),)
    return builder.add("Gemm", (value,), tensors=tensors, name=name)


def test_what_nothing_reads_is_dropped_and_the_rest_renumbered() -> None:
    builder = GraphBuilder()
    gemm(builder, 0, "unused", "unused.weight")
    used = gemm(builder, 0, "fc", "fc.weight")
    builder.add("Relu", (used,))
    graph, tensors, sources = builder.finish(builder.add("Sigmoid", (used,)))
    assert [(node.operator, node.values, node.tensors) for node in graph.nodes] == [
        ("Gemm", (0,), (0,)),
        ("Sigmoid", (1,), ()),
    ]
    assert sources == ("fc.weight",)
    assert len(tensors) == 1
    assert tensors[0].tolist() == [[9, 9], [9, 9]]


def test_a_constant_is_kept_once_and_a_name_gets_a_number() -> None:
    builder = GraphBuilder()
    value = 0
    for _ in range(3):
        value = gemm(builder, value, "fc", "fc.weight")
    graph, tensors, _ = builder.finish(value)
    assert [node.name for node in graph.nodes] == ["fc", "fc_2", "fc_3"]
    assert [node.tensors for node in graph.nodes] == [(0,), (0,), (0,)]
    assert len(tensors) == 1


def test_names_keep_the_letters_that_a_bundle_allows() -> None:
    builder = GraphBuilder()
    graph, _, _ = builder.finish(gemm(builder, 0, "block/1:fc+ä", "w"))
    assert graph.nodes[0].name == "block_1_fc__"


def test_constants_become_contiguous_float32() -> None:
    builder = GraphBuilder()
    builder.add("Gemm", (0,), tensors=(builder.add_tensor(torch.arange(6.0).double().view(2, 3).t(), "w"),), name="fc")
    _, (weight,), _ = builder.finish(1)
    assert weight.dtype == np.float32
    assert weight.flags.c_contiguous
    assert weight.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_pair_is_one_number_twice_or_two() -> None:
    assert [pair(3), pair([3]), pair((3, 4)), pair([1, 2])] == [(3, 3), (3, 3), (3, 4), (1, 2)]


def test_the_layer_of_a_parameter_is_its_module() -> None:
    assert [layer_of(name) for name in ("layer1.0.conv1.weight", "fc.bias", "weight")] == [
        "layer1.0.conv1",
        "fc",
        "weight",
    ]
