import json

import numpy as np
import pytest

from model_store.preprocessing import Preprocessing
from service.errors import InvalidInference, TooManyPixels, UndecodablePicture
from service.oip.inputs import read_inputs, specify_inputs
from service.oip.requests import InferenceRequest, parse_request
from service.pictures import read_picture
from tests.service.drawings import blank_png, draw, encode, png
from tests.service.oip.drawn import element, one_input

COLOUR = Preprocessing(6, 5, (0.5, 0.4, 0.3), (0.25, 0.2, 0.1))


def request_of(data: bytes, **members: object) -> InferenceRequest:
    entry = one_input(data=None, **members, parameters={"binary_data_size": len(data)})
    header = json.dumps({"inputs": [entry]}).encode()
    return parse_request(header + data, len(header))


def read(request: InferenceRequest, max_pictures: int = 4, max_pixels: int = 10_000) -> list[np.ndarray]:
    return read_inputs(request, COLOUR, max_pictures, max_pixels)


def test_encoded_pictures_are_prepared_as_those_of_predict() -> None:
    files = [png(), encode(draw(7, 9), "JPEG")]
    arrays = read(request_of(b"".join(map(element, files)), name="image", shape=[2], datatype="BYTES"))
    for array, file in zip(arrays, files, strict=True):
        np.testing.assert_array_equal(array, read_picture(file, COLOUR, 10_000))


def test_pixels_of_a_picture_that_fits_give_what_its_file_gives() -> None:
    picture = draw(5, 6)
    pixels = np.asarray(picture)[None]
    (array,) = read(request_of(pixels.tobytes(), name="pixels", shape=[1, 6, 5, 3], datatype="UINT8"))
    np.testing.assert_array_equal(array, read_picture(encode(picture), COLOUR, 10_000))


def test_normalised_tensors_are_taken_as_they_are() -> None:
    array = np.random.default_rng(0).normal(size=(3, 3, 6, 5)).astype("<f4")
    arrays = read(request_of(array.tobytes(), name="input", shape=[3, 3, 6, 5], datatype="FP32"))
    np.testing.assert_array_equal(np.stack(arrays), array)
    assert all(picture.dtype == np.float32 for picture in arrays)


def test_what_a_model_takes_is_specified() -> None:
    assert [(tensor.name, tensor.datatype, tensor.sides) for tensor in specify_inputs(COLOUR)] == [
        ("image", "BYTES", ()),
        ("pixels", "UINT8", (6, 5, 3)),
        ("input", "FP32", (3, 6, 5)),
    ]


INVALID: list[tuple[str, list[int], str, str]] = [
    ("images", [1], "BYTES", '.name = "images", must be one of image, pixels and input'),
    ("image", [1], "UINT8", '.datatype = "UINT8", must be "BYTES"'),
    ("input", [1, 3, 6, 5], "FP16", '.datatype = "FP16", must be "FP32"'),
    ("image", [], "BYTES", ".shape = [], must be [n]"),
    ("image", [1, 2], "BYTES", ".shape = [1, 2], must be [n]"),
    ("input", [], "FP32", ".shape = [], must be [n, 3, 6, 5]"),
    ("input", [3, 6, 5], "FP32", ".shape = [3, 6, 5], must be [n, 3, 6, 5]"),
    ("input", [1, 6, 5, 3], "FP32", ".shape = [1, 6, 5, 3], must be [n, 3, 6, 5]"),
    ("pixels", [1, 3, 6, 5], "UINT8", ".shape = [1, 3, 6, 5], must be [n, 6, 5, 3]"),
    ("image", [0], "BYTES", ".shape[0] = 0, must be 1..4 pictures"),
    ("image", [5], "BYTES", ".shape[0] = 5, must be 1..4 pictures"),
]


@pytest.mark.parametrize(("name", "shape", "datatype", "message"), INVALID, ids=range(len(INVALID)))
def test_a_tensor_that_is_not_the_models_is_refused(name: str, shape: list[int], datatype: str, message: str) -> None:
    with pytest.raises(InvalidInference) as caught:
        read(request_of(b"", name=name, shape=shape, datatype=datatype))
    assert str(caught.value) == f"inputs[0]{message}"


def test_a_request_has_one_input() -> None:
    body = json.dumps({"inputs": [one_input(name="image"), one_input(name="input")]}).encode()
    with pytest.raises(InvalidInference) as caught:
        read(parse_request(body, None))
    assert str(caught.value) == "inputs: 2 tensors, must be one of image, pixels and input"


def test_the_picture_that_cannot_be_read_is_named() -> None:
    data = element(png()) + element(png()[:60])
    with pytest.raises(UndecodablePicture) as caught:
        read(request_of(data, name="image", shape=[2], datatype="BYTES"))
    assert str(caught.value) == "inputs[0].data[1]: The picture is damaged or cut short."
    with pytest.raises(TooManyPixels) as refused:
        read(request_of(element(blank_png(200, 51)), name="image", shape=[1], datatype="BYTES"))
    assert str(refused.value) == "inputs[0].data[0]: The picture has too many pixels, must be at most 10000."
