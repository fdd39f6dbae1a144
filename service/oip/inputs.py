"""From a request's tensor to the arrays a network reads.

A model takes its pictures in one of three forms, each a tensor of its own, of which a request has exactly one:

    image   BYTES [n]                           PNG, JPEG or WebP of any size, prepared as `service.pictures` says
    pixels  UINT8 [n, height, width, channels]  decoded, of the network's size; scaled to [0, 1] and normalised here
    input   FP32  [n, channels, height, width]  normalised already: what the network reads
"""

from dataclasses import dataclass

import numpy as np

from model_store.preprocessing import Preprocessing
from service.engine.plan import Array
from service.errors import InvalidInference, RequestError
from service.oip.datatypes import BYTES, FP32, UINT8, decode_numbers, decode_texts
from service.oip.fields import show
from service.oip.requests import InferenceRequest, InputTensor
from service.pictures import normalise, read_picture

IMAGE = "image"
PIXELS = "pixels"
INPUT = "input"


@dataclass(frozen=True, slots=True)
class TensorSpecification:
    """What a model says of a tensor. `sides` are those of one picture: the number of pictures comes before them."""

    name: str
    datatype: str
    sides: tuple[int, ...]
    content: str


def specify_inputs(preprocessing: Preprocessing) -> tuple[TensorSpecification, ...]:
    """The three forms of a model's input."""
    channels, height, width = preprocessing.input_shape
    prepared = f"resized to {height} x {width} (bilinear), scaled to [0, 1], normalised by mean and std"
    return (
        TensorSpecification(IMAGE, BYTES, (), f"encoded PNG, JPEG or WebP of any size; the service has it {prepared}"),
        TensorSpecification(
            PIXELS,
            UINT8,
            (height, width, channels),
            "decoded pixels; scaled to [0, 1], normalised by mean and std here",
        ),
        TensorSpecification(INPUT, FP32, (channels, height, width), "(pixels / 255 - mean) / std, done by the client"),
    )


def read_inputs(
    request: InferenceRequest, preprocessing: Preprocessing, max_pictures: int, max_pixels: int
) -> list[Array]:
    """A request's pictures, each float32 [channels, height, width].

    Raises:
        RequestError: not exactly one input, of another name, datatype or shape than the model's, or data that does not
            fit; a picture that cannot be read, as `read_picture` raises it.
    """
    tensor = _only(request.inputs)
    specification = _specification(tensor, preprocessing)
    count = _count(tensor, specification, max_pictures)
    if specification.name == IMAGE:
        pictures = decode_texts(tensor.data, count, tensor.data_place)
        return read_pictures(pictures, preprocessing, max_pixels, tensor.data_place)
    numbers = decode_numbers(tensor.data, tensor.datatype, tensor.shape, tensor.data_place)
    if specification.name == PIXELS:
        return [normalise(picture.astype(np.uint8, copy=False), preprocessing) for picture in numbers]
    return [picture.astype(np.float32, copy=False) for picture in numbers]


def check_not_normalised(request: InferenceRequest) -> None:
    """Refuse, for a model with other preprocessing than the one that was asked for, what only that one can read.

    Raises:
        InvalidInference: the pictures are normalised already.
    """
    if request.inputs and request.inputs[0].name == INPUT:
        raise InvalidInference(f"{request.inputs[0].place}: normalised for another model")


def read_pictures(pictures: list[bytes], preprocessing: Preprocessing, max_pixels: int, place: str) -> list[Array]:
    """Several encoded pictures, as `read_picture` reads one; its errors say which it was, where a place is given."""
    return [
        _read_picture(picture, preprocessing, max_pixels, f"{place}[{index}]: " if place else "")
        for index, picture in enumerate(pictures)
    ]


def _read_picture(picture: bytes, preprocessing: Preprocessing, max_pixels: int, prefix: str) -> Array:
    try:
        return read_picture(picture, preprocessing, max_pixels)
    except RequestError as error:
        raise type(error)(f"{prefix}{error}") from None


def _only(inputs: tuple[InputTensor, ...]) -> InputTensor:
    if len(inputs) != 1:
        raise InvalidInference(f"inputs: {len(inputs)} tensors, must be one of {IMAGE}, {PIXELS} and {INPUT}")
    return inputs[0]


def _specification(tensor: InputTensor, preprocessing: Preprocessing) -> TensorSpecification:
    for specification in specify_inputs(preprocessing):
        if specification.name == tensor.name:
            break
    else:
        raise InvalidInference(
            f"{tensor.place}.name = {show(tensor.name)}, must be one of {IMAGE}, {PIXELS} and {INPUT}"
        )
    if tensor.datatype != specification.datatype:
        raise InvalidInference(
            f"{tensor.place}.datatype = {show(tensor.datatype)}, must be {show(specification.datatype)}"
        )
    return specification


def _count(tensor: InputTensor, specification: TensorSpecification, max_pictures: int) -> int:
    """How many pictures; for encoded ones [n, 1] is as good as [n]."""
    sides = tensor.shape[1:]
    if (sides != specification.sides and not (specification.name == IMAGE and sides == (1,))) or not tensor.shape:
        expected = ", ".join(["n", *map(str, specification.sides)])
        raise InvalidInference(f"{tensor.place}.shape = {list(tensor.shape)}, must be [{expected}]")
    count = tensor.shape[0]
    if not 1 <= count <= max_pictures:
        raise InvalidInference(f"{tensor.place}.shape[0] = {count}, must be 1..{max_pictures} pictures")
    return count
