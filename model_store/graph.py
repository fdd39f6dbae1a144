"""The computation of a network: nodes in execution order, each producing one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from model_store.errors import BundleTooLarge, MalformedBundle, UnsupportedBundle
from model_store.limits import MAX_NAME_LENGTH, MAX_NODES
from model_store.names import is_tensor_name
from model_store.operators import OPERATORS, Operator

INPUT = 0  # the number of the value that holds the batch of pictures


@dataclass(frozen=True, slots=True)
class Node:
    """One operator application.

    Attributes:
        operator: a key of `OPERATORS`.
        values: numbers of the values it reads: 0 is the network's input, i + 1 what node i produced.
        tensors: indices into the bundle's tensors, in the order of the operator's roles.
        attributes: as the operator declares them, tuples of integers (floats for Clip).
        name: the layer's name, which tensors are named after ("" where there are none).
    """

    operator: str
    values: tuple[int, ...]
    tensors: tuple[int, ...] = ()
    attributes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise UnsupportedBundle(f"node {self.name!r}: operator {self.operator!r}, must be one of {list(OPERATORS)}")
        schema = OPERATORS[self.operator]
        low, high = schema.values
        if not low <= len(self.values) <= high:
            raise MalformedBundle(f"{self._place}: {len(self.values)} inputs, must be {low}..{high}")
        if not schema.required <= len(self.tensors) <= len(schema.tensors):
            raise MalformedBundle(f"{self._place}: {len(self.tensors)} tensors, must be for {schema.tensors}")
        self._check_attributes(schema)
        if bool(self.tensors) != bool(self.name) or (self.name and not is_tensor_name(self.name)):
            raise MalformedBundle(
                f"{self._place}: must have a name of 1..{MAX_NAME_LENGTH} of [A-Za-z0-9_.-] where it has tensors, "
                "and none elsewhere"
            )

    def _check_attributes(self, schema: Operator) -> None:
        if {name: len(value) for name, value in self.attributes.items()} != schema.lengths:
            raise MalformedBundle(
                f"{self._place}: attributes {dict(self.attributes)}, must be of lengths {schema.lengths}"
            )

    @property
    def _place(self) -> str:
        return f"node {self.name!r} ({self.operator})"

    def ints(self, attribute: str) -> tuple[int, ...]:
        """An attribute's integers, which all are but Clip's bounds."""
        return cast("tuple[int, ...]", self.attributes[attribute])

    def tensor_roles(self) -> tuple[tuple[str, int], ...]:
        """(role, tensor index) of each constant input: "weight", "bias" or "scale"."""
        return tuple(zip(OPERATORS[self.operator].roles, self.tensors, strict=False))


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in execution order; the last one's value is the logits. Every value is used, none before it is made."""

    nodes: tuple[Node, ...]
    inferred: dict[object, tuple[tuple[int, ...], ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # what `infer_shapes` found, by what it was given: a bundle asks once before its weights are decoded, once after

    def __post_init__(self) -> None:
        if not 1 <= len(self.nodes) <= MAX_NODES:
            raise BundleTooLarge(f"graph: {len(self.nodes)} nodes, must be 1..{MAX_NODES}")
        used: set[int] = set()
        for index, node in enumerate(self.nodes):
            for value in node.values:
                if not 0 <= value <= index:
                    raise MalformedBundle(f"node {index} ({node.operator}): reads value {value}, must be 0..{index}")
            used.update(node.values)
        for value in range(len(self.nodes)):
            if value not in used:
                raise MalformedBundle(f"graph: value {value} is never read, must be")
        names = [node.name for node in self.nodes if node.name]
        if len(set(names)) != len(names):
            raise MalformedBundle("graph: two layers have the same name, must differ")

    def tensor_names(self) -> dict[int, str]:
        """tensor index -> "<layer>.<role>", by its first use."""
        names: dict[int, str] = {}
        for node in self.nodes:
            for role, tensor in node.tensor_roles():
                names.setdefault(tensor, f"{node.name}.{role}")
        return names
