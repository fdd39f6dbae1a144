"""Which channels of a network are one: they are added to each other, or only passed on, and can only go together.

Every channel of every value gets a class. A convolution or linear layer makes new ones; BatchNorm, activations and
pooling pass theirs on; an addition joins those of its two sides. So a filter inside a residual block has a class of its
own, and a channel of the residual stream one that spans all blocks that write it or read it: the residual rule of Ma et
al. 2019, for any graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from model_store.graph import INPUT, Graph, Node
from model_store.shapes import Shape, infer_shapes

_PASS_ON = frozenset({"Relu", "Clip", "Sigmoid", "MaxPool", "AveragePool", "GlobalAveragePool", "BatchNormalization"})


@dataclass(frozen=True, slots=True, eq=False)
class LayerChannels:
    """A convolution or linear layer by its module's name: the class of each input and output, int64.

    A linear layer behind a flattening has an input for every pixel of a channel, all of that channel's class.
    """

    name: str
    inputs: np.ndarray
    outputs: np.ndarray
    depthwise: bool


@dataclass(frozen=True, slots=True, eq=False)
class NormChannels:
    """A BatchNorm by its module's name."""

    name: str
    channels: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class PaddedChannels:
    """Channels of zeros that an option A shortcut adds before and behind its input's, in the graph's order."""

    before: np.ndarray
    behind: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class ChannelClasses:
    """All of a network.

    Attributes:
        kept: classes that must stay: of pictures, logits, and of what this analysis does not follow.
        unquiet: classes whose zeros do not stay zeros on their way (a sigmoid makes one half of them).
    """

    layers: tuple[LayerChannels, ...]
    norms: tuple[NormChannels, ...]
    padded: tuple[PaddedChannels, ...]
    kept: frozenset[int]
    unquiet: frozenset[int]


def find_classes(graph: Graph, tensor_shapes: Sequence[Shape], input_shape: Shape) -> ChannelClasses:
    """The channel classes of a traced network."""
    return _Search(graph, infer_shapes(graph, tensor_shapes, input_shape)).run()


@dataclass(slots=True, eq=False)
class _Search:
    graph: Graph
    shapes: Sequence[Shape]
    parents: list[int] = field(default_factory=list)
    layers: list[LayerChannels] = field(default_factory=list)
    norms: list[NormChannels] = field(default_factory=list)
    padded: list[PaddedChannels] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    unquiet: list[int] = field(default_factory=list)

    def run(self) -> ChannelClasses:
        values = [self._fresh(self.shapes[INPUT][0])]
        self.kept += values[INPUT].tolist()
        for index, node in enumerate(self.graph.nodes):
            values.append(self._made_by(node, [values[value] for value in node.values], index + 1))
        self.kept += values[-1].tolist()
        layers = [
            LayerChannels(layer.name, self._roots(layer.inputs), self._roots(layer.outputs), layer.depthwise)
            for layer in self.layers
        ]
        return ChannelClasses(
            tuple(layers),
            tuple(NormChannels(norm.name, self._roots(norm.channels)) for norm in self.norms),
            tuple(PaddedChannels(self._roots(each.before), self._roots(each.behind)) for each in self.padded),
            frozenset(self._roots(np.array(self.kept, dtype=np.int64)).tolist()),
            frozenset(self._roots(np.array(self.unquiet, dtype=np.int64)).tolist()),
        )

    def _made_by(self, node: Node, inputs: list[np.ndarray], value: int) -> np.ndarray:
        shape = self.shapes[value]
        if node.operator in {"Conv", "Gemm"}:
            return self._layer(node, inputs[0], shape[0])
        if node.operator in {"Add", "Mul"} and len(inputs[0]) == len(inputs[1]):
            self._join(inputs[0], inputs[1])
            return inputs[0]
        if node.operator == "Flatten":
            return np.repeat(inputs[0], shape[0] // len(inputs[0]))
        if node.operator == "Concat":
            return np.concatenate(inputs)
        if node.operator == "Slice":
            (start, *_), (end, *_), (step, *_) = (node.ints(name) for name in ("starts", "ends", "steps"))
            return inputs[0][start:end:step]
        if node.operator == "Pad":
            return self._pad(node, inputs[0])
        if node.operator in _PASS_ON:
            self._note(node, inputs[0])
            return inputs[0]
        for each in inputs:  # a product of a map and one number a channel, say
            self.kept += each.tolist()
        return self._keep(self._fresh(shape[0]))

    def _layer(self, node: Node, inputs: np.ndarray, count: int) -> np.ndarray:
        groups = node.ints("group")[0] if node.operator == "Conv" else 1
        outputs = self._fresh(count)
        depthwise = groups > 1 and groups == len(inputs) == count
        if depthwise:
            self._join(inputs, outputs)
        elif groups > 1:
            self.kept += [*inputs.tolist(), *outputs.tolist()]
        for known in self.layers:
            if known.name == node.name:  # one module, used twice
                self._join(known.inputs, inputs)
                self._join(known.outputs, outputs)
                return outputs
        self.layers.append(LayerChannels(node.name, inputs, outputs, depthwise))
        return outputs

    def _pad(self, node: Node, inputs: np.ndarray) -> np.ndarray:
        before, behind = node.ints("pads")[0], node.ints("pads")[3]
        if not before and not behind:
            return inputs
        self.padded.append(PaddedChannels(self._fresh(before), self._fresh(behind)))
        return np.concatenate([self.padded[-1].before, inputs, self.padded[-1].behind])

    def _note(self, node: Node, channels: np.ndarray) -> None:
        if node.operator == "BatchNormalization":
            self.norms.append(NormChannels(node.name, channels))
        moves = node.operator == "Clip" and not node.attributes["bounds"][0] <= 0 <= node.attributes["bounds"][1]
        if node.operator == "Sigmoid" or moves:
            self.unquiet += channels.tolist()

    def _keep(self, channels: np.ndarray) -> np.ndarray:
        self.kept += channels.tolist()
        return channels

    def _fresh(self, count: int) -> np.ndarray:
        first = len(self.parents)
        self.parents += range(first, first + count)
        return np.arange(first, first + count)

    def _join(self, first: np.ndarray, second: np.ndarray) -> None:
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            self.parents[self._root(one)] = self._root(other)

    def _root(self, channel: int) -> int:
        while self.parents[channel] != channel:
            self.parents[channel] = channel = self.parents[self.parents[channel]]
        return channel

    def _roots(self, channels: np.ndarray) -> np.ndarray:
        return np.array([self._root(channel) for channel in channels.tolist()], dtype=np.int64)
