"""One inference over the protocol, from the request to the answer."""

import time
from dataclasses import dataclass

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from model_store.preprocessing import Preprocessing
from service.comparisons import Answer
from service.correlation import record_of
from service.disconnection import unless_gone
from service.engine.plan import Array
from service.errors import RequestError
from service.models import LoadedModel
from service.oip.backend import Backend, runs_of, time_request
from service.oip.compression import MIN_COMPRESSED_BYTES, choose_coding, compress, decompress
from service.oip.inputs import check_not_normalised, read_inputs
from service.oip.outputs import choose_outputs, make_outputs
from service.oip.requests import InferenceRequest, parse_header_length, parse_request
from service.oip.responses import HEADER_LENGTH, encode_response
from service.oip.statistics import Stages, Statistics
from service.uploads import read_body


@dataclass(frozen=True, slots=True, eq=False)
class _Classified:
    request: InferenceRequest
    answer: Answer


class Inferences:
    """Answers the protocol's inference requests, and counts them."""

    def __init__(self, backend: Backend, statistics: Statistics) -> None:
        self._backend = backend
        self._statistics = statistics

    async def answer(self, request: Request, name: str, version: int | None) -> Response:
        """Read, decode, run, render.

        Raises:
            RequestError: one of its kinds; see `service.errors`.
            ClientDisconnect: nobody waits for the answer any more.
        """
        record_of(request).protocol = "oip_binary" if HEADER_LENGTH in request.headers else "oip"
        with self._backend.admitted():
            model = await self._backend.find(name, version)
            began_s = time.perf_counter()
            try:
                with self._backend.used(model):
                    return await self._answer(request, model, version)
            except RequestError:
                self._statistics.fail(model.name, model.version, time.perf_counter() - began_s)
                raise

    async def _answer(self, request: Request, model: LoadedModel, version: int | None) -> Response:
        settings = self._backend.settings
        body = await read_body(request, settings.max_body_bytes, settings.upload_timeout_s)
        read_s = time.perf_counter()
        classified = await unless_gone(request, self._classify(request, model, version, body))
        answer, runs = classified.answer, runs_of(classified.answer)
        computed_s = time.perf_counter()
        coding = choose_coding(request.headers.get("accept-encoding", ""))
        content, headers = await self._backend.in_thread(_render, classified, coding)
        timing = time_request(record_of(request), read_s, answer.decoded_s, runs)
        self._backend.account(record_of(request), answer.model, len(body), timing, runs)
        stages = Stages(
            queue_s=timing.queue / 1000,
            input_s=answer.decoded_s - read_s,
            infer_s=timing.inference / 1000,
            output_s=time.perf_counter() - computed_s,
            total_s=timing.total / 1000,
        )
        self._statistics.succeed(answer.model.name, answer.model.version, stages, runs)
        return Response(content, headers=headers)

    async def _classify(self, request: Request, model: LoadedModel, version: int | None, body: bytes) -> _Classified:
        encoding, header_length = request.headers.get("content-encoding", ""), request.headers.get(HEADER_LENGTH)
        async with self._backend.deadline() as shorten:
            parsed = await self._backend.in_thread(self._parse, body, encoding, header_length)
            if parsed.timeout_s is not None:
                shorten(parsed.timeout_s)

            async def read(preprocessing: Preprocessing) -> list[Array]:
                if preprocessing != model.preprocessing:
                    check_not_normalised(parsed)
                limits = (self._backend.max_pictures, self._backend.settings.max_pixels)
                return await self._backend.in_thread(read_inputs, parsed, preprocessing, *limits)

            answer = await self._backend.answer(model, version, record_of(request), read)
        return _Classified(parsed, answer)

    def _parse(self, body: bytes, encoding: str, header_length: str | None) -> InferenceRequest:
        plain = decompress(body, encoding, self._backend.settings.max_body_bytes)
        request = parse_request(plain, parse_header_length(header_length, len(plain)))
        choose_outputs(request)  # before any picture is decoded
        return request


def _render(classified: _Classified, coding: str) -> tuple[bytes, dict[str, str]]:
    request, model = classified.request, classified.answer.model
    logits = np.stack([outcome.logits for outcome in classified.answer.outcomes])
    outputs = make_outputs(choose_outputs(request), logits, model.class_names)
    content, headers = encode_response(model.name, model.version, request.id, outputs)
    if coding and len(content) >= MIN_COMPRESSED_BYTES:
        return compress(content, coding), headers | {"Content-Encoding": coding}
    return content, headers
