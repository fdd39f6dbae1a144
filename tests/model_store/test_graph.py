import re
from typing import Any

import pytest

from model_store.errors import BundleTooLarge, MalformedBundle, UnsupportedBundle
from model_store.graph import Graph, Node
from model_store.limits import MAX_NODES
from model_store.names import is_tensor_name

POOL = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
NAME_RULE = "must have a name of 1..128 of [A-Za-z0-9_.-] where it has tensors, and none elsewhere"


@pytest.mark.parametrize("name", ["a", "_", "9", "layer1.0.conv1", "A-b_c.d", "a" * 128, "a.", "a-"])
def test_a_layer_may_be_called_by_word_characters_dots_and_dashes(name: str) -> None:
    assert is_tensor_name(name)
    assert Node("Gemm", (0,), (0,), {}, name).name == name


@pytest.mark.parametrize(
    "name", ["a" * 129, ".a", "-a", "a/b", "a b", "a\n", "\n", "a\0", "é", "../x", "\ud800", "a:b"]
)
def test_a_layer_has_no_other_name(name: str) -> None:
    assert not is_tensor_name(name)
    with pytest.raises(MalformedBundle, match=re.escape(NAME_RULE)):
        Node("Gemm", (0,), (0,), {}, name)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (("Relu", ()), "node '' (Relu): 0 inputs, must be 1..1"),
        (("Relu", (0, 0)), "node '' (Relu): 2 inputs, must be 1..1"),
        (("Concat", (0,)), "node '' (Concat): 1 inputs, must be 2..64"),
        (("Concat", (0,) * 65), "node '' (Concat): 65 inputs, must be 2..64"),
        (("Gemm", (0,), (), {}, "fc"), "node 'fc' (Gemm): 0 tensors, must be for ('weight', '[bias]')"),
        (("Gemm", (0,), (0, 1, 2), {}, "fc"), "node 'fc' (Gemm): 3 tensors, must be for ('weight', '[bias]')"),
        (
            ("BatchNormalization", (0,), (0,), {}, "bn"),
            "node 'bn' (BatchNormalization): 1 tensors, must be for ('scale', 'bias')",
        ),
        (("Relu", (0,), (0,), {}, "r"), "node 'r' (Relu): 1 tensors, must be for ()"),
        (("Relu", (0,), (), {"alpha": (1,)}), "node '' (Relu): attributes {'alpha': (1,)}, must be of lengths {}"),
        (
            ("Clip", (0,), (), {"bounds": (0.0,)}),
            "node '' (Clip): attributes {'bounds': (0.0,)}, must be of lengths {'bounds': 2}",
        ),
        (("Gemm", (0,), (0,), {}, ""), f"node '' (Gemm): {NAME_RULE}"),
        (("Relu", (0,), (), {}, "relu"), f"node 'relu' (Relu): {NAME_RULE}"),
    ],
)
def test_a_node_fits_its_operator(node: tuple[Any, ...], message: str) -> None:
    with pytest.raises(MalformedBundle, match=f"^{re.escape(message)}$"):
        Node(*node)


def test_an_unknown_operator_is_unsupported() -> None:
    with pytest.raises(UnsupportedBundle, match=r"^node '': operator 'Softmax', must be one of \['Conv', 'Gemm'"):
        Node("Softmax", (0,))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([Node("Relu", (1,))], "node 0 (Relu): reads value 1, must be 0..0"),
        ([Node("Relu", (-1,))], "node 0 (Relu): reads value -1, must be 0..0"),
        ([Node("Relu", (0,)), Node("Add", (1, 2))], "node 1 (Add): reads value 2, must be 0..1"),
        ([Node("Relu", (0,)), Node("Relu", (0,))], "graph: value 1 is never read, must be"),
        ([Node("Relu", (0,)), Node("Add", (1, 1)), Node("Relu", (1,))], "graph: value 2 is never read, must be"),
        ([Node("Gemm", (i,), (i,), {}, "fc") for i in range(2)], "graph: two layers have the same name, must differ"),
    ],
)
def test_values_are_made_before_they_are_read_and_all_are_read(nodes: list[Node], message: str) -> None:
    with pytest.raises(MalformedBundle, match=f"^{re.escape(message)}$"):
        Graph(tuple(nodes))


def test_a_graph_has_1_to_the_limits_nodes() -> None:
    relus = tuple(Node("Relu", (i,)) for i in range(MAX_NODES + 1))
    assert len(Graph(relus[:MAX_NODES]).nodes) == MAX_NODES
    for nodes in ((), relus):
        with pytest.raises(BundleTooLarge, match=rf"^graph: {len(nodes)} nodes, must be 1\.\.16384$"):
            Graph(nodes)


def test_tensors_are_named_after_the_layer_that_uses_them_first() -> None:
    nodes = (
        Node("BatchNormalization", (0,), (0, 1), {}, "bn"),
        Node("BatchNormalization", (1,), (1, 2), {}, "again"),
        Node("Gemm", (2,), (3, 0), {}, "fc"),
    )
    assert Graph(nodes).tensor_names() == {0: "bn.scale", 1: "bn.bias", 2: "again.bias", 3: "fc.weight"}


def test_integers_and_roles_of_a_node() -> None:
    assert Node("MaxPool", (0,), (), POOL).ints("strides") == (2, 2)
    assert Node("Gemm", (0,), (4,), {}, "fc").tensor_roles() == (("weight", 4),)
    assert Node("Gemm", (0,), (4, 5), {}, "fc").tensor_roles() == (("weight", 4), ("bias", 5))
