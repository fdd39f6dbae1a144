"""From a graph to the steps an engine runs: chains of operators become one step, and values are freed when done.

A Conv, Gemm or BatchNormalization takes in what follows it, as long as nobody else reads what lies between:

    Conv | Gemm  [BatchNormalization]  [Add of a value of the same shape]  [Relu | Clip]
    BatchNormalization                 [Add of a value of the same shape]  [Relu | Clip]

The step runs where the last operator taken in stood, so everything it reads has been made by then.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_store.bundle import Bundle
from model_store.graph import Graph, Node
from model_store.shapes import Shape
from model_store.tensors import Tensor
from service.engine.plan import Array

_HEADS = frozenset({"Conv", "Gemm", "BatchNormalization"})


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operator with its epilogue: `clamp(scale * operator(inputs) + bias + residual)`, the parts it has of that.

    Attributes:
        node: the operator that gives the step its name and attributes.
        inputs: numbers of the values the operator reads.
        output: number of the value the step makes.
        shape: that value's, without the batch dimension.
        weight: constant of a Conv or Gemm, as the bundle holds it.
        scale, bias: float32, one number an output channel, or None.
        residual: number of the value added, or None.
        bounds: (low, high) of the clamp, or None.
        normalization: the name of the BatchNormalization taken in, "" where there is none.
        frees: values that nobody reads after this step.
    """

    node: Node
    inputs: tuple[int, ...]
    output: int
    shape: Shape
    weight: Tensor | None = None
    scale: Array | None = None
    bias: Array | None = None
    residual: int | None = None
    bounds: tuple[float, float] | None = None
    normalization: str = ""
    frees: tuple[int, ...] = ()

    @property
    def reads(self) -> tuple[int, ...]:
        """Every value the step needs: its operator's and the residual."""
        return self.inputs if self.residual is None else (*self.inputs, self.residual)


@dataclass(slots=True, eq=False)
class _Chain:
    """A step that may still take operators in; its fields are `Step`'s."""

    node: Node
    inputs: tuple[int, ...]
    output: int
    shape: Shape
    weight: Tensor | None
    scale: Array | None
    bias: Array | None
    residual: int | None = None
    bounds: tuple[float, float] | None = None
    normalization: str = ""

    @property
    def reads(self) -> tuple[int, ...]:
        return self.inputs if self.residual is None else (*self.inputs, self.residual)

    def take_in(self, node: Node, output: int, tensors: Sequence[Tensor], shapes: Sequence[Shape]) -> bool:
        """Take one more operator in, or return False where that cannot be part of the step."""
        if self.bounds is not None:
            return False
        if node.operator == "Relu":
            self.bounds = (0.0, math.inf)
        elif node.operator == "Clip":
            low, high = node.attributes["bounds"]
            self.bounds = (low, high)
        elif self.residual is not None:
            return False
        elif node.operator == "Add" and shapes[node.values[0]] == shapes[node.values[1]]:
            (self.residual,) = (value for value in node.values if value != self.output)
        elif node.operator == "BatchNormalization" and self.scale is None:
            self._normalize(node, tensors)
        else:
            return False
        self.output = output
        return True

    def _normalize(self, node: Node, tensors: Sequence[Tensor]) -> None:
        constants = {role: tensors[tensor].to_dense() for role, tensor in node.tensor_roles()}
        scale, bias = constants["scale"], constants["bias"]
        self.bias = bias if self.bias is None else (scale * self.bias + bias).astype(np.float32)
        self.scale = scale
        self.normalization = node.name

    def step(self, frees: tuple[int, ...]) -> Step:
        return Step(
            self.node, self.inputs, self.output, self.shape, self.weight, self.scale, self.bias, self.residual,
            self.bounds, self.normalization, frees,
        )  # fmt: skip


def lower(bundle: Bundle) -> tuple[Step, ...]:
    """Steps in execution order; the last one makes the logits."""
    return _free_early(_fuse(bundle.graph, bundle.tensors, bundle.shapes()))


def _fuse(graph: Graph, tensors: Sequence[Tensor], shapes: Sequence[Shape]) -> list[_Chain]:
    readers = Counter(value for node in graph.nodes for value in node.values)
    reader_of = {value: index for index, node in enumerate(graph.nodes) for value in node.values}
    chains: list[_Chain] = []
    taken: set[int] = set()
    for index, node in enumerate(graph.nodes):
        if index in taken:
            continue
        chain = _start(node, index + 1, tensors, shapes)
        while node.operator in _HEADS and readers[chain.output] == 1:
            follower = reader_of[chain.output]
            if follower in taken or not chain.take_in(graph.nodes[follower], follower + 1, tensors, shapes):
                break
            taken.add(follower)
        chains.append(chain)
    return sorted(chains, key=lambda chain: chain.output)


def _start(node: Node, output: int, tensors: Sequence[Tensor], shapes: Sequence[Shape]) -> _Chain:
    constants = {role: tensors[tensor] for role, tensor in node.tensor_roles()}
    return _Chain(
        node,
        node.values,
        output,
        shapes[output],
        weight=constants.get("weight"),
        scale=constants["scale"].to_dense() if "scale" in constants else None,
        bias=constants["bias"].to_dense() if "bias" in constants else None,
    )


def _free_early(chains: list[_Chain]) -> tuple[Step, ...]:
    last_reader = {value: position for position, chain in enumerate(chains) for value in chain.reads}
    freed: dict[int, list[int]] = {}
    for value, position in last_reader.items():
        freed.setdefault(position, []).append(value)
    return tuple(chain.step(tuple(freed.get(position, ()))) for position, chain in enumerate(chains))


class ByteAccount:
    """The bytes an engine holds, for each named layer and in total.

    A bias that came with a BatchNormalization is that layer's; the scale is the weight's, where it was multiplied in.
    """

    def __init__(self, graph: Graph) -> None:
        self.layers = {node.name: 0 for node in graph.nodes if node.name}
        self.total = 0

    def add(self, step: Step, role: str, size_bytes: int) -> None:
        """Count one array of a step: its "weight", "scale", "bias" or anything else it needs."""
        layer = step.normalization if step.normalization and role in {"scale", "bias"} else step.node.name
        self.total += size_bytes
        if layer:
            self.layers[layer] += size_bytes
