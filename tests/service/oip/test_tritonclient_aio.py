"""The same client's asyncio half."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
import tritonclient.http.aio as triton
from tritonclient.utils import InferenceServerException

from tests.service.drawings import png
from tests.service.oip.test_tritonclient import ADMIN, PICTURES, images, normalised, pixels, tensor_of
from tests.service.processes import Service

Call = Callable[[triton.InferenceServerClient], Awaitable[None]]


def run(service: Service, call: Call) -> None:
    async def main() -> None:
        async with triton.InferenceServerClient(f"127.0.0.1:{service.port}") as client:
            await call(client)

    asyncio.run(main())


def test_health_and_metadata(protocol_service: Service) -> None:
    async def call(client: triton.InferenceServerClient) -> None:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("colour", "1")
        assert not await client.is_model_ready("nothing")
        assert (await client.get_server_metadata())["name"] == "csrve"
        assert (await client.get_model_metadata("grey"))["versions"] == ["1"]
        assert (await client.get_model_config("grey", "1"))["max_batch_size"] == 16

    run(protocol_service, call)


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_inference(protocol_service: Service, coding: str | None, binary: bool) -> None:
    async def call(client: triton.InferenceServerClient) -> None:
        expected = await client.infer("colour", [tensor_of("input", normalised(pixels(16)))])
        outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("logits", "probabilities")]
        result = await client.infer(
            "colour",
            [tensor_of("pixels", pixels(16), binary=binary)],
            outputs=outputs,
            request_id="mine",
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )
        np.testing.assert_allclose(result.as_numpy("logits"), expected.as_numpy("logits"), rtol=1e-4, atol=1e-5)
        assert result.get_response()["id"] == "mine"

    run(protocol_service, call)


def test_encoded_pictures_and_classification(protocol_service: Service) -> None:
    async def call(client: triton.InferenceServerClient) -> None:
        results = await asyncio.gather(*(client.infer("colour", [images([picture])]) for picture in PICTURES))
        together = await client.infer("colour", [images(PICTURES)])
        alone = np.concatenate([result.as_numpy("logits") for result in results])
        np.testing.assert_allclose(together.as_numpy("logits"), alone, rtol=1e-4, atol=1e-5)
        output = triton.InferRequestedOutput("probabilities", class_count=1)
        classes = (await client.infer("colour", [images([png()])], outputs=[output])).as_numpy("probabilities")
        assert classes[0, 0].decode().endswith(f":class {alone[0].argmax()}")

    run(protocol_service, call)


def test_repository_and_statistics(protocol_service: Service) -> None:
    async def call(client: triton.InferenceServerClient) -> None:
        await client.unload_model("grey", headers=dict(ADMIN))
        assert not await client.is_model_ready("grey")
        await client.load_model("grey", headers=dict(ADMIN))
        assert await client.is_model_ready("grey")
        index = await client.get_model_repository_index()
        assert [entry["state"] for entry in index if entry["name"] == "grey"] == ["READY"]
        assert (await client.get_inference_statistics("grey"))["model_stats"][0]["name"] == "grey"

    run(protocol_service, call)


def test_errors(protocol_service: Service) -> None:
    async def call(client: triton.InferenceServerClient) -> None:
        with pytest.raises(InferenceServerException) as caught:
            await client.infer("colour", [images([b"no picture"])])
        assert (caught.value.status(), caught.value.message()) == (
            "415",
            "inputs[0].data[0]: The body is not a PNG, JPEG or WebP picture.",
        )
        with pytest.raises(InferenceServerException) as caught:
            await client.load_model("colour")
        assert caught.value.status() == "403"

    run(protocol_service, call)
