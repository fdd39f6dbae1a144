"""Predictions of forms and JSON, which can carry several pictures; one answer for all of them, or one error."""

import time

import numpy as np
import numpy.typing as npt
from starlette.requests import Request

from model_store.preprocessing import Preprocessing
from service.comparisons import Answer
from service.correlation import record_of
from service.disconnection import unless_gone
from service.engine.plan import Array
from service.models import LoadedModel
from service.oip.backend import Backend, runs_of, time_request
from service.oip.inputs import read_pictures
from service.oip.outputs import softmax
from service.predictions import Query
from service.schemas import Candidate, Classification, Prediction, Predictions
from service.uploads import MediaType, media_type_of, parse_pictures, read_body


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
            several, answer = await unless_gone(request, _answer(backend, model, query, request, (body, media_type)))
        runs, model = runs_of(answer), answer.model
        timing = time_request(record_of(request), read_s, answer.decoded_s, runs)
        backend.account(record_of(request), model, len(body), timing, runs)
    logits = np.stack([outcome.logits for outcome in answer.outcomes])
    found = [_classification(model, row, query.top_k) for row in softmax(logits)]
    if several:
        return Predictions(model=model.name, version=model.version, predictions=found, timing_ms=timing)
    return Prediction(model=model.name, version=model.version, **found[0].model_dump(), timing_ms=timing)


async def _answer(
    backend: Backend, model: LoadedModel, query: Query, request: Request, sent: tuple[bytes, MediaType]
) -> tuple[bool, Answer]:
    """(whether there could have been several pictures, the answer to all of them)."""
    async with backend.deadline():
        upload = await backend.in_thread(parse_pictures, *sent, backend.max_pictures)
        place = "pictures" if upload.several else ""

        async def read(preprocessing: Preprocessing) -> list[Array]:
            max_pixels = backend.settings.max_pixels
            return await backend.in_thread(read_pictures, list(upload.pictures), preprocessing, max_pixels, place)

        return upload.several, await backend.answer(model, query.selector, record_of(request), read)


def _classification(model: LoadedModel, probabilities: npt.NDArray[np.float64], top_k: int) -> Classification:
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    top = [Candidate(label=model.class_names[index], probability=float(probabilities[index])) for index in best]
    return Classification(label=top[0].label, probability=top[0].probability, top=top)
