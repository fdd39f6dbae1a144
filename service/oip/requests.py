"""An inference request out of its JSON, and of the binary tensors behind it."""

import math
from dataclasses import dataclass

from service.errors import InvalidInference, NotSupported
from service.oip.fields import as_flag, as_integer, as_list, as_object, as_text, parameters_of, show
from service.oip.limits import (
    MAX_CLASSIFICATION,
    MAX_DIMENSION,
    MAX_ELEMENTS,
    MAX_HEADER_BYTES,
    MAX_ID_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_RANK,
    MAX_TENSORS,
    MAX_TIMEOUT_US,
)
from service.strict_json import read_json


@dataclass(frozen=True, slots=True, eq=False)
class InputTensor:
    """A tensor as it came: its data not yet read.

    Attributes:
        place: where it stands in the request, for errors.
        data: its bytes, or its list out of the JSON.

    Raises:
        InvalidInference: too many dimensions or elements.
    """

    place: str
    name: str
    datatype: str
    shape: tuple[int, ...]
    data: memoryview | list[object]

    def __post_init__(self) -> None:
        if len(self.shape) > MAX_RANK:
            raise InvalidInference(f"{self.place}.shape: {len(self.shape)} dimensions, must be at most {MAX_RANK}")
        if math.prod(self.shape) > MAX_ELEMENTS:
            raise InvalidInference(f"{self.place}.shape = {list(self.shape)}, must be at most {MAX_ELEMENTS} elements")

    @property
    def data_place(self) -> str:
        """Where its data stands, for errors."""
        return f"{self.place}.data"


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """A tensor that is wanted. `classes` > 0: as that many of the highest, in the classification extension's text."""

    place: str
    name: str
    binary: bool
    classes: int


@dataclass(frozen=True, slots=True, eq=False)
class InferenceRequest:
    """A request, its tensors not yet compared with any model.

    Attributes:
        id: as the client gave it, "" for none.
        outputs: what is wanted; none means all.
        binary: how outputs are sent that the client did not name.
        timeout_s: how long the client will wait, None for as long as the service lets it.
    """

    id: str
    inputs: tuple[InputTensor, ...]
    outputs: tuple[RequestedOutput, ...]
    binary: bool
    timeout_s: float | None


def parse_header_length(text: str | None, body_bytes: int) -> int | None:
    """How many bytes of the body are JSON, as `Inference-Header-Content-Length` says; None: all of them.

    Raises:
        InvalidInference: no number, more than the body has, or more than the limit.
    """
    if text is None:
        return None
    length = int(text[:12]) if text.isascii() and text.isdecimal() else -1
    if not 0 <= length <= min(body_bytes, MAX_HEADER_BYTES):
        raise InvalidInference(
            f"Inference-Header-Content-Length = {show(text)}, must be a whole number up to "
            f"{min(body_bytes, MAX_HEADER_BYTES)}"
        )
    return length


def parse_request(body: bytes, header_length: int | None) -> InferenceRequest:
    """A request's JSON, and its binary tensors.

    Args:
        body: uncompressed.
        header_length: its first bytes that are JSON; None: all; 0: none, see `parse_raw_request`.

    Raises:
        InvalidUpload: the JSON is malformed.
        InvalidInference: a field breaks its rule, or bytes are missing or left over.
        NotSupported: shared memory, or a sequence.
    """
    if header_length == 0:
        return parse_raw_request(body)
    whole = memoryview(body)
    split = len(body) if header_length is None else header_length
    document = as_object(read_json(whole[:split]), "body")
    parameters = parameters_of(document, "parameters")
    if parameters.get("sequence_id"):
        raise NotSupported("parameters.sequence_id: models here keep no state between requests")
    binary = as_flag(parameters.get("binary_data_output", False), "parameters.binary_data_output")
    return InferenceRequest(
        _id(document),
        _parse_inputs(document, whole[split:]),
        _parse_outputs(document, binary),
        binary,
        _timeout_s(parameters),
    )


def parse_raw_request(body: bytes) -> InferenceRequest:
    """A body that is nothing but the one element of the input `image`; all outputs are wanted, in bytes.

    Raises:
        InvalidInference: it is empty.
    """
    if not body:
        raise InvalidInference("body: 0 bytes, must be a picture where Inference-Header-Content-Length is 0")
    element = memoryview(len(body).to_bytes(4, "little") + body)
    return InferenceRequest("", (InputTensor("body", "image", "BYTES", (1,), element),), (), True, None)


def _id(document: dict[str, object]) -> str:
    identity = document.get("id")
    if identity is None or identity == "":
        return ""
    return as_text(identity, "id", MAX_ID_CHARACTERS)


def _timeout_s(parameters: dict[str, object]) -> float | None:
    if "timeout" not in parameters:
        return None
    timeout_us = as_integer(parameters["timeout"], "parameters.timeout", 0, MAX_TIMEOUT_US)
    return timeout_us / 1e6 if timeout_us else None  # 0 is the protocol's word for none


def _parse_inputs(document: dict[str, object], tail: memoryview) -> tuple[InputTensor, ...]:
    entries = as_list(document.get("inputs"), "inputs", 1, MAX_TENSORS)
    inputs: list[InputTensor] = []
    offset = 0
    for index, entry in enumerate(entries):
        tensor, used = _parse_input(as_object(entry, f"inputs[{index}]"), f"inputs[{index}]", tail[offset:])
        inputs.append(tensor)
        offset += used
    if offset != len(tail):
        raise InvalidInference(f"body: {len(tail)} bytes after the JSON, but the inputs' sizes make {offset}")
    _check_unique([tensor.name for tensor in inputs], "inputs")
    return tuple(inputs)


def _parse_input(entry: dict[str, object], place: str, tail: memoryview) -> tuple[InputTensor, int]:
    """(the tensor, how many bytes of the tail are its)."""
    parameters = parameters_of(entry, f"{place}.parameters")
    _refuse_shared_memory(parameters, place)
    data = entry.get("data")
    used = 0
    if "binary_data_size" in parameters:
        if data is not None:
            raise InvalidInference(f"{place}: both data and binary_data_size, must be one of them")
        used = as_integer(parameters["binary_data_size"], f"{place}.parameters.binary_data_size", 0, len(tail))
    tensor = InputTensor(
        place,
        as_text(entry.get("name"), f"{place}.name", MAX_NAME_CHARACTERS),
        as_text(entry.get("datatype"), f"{place}.datatype", MAX_NAME_CHARACTERS),
        _shape(entry.get("shape"), f"{place}.shape"),
        tail[:used] if "binary_data_size" in parameters else as_list(data, f"{place}.data", 0, MAX_ELEMENTS),
    )
    return tensor, used


def _shape(value: object, place: str) -> tuple[int, ...]:
    sides = as_list(value, place, 0, MAX_RANK)
    return tuple(as_integer(side, f"{place}[{index}]", 0, MAX_DIMENSION) for index, side in enumerate(sides))


def _parse_outputs(document: dict[str, object], binary: bool) -> tuple[RequestedOutput, ...]:
    given = document.get("outputs")
    entries = [] if given is None else as_list(given, "outputs", 0, MAX_TENSORS)
    places = [f"outputs[{index}]" for index in range(len(entries))]
    outputs = tuple(
        _parse_output(as_object(entry, place), place, binary) for entry, place in zip(entries, places, strict=True)
    )
    _check_unique([output.name for output in outputs], "outputs")
    return outputs


def _parse_output(entry: dict[str, object], place: str, binary: bool) -> RequestedOutput:
    parameters = parameters_of(entry, f"{place}.parameters")
    _refuse_shared_memory(parameters, place)
    classes = parameters.get("classification", 0)
    return RequestedOutput(
        place,
        as_text(entry.get("name"), f"{place}.name", MAX_NAME_CHARACTERS),
        as_flag(parameters.get("binary_data", binary), f"{place}.parameters.binary_data"),
        as_integer(classes, f"{place}.parameters.classification", 0, MAX_CLASSIFICATION),
    )


def _refuse_shared_memory(parameters: dict[str, object], place: str) -> None:
    if "shared_memory_region" in parameters:
        raise NotSupported(f"{place}.parameters.shared_memory_region: shared memory is not supported")


def _check_unique(names: list[str], place: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvalidInference(f"{place}: {show(name)} twice, must be once")
