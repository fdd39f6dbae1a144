"""Bundle -> ONNX (opset 17): the same graph with dense float32 weights. Needs the extra `export`.

Input "images": float32 [batch, channels, height, width], resized and normalised as the bundle's preprocessing says
(the metadata carries it). Output "logits": float32 [batch, classes].
"""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

from model_store.bundle import Bundle
from model_store.errors import BundleTooLarge
from model_store.graph import INPUT, Graph, Node

OPSET = 17
IR_VERSION = 8  # the first that has this opset
MAX_PROTOBUF_BYTES = (1 << 31) - (1 << 20)  # protobuf ends at 2 GiB; the rest is left for graph and names

_SPATIAL_AXES = (1, 2, 3)
_SCALAR_ATTRIBUTES = frozenset({"group", "count_include_pad"})


def export_onnx(bundle: Bundle) -> bytes:
    """The file's bytes, checked by onnx's own checker.

    Raises:
        BundleTooLarge: the dense tensors pass what one ONNX file can hold.
    """
    dense_bytes = sum(4 * math.prod(tensor.shape) for tensor in bundle.tensors)
    if dense_bytes > MAX_PROTOBUF_BYTES:
        raise BundleTooLarge(f"onnx: {dense_bytes} bytes of dense tensors, must be <= {MAX_PROTOBUF_BYTES}")
    model = _Builder(bundle).build()
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


class _Builder:
    """Collects nodes and constants while it goes through a bundle's graph once."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._names = bundle.graph.tensor_names()
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    def build(self) -> ModelProto:
        graph = self._bundle.graph
        for index, node in enumerate(graph.nodes):
            self._add(node, _value_name(graph, index + 1))
        proto = helper.make_graph(
            self._nodes,
            self._bundle.architecture,
            [_value_info("images", self._bundle.preprocessing.input_shape)],
            [_value_info("logits", (len(self._bundle.class_names),))],
            list(self._constants.values()),
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(proto, producer_name="csrve", opset_imports=[opset], ir_version=IR_VERSION)
        helper.set_model_props(model, _metadata(self._bundle))
        return model

    def _add(self, node: Node, output: str) -> None:
        inputs = [_value_name(self._bundle.graph, value) for value in node.values]
        inputs += [self._tensor(index) for index in node.tensors]
        rule = _RULES.get(node.operator)
        extra, attributes = rule(self, node, output) if rule else ([], _attributes(node))
        self._nodes.append(helper.make_node(node.operator, inputs + extra, [output], name=output, **attributes))

    def _tensor(self, index: int) -> str:
        return self._constant(self._names[index], self._bundle.tensors[index].to_dense())

    def _constant(self, name: str, values: np.ndarray) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def _integers(self, name: str, values: tuple[int, ...]) -> str:
        return self._constant(name, np.array(values, dtype=np.int64))

    # Each rule returns an operator's further inputs and its attributes.

    def _gemm(self, node: Node, output: str) -> "_Rest":
        return [], {"transB": 1}

    def _normalization(self, node: Node, output: str) -> "_Rest":
        channels = self._bundle.tensors[node.tensors[0]].shape[0]
        mean = self._constant(f"{output}/mean", np.zeros(channels, dtype=np.float32))
        variance = self._constant(f"{output}/variance", np.ones(channels, dtype=np.float32))
        return [mean, variance], {"epsilon": 0.0}

    def _clip(self, node: Node, output: str) -> "_Rest":
        bounds = zip(("min", "max"), node.attributes["bounds"], strict=True)
        return [self._constant(f"{output}/{name}", np.array(value, dtype=np.float32)) for name, value in bounds], {}

    def _pad(self, node: Node, output: str) -> "_Rest":
        pads = node.ints("pads")
        return [self._integers(f"{output}/pads", (0, *pads[:3], 0, *pads[3:]))], {"mode": "constant"}

    def _slice(self, node: Node, output: str) -> "_Rest":
        starts, ends = (self._integers(f"{output}/{name}", node.ints(name)) for name in ("starts", "ends"))
        axes = self._integers(f"{output}/axes", _SPATIAL_AXES)
        return [starts, ends, axes, self._integers(f"{output}/steps", node.ints("steps"))], {}

    def _axis(self, node: Node, output: str) -> "_Rest":
        return [], {"axis": 1}


_Rest = tuple[list[str], dict[str, Any]]
_RULES: dict[str, Callable[[_Builder, Node, str], _Rest]] = {
    "Gemm": _Builder._gemm,
    "BatchNormalization": _Builder._normalization,
    "Clip": _Builder._clip,
    "Pad": _Builder._pad,
    "Slice": _Builder._slice,
    "Flatten": _Builder._axis,
    "Concat": _Builder._axis,
}


def _attributes(node: Node) -> dict[str, Any]:
    """The attributes that ONNX spells as we do."""
    return {name: node.ints(name)[0] if name in _SCALAR_ATTRIBUTES else node.ints(name) for name in node.attributes}


def _value_name(graph: Graph, value: int) -> str:
    """Named after the layer where there is one. "/" keeps these apart from tensors, whose names have none."""
    if value == INPUT:
        return "images"
    if value == len(graph.nodes):
        return "logits"
    node = graph.nodes[value - 1]
    return f"/{value}/{node.name or node.operator}"


def _value_info(name: str, shape: tuple[int, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def _metadata(bundle: Bundle) -> dict[str, str]:
    preprocessing = bundle.preprocessing
    return {
        "class_names": json.dumps(bundle.class_names),
        "height": str(preprocessing.height),
        "width": str(preprocessing.width),
        "mean": json.dumps(preprocessing.mean),
        "std": json.dumps(preprocessing.std),
        "provenance": json.dumps(bundle.provenance, sort_keys=True),
    }
