"""Collects nodes and constants while a network is lowered, then drops what nothing reads."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from model_store.graph import INPUT, Graph, Node


class GraphBuilder:
    """Nodes in execution order. Values are numbered as `Node.values` are: 0 the input, i + 1 what node i produced."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._tensors: list[np.ndarray] = []
        self._sources: list[str] = []

    def add(
        self,
        operator: str,
        values: tuple[int, ...],
        attributes: Mapping[str, tuple[float, ...]] | None = None,
        *,
        tensors: tuple[int, ...] = (),
        name: str = "",
    ) -> int:
        """Append a node and return the number of its value; a name in use already gets a number."""
        name = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)
        taken = {node.name for node in self._nodes}
        unique, count = name, 1
        while name and unique in taken:
            count += 1
            unique = f"{name}_{count}"
        self._nodes.append(Node(operator, values, tensors, attributes or {}, unique))
        return len(self._nodes)

    def add_tensor(self, tensor: Tensor, source: str) -> int:
        """Keep a constant, once per `source` (a parameter's name), and return its index."""
        if source in self._sources:
            return self._sources.index(source)
        self._tensors.append(np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32))
        self._sources.append(source)
        return len(self._tensors) - 1

    def finish(self, output: int) -> tuple[Graph, tuple[np.ndarray, ...], tuple[str, ...]]:
        """The nodes that `output` depends on, renumbered, with the constants they use and those constants' names."""
        needed = {output}
        for index in reversed(range(len(self._nodes))):
            if index + 1 in needed:
                needed.update(self._nodes[index].values)
        kept = [index for index in range(len(self._nodes)) if index + 1 in needed]
        value_of = {INPUT: INPUT} | {old + 1: new + 1 for new, old in enumerate(kept)}
        used = list(dict.fromkeys(tensor for index in kept for tensor in self._nodes[index].tensors))
        tensor_of = {old: new for new, old in enumerate(used)}
        nodes = tuple(_renumber(self._nodes[index], value_of, tensor_of) for index in kept)
        return Graph(nodes), tuple(self._tensors[i] for i in used), tuple(self._sources[i] for i in used)


def _renumber(node: Node, value_of: Mapping[int, int], tensor_of: Mapping[int, int]) -> Node:
    values = tuple(value_of[value] for value in node.values)
    return dataclasses.replace(node, values=values, tensors=tuple(tensor_of[tensor] for tensor in node.tensors))
