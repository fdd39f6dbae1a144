"""Predictions of forms and JSON, which can carry several pictures; one answer for all of them, or one error."""

import time

import numpy as np
import numpy.typing as npt
from starlette.requests import Request

from service.correlation import record_of
from service.disconnection import unless_gone
from service.engine.plan import Array
from service.models import LoadedModel
from service.oip.backend import Backend, time_request
from service.oip.inputs import read_pictures as decode_pictures
from service.oip.outputs import softmax
from service.oip.statistics import Run
from service.predictions import Query
from service.schemas import Candidate, Classification, Prediction, Predictions
from service.uploads import Upload, read_pictures


async def predict_several(backend: Backend, request: Request, query: Query) -> Prediction | Predictions:
    """Read, decode, run, render. The answer to what carries one picture by its nature is that of a raw body.

    Raises:
        RequestError: one of its kinds; see `service.errors`. Where there are several pictures it says which.
        ClientDisconnect: nobody waits for the answer any more.
    """
    settings = backend.settings
    with backend.admitted():
        model = await backend.find(query.model, query.version)
        upload = await read_pictures(request, settings.max_body_bytes, settings.upload_timeout_s, backend.max_pictures)
        read_s = time.perf_counter()
        decoded_s, logits, runs = await unless_gone(request, _classify(backend, model, upload))
        timing = time_request(record_of(request), read_s, decoded_s, runs)
        backend.account(record_of(request), model, upload.size_bytes, timing, runs)
    found = [_classification(model, row, query.top_k) for row in softmax(logits)]
    if upload.several:
        return Predictions(model=model.name, version=model.version, predictions=found, timing_ms=timing)
    return Prediction(model=model.name, version=model.version, **found[0].model_dump(), timing_ms=timing)


async def _classify(backend: Backend, model: LoadedModel, upload: Upload) -> tuple[float, Array, list[Run]]:
    place = "pictures" if upload.several else ""
    async with backend.deadline():
        pictures = await backend.in_thread(
            decode_pictures, list(upload.pictures), model.preprocessing, backend.settings.max_pixels, place
        )
        decoded_s = time.perf_counter()
        return decoded_s, *await backend.infer(model, pictures)


def _classification(model: LoadedModel, probabilities: npt.NDArray[np.float64], top_k: int) -> Classification:
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    top = [Candidate(label=model.class_names[index], probability=float(probabilities[index])) for index in best]
    return Classification(label=top[0].label, probability=top[0].probability, top=top)
