"""One exported ATen node and what is known of its inputs: what every rule of lowering works on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx

from compressor.errors import NetworkError
from compressor.tracing.builder import GraphBuilder


@dataclass(frozen=True, slots=True, eq=False)
class Lowering:
    """One exported node, with what is known of its inputs."""

    node: fx.Node
    builder: GraphBuilder
    values: Mapping[fx.Node, int]
    constants: Mapping[fx.Node, tuple[Tensor, str]]

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        """An argument by position or keyword."""
        if index < len(self.node.args):
            return self.node.args[index]
        return self.node.kwargs.get(name, default)

    def value(self, index: int = 0) -> int:
        """The graph's value that an argument is."""
        source = self.node.args[index]
        if not isinstance(source, fx.Node) or source not in self.values:
            raise NetworkError(f"{self.node.target} of a constant has no counterpart in a bundle")
        return self.values[source]

    def constant(self, index: int, name: str) -> tuple[Tensor, str] | None:
        """A constant argument and its parameter's name; None where it is absent."""
        source = self.argument(index, name)
        if source is None:
            return None
        if source not in self.constants:
            raise NetworkError(f"{name} of {self.node.target} is computed, must be a parameter")
        return self.constants[source]

    def tensor(self, index: int, name: str) -> tuple[int, ...]:
        """A constant argument as tensor indices: one, or none where it is absent."""
        found = self.constant(index, name)
        return () if found is None else (self.builder.add_tensor(*found),)

    def shape(self, index: int = 0) -> tuple[Any, ...]:
        """The shape of a tensor argument; the batch is symbolic."""
        source = self.node.args[index]
        assert isinstance(source, fx.Node)
        return tuple(source.meta["val"].shape)

    @property
    def out_shape(self) -> tuple[Any, ...]:
        value = self.node.meta["val"]
        return tuple((value[0] if isinstance(value, tuple | list) else value).shape)


def pair(value: Any) -> tuple[int, int]:
    both = (value, value) if isinstance(value, int) else tuple(value)
    return (int(both[0]), int(both[-1]))


def layer_of(parameter: str) -> str:
    """The layer of a parameter: "layer1.0.conv1.weight" -> "layer1.0.conv1"."""
    return parameter.rpartition(".")[0] or parameter


Rule = Callable[[Lowering], int]  # adds nodes and returns the number of the value that the exported node becomes
