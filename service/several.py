"""Predictions of forms and JSON, which can carry several pictures; one answer for all of them, or one error."""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from starlette.requests import Request

from service.correlation import record_of
from service.disconnection import unless_gone
from service.engine.plan import Array
from service.models import LoadedModel
from service.oip.backend import Backend, time_request
from service.oip.inputs import read_pictures
from service.oip.outputs import softmax
from service.oip.statistics import Run
from service.predictions import Query
from service.schemas import Candidate, Classification, Prediction, Predictions
from service.uploads import MediaType, media_type_of, parse_pictures, read_body


@dataclass(frozen=True, slots=True, eq=False)
class _Classified:
    several: bool
    logits: Array
    runs: list[Run]
    decoded_s: float


async def predict_several(backend: Backend, request: Request, query: Query) -> Prediction | Predictions:
    """Read, decode, run, render. The answer to what carries one picture by its nature is that of a raw body.

    Raises:
        RequestError: one of its kinds; see `service.errors`. Where there are several pictures it says which.
        ClientDisconnect: nobody waits for the answer any more.
    """
    settings = backend.settings
    with backend.admitted():
        model = await backend.find(query.model, query.selector)
        with backend.used(model):
            media_type = media_type_of(request)
            body = await read_body(request, settings.max_body_bytes, settings.upload_timeout_s)
            read_s = time.perf_counter()
            classified = await unless_gone(request, _classify(backend, model, body, media_type))
        timing = time_request(record_of(request), read_s, classified.decoded_s, classified.runs)
        backend.account(record_of(request), model, len(body), timing, classified.runs)
    found = [_classification(model, row, query.top_k) for row in softmax(classified.logits)]
    if classified.several:
        return Predictions(model=model.name, version=model.version, predictions=found, timing_ms=timing)
    return Prediction(model=model.name, version=model.version, **found[0].model_dump(), timing_ms=timing)


async def _classify(backend: Backend, model: LoadedModel, body: bytes, media_type: MediaType) -> _Classified:
    def read() -> tuple[bool, list[Array]]:
        upload = parse_pictures(body, media_type, backend.max_pictures)
        place = "pictures" if upload.several else ""
        pictures = read_pictures(list(upload.pictures), model.preprocessing, backend.settings.max_pixels, place)
        return upload.several, pictures

    async with backend.deadline():
        several, pictures = await backend.in_thread(read)
        decoded_s = time.perf_counter()
        logits, runs = await backend.infer(model, pictures)
    return _Classified(several, logits, runs, decoded_s)


def _classification(model: LoadedModel, probabilities: npt.NDArray[np.float64], top_k: int) -> Classification:
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    top = [Candidate(label=model.class_names[index], probability=float(probabilities[index])) for index in best]
    return Classification(label=top[0].label, probability=top[0].probability, top=top)
