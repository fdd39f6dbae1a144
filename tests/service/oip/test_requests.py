import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInference, InvalidUpload, NotSupported, RequestError
from service.oip.requests import parse_header_length, parse_request
from tests.service.oip.drawn import PARAMETERS, document_of, nearly_requests, one_input


def test_a_request_in_json_is_read() -> None:
    request = parse_request(
        document_of(
            id="mine",
            parameters={"timeout": 1500, "binary_data_output": True, "priority": 2, "other": "x"},
            inputs=[one_input()],
            outputs=[{"name": "logits", "parameters": {"classification": 3, "binary_data": False}}, {"name": "x"}],
            unknown=[],
        ),
        None,
    )
    assert (request.id, request.timeout_s, request.binary) == ("mine", 0.0015, True)
    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype, tensor.shape, tensor.data) == ("input", "FP32", (1, 2), [0.5, 1])
    assert (tensor.place, tensor.data_place) == ("inputs[0]", "inputs[0].data")
    assert [(output.name, output.binary, output.classes) for output in request.outputs] == [
        ("logits", False, 3),
        ("x", True, 0),
    ]


def test_what_is_null_is_left_out() -> None:
    request = parse_request(
        document_of(id=None, parameters=None, outputs=None, inputs=[{**one_input(), "parameters": None}]),
        None,
    )
    assert (request.id, request.outputs, request.binary, request.timeout_s) == ("", (), False, None)


def test_binary_tensors_follow_the_json_in_the_inputs_order() -> None:
    header = document_of(
        inputs=[
            one_input(name="a", data=None, parameters={"binary_data_size": 3}),
            one_input(name="b"),
            one_input(name="c", data=None, parameters={"binary_data_size": 0}),
            one_input(name="d", data=None, parameters={"binary_data_size": 2}),
        ]
    )
    request = parse_request(header + b"abcde", len(header))
    data = [bytes(tensor.data) if isinstance(tensor.data, memoryview) else tensor.data for tensor in request.inputs]
    assert data == [b"abc", [0.5, 1], b"", b"de"]


def test_a_raw_body_is_one_picture_and_wants_all_in_bytes() -> None:
    request = parse_request(b"picture", 0)
    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype, tensor.shape) == ("image", "BYTES", (1,))
    assert bytes(tensor.data) == b"\x07\0\0\0picture"
    assert (request.binary, request.outputs) == (True, ())
    with pytest.raises(InvalidInference) as caught:
        parse_request(b"", 0)
    assert str(caught.value) == "body: 0 bytes, must be a picture where Inference-Header-Content-Length is 0"


LIMIT = 1 << 20


@pytest.mark.parametrize(("text", "length"), [(None, None), ("0", 0), ("7", 7), ("007", 7), ("10", 10)])
def test_a_header_length_is_read(text: str | None, length: int | None) -> None:
    assert parse_header_length(text, 10) == length


@pytest.mark.parametrize(
    ("text", "size", "high"),
    [
        *((text, 10, 10) for text in ("11", "-1", "", "x", "1.0", "\u0663", "1_0", "9" * 5000)),
        (str(LIMIT + 1), 2 * LIMIT, LIMIT),
    ],
)
def test_a_header_length_that_cannot_be_is_refused(text: str, size: int, high: int) -> None:
    with pytest.raises(InvalidInference, match=rf"^Inference-Header-Content-Length = .*, must be .* up to {high}$"):
        parse_header_length(text, size)


def test_the_largest_header_is_allowed() -> None:
    assert parse_header_length(str(LIMIT), LIMIT) == LIMIT


def with_inputs(**members: object) -> bytes:
    return document_of(inputs=[one_input(**members)])


INVALID = [
    (b"[]", "body = a list of 0, must be an object"),
    (b"null", "body = null, must be an object"),
    (b"{}", "inputs = null, must be a list"),
    (document_of(inputs=[]), "inputs: 0 elements, must be 1..16"),
    (document_of(inputs=[one_input(name=f"n{i}") for i in range(17)]), "inputs: 17 elements, must be 1..16"),
    (document_of(inputs=[1]), "inputs[0] = 1, must be an object"),
    (document_of(inputs=[one_input(), one_input()]), 'inputs: "input" twice, must be once'),
    (with_inputs(name=None), "inputs[0].name = null, must be a string of 1..128 characters"),
    (with_inputs(name=""), 'inputs[0].name = "", must be a string of 1..128 characters'),
    (with_inputs(name="x" * 129), f'inputs[0].name = "{"x" * 60}"..., must be a string of 1..128 characters'),
    (with_inputs(datatype=4), "inputs[0].datatype = 4, must be a string of 1..128 characters"),
    (with_inputs(shape=None), "inputs[0].shape = null, must be a list"),
    (with_inputs(shape=[1] * 9), "inputs[0].shape: 9 elements, must be 0..8"),
    (with_inputs(shape=[True]), "inputs[0].shape[0] = true, must be a whole number in 0..2147483647"),
    (with_inputs(shape=[1, 2.0]), "inputs[0].shape[1] = 2.0, must be a whole number in 0..2147483647"),
    (with_inputs(shape=[-1]), "inputs[0].shape[0] = -1, must be a whole number in 0..2147483647"),
    (with_inputs(shape=[2**31]), "inputs[0].shape[0] = 2147483648, must be a whole number in 0..2147483647"),
    (
        with_inputs(shape=[2**99]),
        "inputs[0].shape[0] = a number beyond 64 bits, must be a whole number in 0..2147483647",
    ),
    (
        with_inputs(shape=[2**14, 2**14, 2]),
        "inputs[0].shape = [16384, 16384, 2], must be at most 268435456 elements",
    ),
    (with_inputs(data=None), "inputs[0].data = null, must be a list"),
    (with_inputs(data="x"), 'inputs[0].data = "x", must be a list'),
    (with_inputs(parameters=[]), "inputs[0].parameters = a list of 0, must be an object"),
    (
        with_inputs(parameters={"a": []}),
        'inputs[0].parameters["a"] = a list of 0, must be a string, a number, true or false',
    ),
    (with_inputs(parameters={"binary_data_size": 8}), "inputs[0]: both data and binary_data_size, must be one of them"),
    (
        with_inputs(data=None, parameters={"binary_data_size": 8}),
        "inputs[0].parameters.binary_data_size = 8, must be a whole number in 0..0",
    ),
    (document_of(inputs=[one_input()], id=7), "id = 7, must be a string of 1..256 characters"),
    (document_of(inputs=[one_input()], id="x" * 257), f'id = "{"x" * 60}"..., must be a string of 1..256 characters'),
    (document_of(inputs=[one_input()], parameters=[]), "parameters = a list of 0, must be an object"),
    (
        document_of(inputs=[one_input()], parameters={"timeout": "1"}),
        'parameters.timeout = "1", must be a whole number in 0..3600000000',
    ),
    (
        document_of(inputs=[one_input()], parameters={"binary_data_output": 1}),
        "parameters.binary_data_output = 1, must be true or false",
    ),
    (document_of(inputs=[one_input()], outputs={}), "outputs = an object, must be a list"),
    (document_of(inputs=[one_input()], outputs=[{}]), "outputs[0].name = null, must be a string of 1..128 characters"),
    (document_of(inputs=[one_input()], outputs=[{"name": "a"}, {"name": "a"}]), 'outputs: "a" twice, must be once'),
    (
        document_of(inputs=[one_input()], outputs=[{"name": "a", "parameters": {"binary_data": "no"}}]),
        'outputs[0].parameters.binary_data = "no", must be true or false',
    ),
    (
        document_of(inputs=[one_input()], outputs=[{"name": "a", "parameters": {"classification": -1}}]),
        "outputs[0].parameters.classification = -1, must be a whole number in 0..2147483647",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), INVALID, ids=range(len(INVALID)))
def test_a_field_that_breaks_its_rule_is_named(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInference) as caught:
        parse_request(body, None)
    assert str(caught.value) == message


def test_bytes_that_no_input_claims_are_refused() -> None:
    header = with_inputs(data=None, parameters={"binary_data_size": 2})
    with pytest.raises(InvalidInference) as caught:
        parse_request(header + b"abc", len(header))
    assert str(caught.value) == "body: 3 bytes after the JSON, but the inputs' sizes make 2"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            with_inputs(parameters={"shared_memory_region": "r"}),
            "inputs[0].parameters.shared_memory_region: shared memory is not supported",
        ),
        (
            document_of(inputs=[one_input()], outputs=[{"name": "a", "parameters": {"shared_memory_region": "r"}}]),
            "outputs[0].parameters.shared_memory_region: shared memory is not supported",
        ),
        (
            document_of(inputs=[one_input()], parameters={"sequence_id": 5}),
            "parameters.sequence_id: models here keep no state between requests",
        ),
    ],
)
def test_what_is_not_supported_says_so(body: bytes, message: str) -> None:
    with pytest.raises(NotSupported) as caught:
        parse_request(body, None)
    assert str(caught.value) == message


@given(nearly_requests())
def test_a_strange_request_is_read_or_refused_but_nothing_else(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        parse_request(body, None)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_read_or_refused_but_nothing_else(body: bytes, length: int) -> None:
    with contextlib.suppress(InvalidInference, InvalidUpload):
        parse_request(body, min(length, len(body)))


@given(
    st.lists(st.binary(max_size=20), min_size=1, max_size=5),
    st.text(min_size=1, max_size=256),
    PARAMETERS,
)
def test_what_was_written_is_what_is_read(payloads: list[bytes], identity: str, parameters: dict[str, object]) -> None:
    inputs = [
        one_input(
            name=f"n{index}", data=None, shape=[index], parameters={**parameters, "binary_data_size": len(payload)}
        )
        for index, payload in enumerate(payloads)
    ]
    if "shared_memory_region" in parameters:
        return
    header = json.dumps({"id": identity, "parameters": parameters, "inputs": inputs}).encode()
    request = parse_request(header + b"".join(payloads), len(header))
    assert request.id == identity
    assert [bytes(tensor.data) for tensor in request.inputs if isinstance(tensor.data, memoryview)] == payloads
    assert [tensor.shape for tensor in request.inputs] == [(index,) for index in range(len(payloads))]
