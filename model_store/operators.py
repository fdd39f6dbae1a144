"""The closed list of operators a graph may use: ONNX names and semantics (opset 17), batch dimension implied.

Every attribute is a tuple of integers of fixed length, but for Clip's two bounds, which are floats.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    Attributes:
        code: its number in the file.
        values: how many computed inputs it takes (min, max).
        tensors: the roles of its constant inputs, in order; a role in brackets may be left out.
        attributes: attribute name -> number of integers, in file order.
        roles: those of the constant inputs, without brackets.
        required: how many of those must be there.
        lengths: the attributes as a mapping.
    """

    name: str
    code: int
    values: tuple[int, int] = (1, 1)
    tensors: tuple[str, ...] = ()
    attributes: tuple[tuple[str, int], ...] = ()
    roles: tuple[str, ...] = field(init=False)
    required: int = field(init=False)
    lengths: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", tuple(role.strip("[]") for role in self.tensors))
        object.__setattr__(self, "required", sum(not role.startswith("[") for role in self.tensors))
        object.__setattr__(self, "lengths", dict(self.attributes))


_WINDOW = (("strides", 2), ("pads", 4))  # pads: top, left, bottom, right, as ONNX orders them

OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("Conv", 1, (1, 1), ("weight", "[bias]"), (*_WINDOW, ("dilations", 2), ("group", 1))),
        Operator("Gemm", 2, (1, 1), ("weight", "[bias]")),  # transB = 1: weight is [outputs, inputs]
        Operator("BatchNormalization", 3, (1, 1), ("scale", "bias")),  # mean 0, variance 1, epsilon 0: folded
        Operator("Relu", 4),
        Operator("Add", 5, (2, 2)),
        Operator("Mul", 6, (2, 2)),
        Operator("Clip", 7, (1, 1), (), (("bounds", 2),)),
        Operator("Sigmoid", 8),
        Operator("MaxPool", 9, (1, 1), (), (("kernel_shape", 2), *_WINDOW)),
        Operator("AveragePool", 10, (1, 1), (), (("kernel_shape", 2), *_WINDOW, ("count_include_pad", 1))),
        Operator("GlobalAveragePool", 11),
        Operator("Flatten", 12),  # axis = 1
        Operator("Concat", 13, (2, 64)),  # axis = 1
        Operator("Pad", 14, (1, 1), (), (("pads", 6),)),  # begin of channel, height, width; then the ends; with 0
        Operator("Slice", 15, (1, 1), (), (("starts", 3), ("ends", 3), ("steps", 3))),  # channel, height, width
    )
}
OPERATOR_BY_CODE = {operator.code: operator for operator in OPERATORS.values()}
