import json

import numpy as np
import pytest

from service.errors import InvalidInference
from service.oip.outputs import OutputTensor, choose_outputs, classify, make_outputs, softmax, specify_outputs
from service.oip.requests import parse_request
from service.oip.responses import encode_response
from tests.service.oip.drawn import document_of, element, one_input

LOGITS = np.array([[0.0, 2.0, 1.0], [-5.0, 1000.0, 1000.0]], dtype=np.float32)
NAMES = ("cat", "dog", "größer")


def outputs_of(*wanted: object, **parameters: object) -> list[OutputTensor]:
    request = parse_request(document_of(inputs=[one_input()], outputs=list(wanted), parameters=parameters), None)
    return make_outputs(choose_outputs(request), LOGITS, NAMES)


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    probabilities = softmax(LOGITS)
    np.testing.assert_allclose(probabilities[0], np.exp([0, 2, 1]) / np.exp([0, 2, 1]).sum())
    np.testing.assert_allclose(probabilities[1], [0, 0.5, 0.5], atol=1e-12)


def test_all_outputs_are_sent_where_none_is_named() -> None:
    first, second = outputs_of()
    assert (first.name, first.datatype, first.shape, first.binary) == ("probabilities", "FP32", (2, 3), False)
    assert (second.name, second.binary) == ("logits", False)
    assert [output.binary for output in outputs_of(binary_data_output=True)] == [True, True]


def test_an_outputs_own_wish_wins_over_the_requests() -> None:
    wanted = [{"name": "logits", "parameters": {"binary_data": False}}, {"name": "probabilities"}]
    assert [(output.name, output.binary) for output in outputs_of(*wanted, binary_data_output=True)] == [
        ("logits", False),
        ("probabilities", True),
    ]


def test_classification_is_value_index_and_label_the_highest_first() -> None:
    (output,) = outputs_of({"name": "logits", "parameters": {"classification": 2}})
    assert (output.datatype, output.shape) == ("BYTES", (2, 2))
    assert output.data == [
        b"2.000000:1:dog",
        "1.000000:2:größer".encode(),
        b"1000.000000:1:dog",
        "1000.000000:2:größer".encode(),
    ]
    (all_of_them,) = outputs_of({"name": "logits", "parameters": {"classification": 99}})
    assert all_of_them.shape == (2, 3)
    assert classify(LOGITS[0], NAMES, 1) == [b"2.000000:1:dog"]


def test_an_output_that_a_model_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidInference) as caught:
        outputs_of({"name": "logits"}, {"name": "label"})
    assert str(caught.value) == 'outputs[1].name = "label", must be one of probabilities and logits'


def test_what_a_model_gives_is_specified() -> None:
    assert [(tensor.name, tensor.datatype, tensor.sides) for tensor in specify_outputs(7)] == [
        ("probabilities", "FP32", (7,)),
        ("logits", "FP32", (7,)),
    ]


def test_a_response_in_json() -> None:
    text = {"name": "logits", "parameters": {"classification": 1}}
    content, headers = encode_response("m", 3, "mine", outputs_of(text, {"name": "probabilities"}))
    assert headers == {"Content-Type": "application/json"}
    document = json.loads(content)
    assert list(document) == ["model_name", "model_version", "id", "outputs"]
    assert (document["model_name"], document["model_version"], document["id"]) == ("m", "3", "mine")
    assert document["outputs"][0] == {
        "name": "logits",
        "shape": [2, 1],
        "datatype": "BYTES",
        "data": ["2.000000:1:dog", "1000.000000:1:dog"],
    }
    np.testing.assert_allclose(document["outputs"][1]["data"], softmax(LOGITS).ravel(), rtol=1e-6)


def test_a_response_in_json_and_bytes() -> None:
    text = {"name": "logits", "parameters": {"classification": 1, "binary_data": True}}
    plain = {"name": "probabilities", "parameters": {"binary_data": True}}
    content, headers = encode_response("m", 3, "", outputs_of(text, plain))
    assert headers["Content-Type"] == "application/octet-stream"
    length = int(headers["Inference-Header-Content-Length"])
    document = json.loads(content[:length])
    assert "id" not in document
    texts = element(b"2.000000:1:dog") + element(b"1000.000000:1:dog")
    assert [output["parameters"]["binary_data_size"] for output in document["outputs"]] == [len(texts), 24]
    assert not any("data" in output for output in document["outputs"])
    assert content[length:] == texts + softmax(LOGITS).astype("<f4").tobytes()
