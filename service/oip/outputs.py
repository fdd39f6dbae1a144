"""From logits to the tensors a client asked for."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.engine.plan import Array
from service.errors import InvalidInference
from service.oip.datatypes import BYTES, FP32
from service.oip.fields import show
from service.oip.inputs import TensorSpecification
from service.oip.requests import InferenceRequest, RequestedOutput

PROBABILITIES = "probabilities"
LOGITS = "logits"


@dataclass(frozen=True, slots=True, eq=False)
class OutputTensor:
    """A tensor to send: float32 of its shape, or BYTES row by row.

    Attributes:
        binary: as bytes behind the JSON, not in it.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Array | list[bytes]
    binary: bool


def specify_outputs(classes: int) -> tuple[TensorSpecification, ...]:
    """A model's two outputs."""
    return (
        TensorSpecification(PROBABILITIES, FP32, (classes,), "softmax of the logits, not calibrated"),
        TensorSpecification(LOGITS, FP32, (classes,), "the network's own output"),
    )


def choose_outputs(request: InferenceRequest) -> tuple[RequestedOutput, ...]:
    """What to send: what was asked for, or all.

    Raises:
        InvalidInference: a name that is no output of a model.
    """
    for output in request.outputs:
        if output.name not in (PROBABILITIES, LOGITS):
            raise InvalidInference(
                f"{output.place}.name = {show(output.name)}, must be one of {PROBABILITIES} and {LOGITS}"
            )
    names = (PROBABILITIES, LOGITS)
    return request.outputs or tuple(RequestedOutput("", name, request.binary, 0) for name in names)


def make_outputs(
    wanted: tuple[RequestedOutput, ...], logits: Array, class_names: tuple[str, ...]
) -> list[OutputTensor]:
    """The tensors of float32 logits [n, classes]."""
    return [_make_output(output, logits, class_names) for output in wanted]


def softmax(logits: Array) -> npt.NDArray[np.float64]:
    """Probabilities float64 [n, classes] of float32 logits."""
    powers: npt.NDArray[np.float64] = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def _make_output(output: RequestedOutput, logits: Array, class_names: tuple[str, ...]) -> OutputTensor:
    values = softmax(logits).astype(np.float32) if output.name == PROBABILITIES else logits
    if not output.classes:
        return OutputTensor(output.name, FP32, values.shape, values, output.binary)
    count = min(output.classes, len(class_names))
    texts = [text for row in values for text in classify(row, class_names, count)]
    return OutputTensor(output.name, BYTES, (len(values), count), texts, output.binary)


def classify(values: Array, class_names: tuple[str, ...], count: int) -> list[bytes]:
    """The highest values as the classification extension writes them, "<value>:<index>:<label>", the highest first."""
    best = np.argsort(-values, kind="stable")[:count]
    return [f"{values[index]:f}:{index}:{class_names[index]}".encode() for index in best]
