"""Trace a module into the bundle's graph by `torch.export`, with the batch size left open."""

import copy
import operator
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export

from compressor.errors import NetworkError
from compressor.tracing.builder import GraphBuilder
from compressor.tracing.lowering import Lowering
from compressor.tracing.rules import RULES
from compressor.training.layout import with_layout
from model_store.errors import BundleError
from model_store.graph import INPUT, Graph

EXAMPLE_BATCH = 3  # no size that a network would have by itself


@dataclass(frozen=True, slots=True, eq=False)
class TracedNetwork:
    """A graph with the constants its nodes name.

    Attributes:
        tensors: float32, indexed by `Node.tensors`; BatchNorm is folded into scale and bias already.
        sources: the parameter each came from ("layer1.0.conv1.weight"), or what it was computed from ("bn1.scale").
    """

    graph: Graph
    tensors: tuple[np.ndarray, ...]
    sources: tuple[str, ...]


def trace_network(network: nn.Module, input_shape: tuple[int, int, int]) -> TracedNetwork:
    """Lower a network, in evaluation mode, to the operators of the bundle.

    Raises:
        NetworkError: torch cannot export it, or it uses an operator that bundles do not have.
    """
    program = _export(network, input_shape)
    builder = GraphBuilder()
    lowered = _Lowered(program, builder)
    for node in program.graph.nodes:
        if node.op == "call_function":
            lowered.lower(node)
    try:
        graph, tensors, sources = builder.finish(lowered.output())
    except BundleError as error:
        raise NetworkError(f"the network does not fit a bundle: {error}") from error
    return TracedNetwork(graph, tensors, sources)


def _export(network: nn.Module, input_shape: tuple[int, int, int]) -> ExportedProgram:
    """Functional ATen, in the composite operators (conv2d, linear, batch_norm) that modules call."""
    # A copy in plain layout: channels_last weights would add layout changes to the graph.
    plain = with_layout(copy.deepcopy(network).cpu().float().eval(), torch.contiguous_format)
    example = torch.zeros(EXAMPLE_BATCH, *input_shape)
    with _quiet():
        try:
            program = export(plain, (example,), dynamic_shapes=({0: Dim("batch", min=1)},))
            return program.run_decompositions({})
        except Exception as error:  # torch.export documents no error type: whatever it raises means the same to us
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise NetworkError(f"torch.export cannot trace the network: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """torch.export warns of its own deprecated internals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Lowered:
    """Walks exported nodes; knows for each whether it is a constant or which value of the graph it is."""

    def __init__(self, program: ExportedProgram, builder: GraphBuilder) -> None:
        self._builder = builder
        self._values: dict[fx.Node, int] = {}
        self._constants: dict[fx.Node, tuple[Tensor, str]] = {}
        self._output: Any = None
        signature = program.graph_signature
        names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        names |= signature.inputs_to_lifted_tensor_constants
        for node in program.graph.nodes:
            if node.op == "placeholder" and node.name in names:
                self._constants[node] = (_constant(program, names[node.name]), names[node.name])
            elif node.op == "placeholder":
                self._values[node] = INPUT
            elif node.op == "output":
                self._output = node.args[0]

    def lower(self, node: fx.Node) -> None:
        tensors = [source for source in node.all_input_nodes if source in self._values or source in self._constants]
        if not isinstance(node.meta.get("val"), Tensor | tuple | list) or not tensors:
            return  # sizes and guards on the batch
        if all(source in self._constants for source in tensors):
            self._fold(node)
            return
        if node.target is operator.getitem and node.args[1] == 0:
            self._values[node] = self._values[tensors[0]]
            return
        rule = RULES.get(str(node.target))
        if rule is None:
            raise NetworkError(f"{_place(node)}: operator {node.target} has no counterpart in a bundle")
        try:
            self._values[node] = rule(Lowering(node, self._builder, self._values, self._constants))
        except (NetworkError, BundleError) as error:
            raise NetworkError(f"{_place(node)}: {error}") from error

    def _fold(self, node: fx.Node) -> None:
        """Compute now what depends on constants alone (a transposed weight, say)."""
        if not all(source in self._constants for source in node.all_input_nodes):
            raise NetworkError(f"{_place(node)}: operator {node.target} depends on the batch, must not")
        arguments, keywords = fx.map_arg((node.args, node.kwargs), lambda source: self._constants[source][0])
        target: Any = node.target
        result = target(*arguments, **keywords)
        if not isinstance(result, Tensor):
            raise NetworkError(f"{_place(node)}: operator {node.target} on constants has no counterpart in a bundle")
        self._constants[node] = (result, node.name)

    def output(self) -> int:
        outputs = self._output if isinstance(self._output, tuple | list) else (self._output,)
        if len(outputs) != 1 or outputs[0] not in self._values:
            raise NetworkError(f"the network returns {len(outputs)} values, must be one tensor made of the input")
        shape = outputs[0].meta["val"].shape
        if len(shape) != 2:
            raise NetworkError(f"the network returns a tensor of rank {len(shape)}, must be logits [batch, classes]")
        return self._values[outputs[0]]


def _constant(program: ExportedProgram, name: str) -> Tensor:
    found = program.state_dict.get(name, program.constants.get(name))
    if not isinstance(found, Tensor):
        raise NetworkError(f"constant {name!r}: not a tensor")
    return found.detach()


def _place(node: fx.Node) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return f"layer {path!r}" if path else "the network's forward"
