"""The shape rules and the limits of the work, written from section 4 of docs/bundle_format.md alone."""

import math

from tests.reference_fields import ReferenceNode, require

Shape = tuple[int, ...]


def infer_shapes(nodes: tuple[ReferenceNode, ...], tensors: list[Shape], first: Shape) -> list[Shape]:
    """The shape of every value, without the batch."""
    last_reader = {value: at for at, n in enumerate(nodes) for value in n.inputs}
    shapes, alive, work = [first], {0: math.prod(first)}, 0
    for at, n in enumerate(nodes):
        shapes.append(node_shape(n, [shapes[i] for i in n.inputs], [tensors[t] for t in n.tensors]))
        alive[at + 1] = math.prod(shapes[-1])
        require(sum(alive.values()) <= 2**26, "MAX_ACTIVATION_ELEMENTS")
        work += node_work(n, shapes[-1], tensors)
        require(work <= 2**40, "MAX_MULTIPLY_ADDS")
        for value in set(n.inputs):
            if last_reader[value] == at:
                del alive[value]
    return shapes


def node_work(n: ReferenceNode, output: Shape, tensors: list[Shape]) -> int:
    if n.operator in ("Conv", "Gemm"):
        return math.prod(output) * math.prod(tensors[n.tensors[0]][1:])
    if n.operator in ("MaxPool", "AveragePool"):
        return math.prod(output) * int(n.attributes[0] * n.attributes[1])
    return 0


def windows(side: int, pads: int, kernel: int, stride: int, dilation: int = 1) -> int:
    room = side + pads - (dilation * (kernel - 1) + 1)
    require(room >= 0, "kernel larger than its padded input")
    return room // stride + 1


def node_shape(n: ReferenceNode, inputs: list[Shape], tensors: list[Shape]) -> Shape:
    shape = inputs[0]
    a = [int(value) for value in n.attributes]
    if n.operator in ("Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "Pad", "Slice"):
        require(len(shape) == 3, "needs channels, height, width")
    if n.operator == "Conv":
        return conv_shape(shape, a, tensors)
    if n.operator == "Gemm":
        require(len(shape) == 1 and len(tensors[0]) == 2 and tensors[0][1] == shape[0], "Gemm's weight")
        require(all(bias == tensors[0][:1] for bias in tensors[1:]), "Gemm's bias")
        return tensors[0][:1]
    if n.operator == "BatchNormalization":
        require(all(t == shape[:1] for t in tensors), "one scale and bias a channel")
    if n.operator in ("Add", "Mul"):
        require(len(inputs[0]) == len(inputs[1]), "ranks differ")
        require(all(x == y or 1 in (x, y) for x, y in zip(*inputs, strict=True)), "sides do not broadcast")
        return tuple(max(sides) for sides in zip(*inputs, strict=True))
    if n.operator in ("MaxPool", "AveragePool"):
        return pool_shape(shape, a)
    if n.operator == "GlobalAveragePool":
        return (shape[0], 1, 1)
    if n.operator == "Flatten":
        return (math.prod(shape),)
    if n.operator == "Concat":
        require(all(other[1:] == shape[1:] for other in inputs), "sides but the first differ")
        return (sum(other[0] for other in inputs), *shape[1:])
    if n.operator == "Pad":
        return tuple(side + a[i] + a[i + 3] for i, side in enumerate(shape))
    if n.operator == "Slice":
        require(all(a[i] < a[i + 3] <= side and a[i + 6] >= 1 for i, side in enumerate(shape)), "slice")
        return tuple(-(-(a[i + 3] - a[i]) // a[i + 6]) for i in range(3))
    return shape


def conv_shape(shape: Shape, a: list[int], tensors: list[Shape]) -> Shape:
    strides, pads, dilations, group = a[0:2], a[2:6], a[6:8], a[8]
    require(min(*strides, *dilations, group) >= 1, "attribute of 0")
    weight = tensors[0]
    require(len(weight) == 4 and weight[1] * group == shape[0] and weight[0] % group == 0, "Conv's weight")
    require(all(bias == weight[:1] for bias in tensors[1:]), "Conv's bias")
    height = windows(shape[1], pads[0] + pads[2], weight[2], strides[0], dilations[0])
    return (weight[0], height, windows(shape[2], pads[1] + pads[3], weight[3], strides[1], dilations[1]))


def pool_shape(shape: Shape, a: list[int]) -> Shape:
    kernel, strides, pads = a[0:2], a[2:4], a[4:8]
    require(min(*kernel, *strides) >= 1, "attribute of 0")
    require(max(pads[0], pads[2]) < kernel[0] and max(pads[1], pads[3]) < kernel[1], "pads reach the kernel")
    require(all(flag in (0, 1) for flag in a[8:]), "count_include_pad")
    height = windows(shape[1], pads[0] + pads[2], kernel[0], strides[0])
    return (shape[0], height, windows(shape[2], pads[1] + pads[3], kernel[1], strides[1]))
