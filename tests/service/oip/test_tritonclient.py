"""The protocol's own client, unmodified, against a real server: every call that applies."""

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from service import __version__
from tests.service.drawings import draw, encode, png
from tests.service.oip.conftest import TOKEN
from tests.service.processes import Service

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
PICTURES = [png(), encode(draw(9, 30), "JPEG"), encode(draw(50, 20), "WEBP")]


@pytest.fixture
def client(protocol_service: Service) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{protocol_service.port}") as client:
        yield client


def images(pictures: list[bytes], shape: list[int] | None = None) -> triton.InferInput:
    tensor = triton.InferInput("image", shape or [len(pictures)], "BYTES")
    return tensor.set_data_from_numpy(np.array(pictures, dtype=np.object_).reshape(shape or [-1]))


def pixels(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def normalised(array: np.ndarray) -> np.ndarray:
    """What the service makes of pixels for `colour`."""
    return ((array.astype(np.float32) / 255 - 0.5) / 0.25).transpose(0, 3, 1, 2).astype(np.float32)


def tensor_of(name: str, array: np.ndarray, *, binary: bool = True) -> triton.InferInput:
    datatype = {"uint8": "UINT8", "float32": "FP32"}[array.dtype.name]
    tensor = triton.InferInput(name, list(array.shape), datatype)
    return tensor.set_data_from_numpy(np.ascontiguousarray(array), binary_data=binary)


def test_health(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("colour")
    assert client.is_model_ready("colour", "1")
    assert not client.is_model_ready("colour", "3")
    assert not client.is_model_ready("nothing")
    assert not client.is_model_ready("..%2Fcolour")


def test_server_metadata(client: triton.InferenceServerClient) -> None:
    described = client.get_server_metadata()
    assert (described["name"], described["version"]) == ("csrve", __version__)
    assert {"binary_tensor_data", "classification", "model_repository", "statistics"} <= set(described["extensions"])


def test_model_metadata_and_configuration(client: triton.InferenceServerClient) -> None:
    described = client.get_model_metadata("colour", "1")
    assert (described["name"], described["versions"], described["platform"]) == ("colour", ["1", "2"], "csrve_bundle")
    shapes = {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in described["inputs"]}
    assert shapes == {
        "image": ("BYTES", [-1]),
        "pixels": ("UINT8", [-1, 8, 8, 3]),
        "input": ("FP32", [-1, 3, 8, 8]),
    }
    assert [(tensor["name"], tensor["shape"]) for tensor in described["outputs"]] == [
        ("probabilities", [-1, 4]),
        ("logits", [-1, 4]),
    ]
    configured = client.get_model_config("grey")
    assert (configured["name"], configured["max_batch_size"]) == ("grey", 16)
    assert [tensor["dims"] for tensor in configured["input"]] == [[], [12, 10, 1], [1, 12, 10]]
    assert all(tensor["optional"] for tensor in configured["input"])


@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_encoded_pictures_with_every_default(client: triton.InferenceServerClient, shape: list[int]) -> None:
    result = client.infer("colour", [images(PICTURES, shape)])
    response = result.get_response()
    assert (response["model_name"], response["model_version"]) == ("colour", "2")
    assert "id" not in response
    probabilities, logits = result.as_numpy("probabilities"), result.as_numpy("logits")
    assert (probabilities.shape, probabilities.dtype, logits.shape) == ((3, 4), np.float32, (3, 4))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(probabilities, powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("request_coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_coding", [None, "gzip", "deflate"])
def test_tensors_in_json_and_in_bytes_plain_and_compressed(
    client: triton.InferenceServerClient,
    binary_in: bool,
    binary_out: bool,
    request_coding: str | None,
    response_coding: str | None,
) -> None:
    expected = client.infer("colour", [tensor_of("input", normalised(pixels(16)))]).as_numpy("logits")
    result = client.infer(
        "colour",
        [tensor_of("pixels", pixels(16), binary=binary_in)],
        outputs=[triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("logits", "probabilities")],
        request_compression_algorithm=request_coding,
        response_compression_algorithm=response_coding,
    )
    np.testing.assert_allclose(result.as_numpy("logits"), expected, rtol=1e-4, atol=1e-5)
    assert ("data" in result.get_output("logits")) is not binary_out


def test_normalised_tensors_in_json(client: triton.InferenceServerClient) -> None:
    array = normalised(pixels())
    in_bytes, in_json = (client.infer("colour", [tensor_of("input", array, binary=binary)]) for binary in (True, False))
    np.testing.assert_allclose(in_json.as_numpy("logits"), in_bytes.as_numpy("logits"), rtol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_classification(client: triton.InferenceServerClient, binary: bool) -> None:
    probabilities = client.infer("colour", [images(PICTURES)]).as_numpy("probabilities")
    output = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)
    classes = client.infer("colour", [images(PICTURES)], outputs=[output]).as_numpy("probabilities")
    assert classes.shape == (3, 2)
    for row, found in zip(probabilities, classes, strict=True):
        text = found[0].decode() if binary else found[0]
        value, index, label = text.split(":")
        assert (int(index), label) == (int(row.argmax()), f"class {row.argmax()}")
        assert float(value) == pytest.approx(float(row.max()), abs=1e-4)


def test_more_classes_than_there_are_are_all_of_them(client: triton.InferenceServerClient) -> None:
    output = triton.InferRequestedOutput("logits", class_count=1000)
    assert client.infer("grey", [images([png()])], outputs=[output]).as_numpy("logits").shape == (1, 3)


def test_ids_are_echoed_versions_chosen_and_parameters_taken(client: triton.InferenceServerClient) -> None:
    result = client.infer(
        "colour",
        [images([png()])],
        model_version="1",
        request_id="mine",
        priority=3,
        timeout=5_000_000,
        parameters={"note": "x", "weight": 0.5},
    )
    assert result.get_response()["id"] == "mine"
    assert result.get_response()["model_version"] == "1"


def test_asynchronous_requests(client: triton.InferenceServerClient) -> None:
    waiting = [
        client.async_infer("colour", [images([picture])], request_id=f"r{i}") for i, picture in enumerate(PICTURES)
    ]
    results = [request.get_result() for request in waiting]
    assert [result.get_response()["id"] for result in results] == ["r0", "r1", "r2"]


def test_a_body_and_an_answer_that_the_client_makes_and_reads_offline(client: triton.InferenceServerClient) -> None:
    body, header_length = triton.InferenceServerClient.generate_request_body([images([png()])], request_id="offline")
    answer = client._post("v2/models/colour/infer", body, {"Inference-Header-Content-Length": str(header_length)}, None)
    result = triton.InferenceServerClient.parse_response_body(
        answer.read(), header_length=int(answer.get("Inference-Header-Content-Length"))
    )
    assert result.get_response()["id"] == "offline"


def test_repository_index_load_and_unload(client: triton.InferenceServerClient) -> None:
    def states() -> dict[tuple[str, str], str]:
        return {(entry["name"], entry["version"]): entry["state"] for entry in client.get_model_repository_index()}

    assert set(states()) == {("colour", "1"), ("colour", "2"), ("grey", "1")}
    assert states()["grey", "1"] == "READY"
    client.unload_model("grey", headers=dict(ADMIN))
    assert states()["grey", "1"] == "UNAVAILABLE"
    assert not client.is_model_ready("grey")
    with pytest.raises(InferenceServerException, match="The model is unloaded") as caught:
        client.infer("grey", [images([png()])])
    assert caught.value.status() == "503"
    client.load_model("grey", headers=dict(ADMIN))
    assert states()["grey", "1"] == "READY"
    assert client.infer("grey", [images([png()])]).as_numpy("logits").shape == (1, 3)
    client.unload_model("grey", headers=dict(ADMIN), unload_dependents=True)
    client.load_model("grey", headers=dict(ADMIN))


@pytest.mark.parametrize("headers", [None, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
def test_load_and_unload_need_the_token(client: triton.InferenceServerClient, headers: dict[str, str] | None) -> None:
    for call in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException) as caught:
            call("colour", headers=headers)
        assert caught.value.status() == "403"
    assert client.is_model_ready("colour")


def test_models_that_come_with_the_request_are_refused(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.load_model("colour", headers=dict(ADMIN), config="{}", files={"file:1/model.csrve": b"x"})
    assert caught.value.status() == "400"
    assert caught.value.message() == 'parameters["config"]: models and their configuration come from the store only'


def test_statistics(client: triton.InferenceServerClient) -> None:
    (before,) = client.get_inference_statistics("colour", "2")["model_stats"]
    client.infer("colour", [images(PICTURES)])
    with pytest.raises(InferenceServerException):
        client.infer("colour", [images([b"no picture"])])
    (after,) = client.get_inference_statistics("colour", "2")["model_stats"]
    assert after["inference_count"] == before["inference_count"] + 3
    assert 1 <= after["execution_count"] - before["execution_count"] <= 3
    for stage in ("success", "queue", "compute_input", "compute_infer", "compute_output", "fail"):
        assert after["inference_stats"][stage]["count"] == before["inference_stats"][stage]["count"] + 1, stage
        assert after["inference_stats"][stage]["ns"] > before["inference_stats"][stage]["ns"], stage
    assert after["last_inference"] >= before["last_inference"]
    everything = client.get_inference_statistics()["model_stats"]
    assert {("colour", "2"), ("grey", "1")} <= {(model["name"], model["version"]) for model in everything}


ERRORS = [
    ("nothing", [images([png()])], "404", "The store has no such model or version."),
    ("colour", [images([b"no picture"])], "415", "inputs[0].data[0]: The body is not a PNG, JPEG or WebP picture."),
    (
        "colour",
        [images([png(), png()[:100]])],
        "400",
        "inputs[0].data[1]: The picture is damaged or cut short.",
    ),
    ("grey", [tensor_of("pixels", pixels(1))], "400", "inputs[0].shape = [1, 8, 8, 3], must be [n, 12, 10, 1]"),
    ("colour", [tensor_of("input", pixels(1))], "400", 'inputs[0].datatype = "UINT8", must be "FP32"'),
    (
        "colour",
        [images([png()]), tensor_of("pixels", pixels(1))],
        "400",
        "inputs: 2 tensors, must be one of image, pixels and input",
    ),
    ("colour", [images([png()] * 17)], "400", "inputs[0].shape[0] = 17, must be 1..16 pictures"),
]


@pytest.mark.parametrize(("model", "inputs", "status", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors_reach_the_client_in_words(
    client: triton.InferenceServerClient, model: str, inputs: list[triton.InferInput], status: str, message: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, inputs)
    assert (caught.value.status(), caught.value.message()) == (status, message)


def test_calls_that_do_not_apply_fail_in_words(client: triton.InferenceServerClient) -> None:
    for call in (client.get_log_settings, client.get_trace_settings, client.get_system_shared_memory_status):
        with pytest.raises(InferenceServerException) as caught:
            call()
        assert (caught.value.status(), caught.value.message()) == ("404", "There is nothing at this address.")
    tensor = triton.InferInput("input", [1, 3, 8, 8], "FP32").set_shared_memory("region", 768)
    with pytest.raises(InferenceServerException, match="shared memory is not supported") as caught:
        client.infer("colour", [tensor])
    assert caught.value.status() == "501"
    with pytest.raises(InferenceServerException, match="keep no state") as caught:
        client.infer("colour", [images([png()])], sequence_id=7, sequence_start=True)
    assert caught.value.status() == "501"
