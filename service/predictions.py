"""One prediction from the request to the answer: admission, the upload, the picture, the engine, the clock."""

import asyncio
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from starlette.requests import Request

from model_store.preprocessing import Preprocessing
from model_store.references import Selector
from service.answers import Answers
from service.comparisons import Answer
from service.correlation import RequestRecord, record_of
from service.disconnection import unless_gone
from service.engine.plan import Array
from service.errors import DeadlinePassed, Draining, Overloaded
from service.inference import InferenceQueue
from service.lifecycle import Lifecycle
from service.models import LoadedModel, Models
from service.pictures import is_small, read_picture
from service.runs import Outcome
from service.schemas import Candidate, Prediction, Timing
from service.settings import Settings
from service.uploads import read_upload


@dataclass(frozen=True, slots=True)
class Query:
    """What a client asks for besides the picture."""

    model: str
    selector: Selector
    top_k: int


class Predictor:
    """Answers predictions, as many at once as the settings allow."""

    def __init__(
        self,
        settings: Settings,
        models: Models,
        queue: InferenceQueue,
        answers: Answers,
        lifecycle: Lifecycle,
    ) -> None:
        self._settings = settings
        self._models = models
        self._queue = queue
        self._answers = answers
        self._lifecycle = lifecycle
        self._threads = ThreadPoolExecutor(settings.threads, "csrve-picture")
        self.in_flight = 0

    def stop(self) -> None:
        """End the threads that decode pictures."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def predict(self, request: Request, query: Query) -> Prediction:
        """Read, decode, run, render.

        Raises:
            RequestError: one of its kinds; see `service.errors`.
            ClientDisconnect: nobody waits for the answer any more.
        """
        with self.admitted():
            record = record_of(request)
            with self._in_time():
                async with asyncio.timeout(self._settings.deadline_s):
                    model = await self._models.find(query.model, query.selector)
            with self._models.used(model):
                data = await read_upload(request, self._settings.max_body_bytes, self._settings.upload_timeout_s)
                read_s = time.perf_counter()
                answer = await unless_gone(request, self._answer(model, query.selector, data, record))
            return predicted(record, answer, query.top_k, len(data), read_s)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A place in the house, before anything of a request's body is read.

        Raises:
            Draining: the service is stopping.
            Overloaded: all places are taken.
        """
        self.admit()
        try:
            yield
        finally:
            self.dismiss()

    def admit(self) -> None:
        """Take a place in the house; raises as `admitted`."""
        if self._lifecycle.stopping:
            raise Draining
        if self.in_flight >= self._settings.request_limit:
            raise Overloaded("Too many predictions are in flight already.", self._queue.retry_after_s)
        self.in_flight += 1

    def dismiss(self) -> None:
        """Give a place back."""
        self.in_flight -= 1

    async def _answer(self, model: LoadedModel, selector: Selector, data: bytes, record: RequestRecord) -> Answer:
        async def read(preprocessing: Preprocessing) -> list[Array]:
            return [await self._decode(data, preprocessing)]

        with self._in_time():
            async with asyncio.timeout(self._settings.deadline_s):
                return await self._answers.give(model, selector, record, read)

    async def _decode(self, data: bytes, preprocessing: Preprocessing) -> Array:
        if is_small(data):
            return read_picture(data, preprocessing, self._settings.max_pixels)
        try:
            decoding = asyncio.get_running_loop().run_in_executor(
                self._threads, read_picture, data, preprocessing, self._settings.max_pixels
            )
        except RuntimeError as error:  # there is no memory for one more thread
            raise MemoryError(str(error)) from None
        return await decoding

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise too_late(self._settings.deadline_s) from None


def too_late(deadline_s: float) -> DeadlinePassed:
    """The answer to who would have waited longer than the settings allow."""
    return DeadlinePassed(f"The answer was not ready within {deadline_s:g} s.")


def predicted(record: RequestRecord, answer: Answer, top_k: int, size_bytes: int, read_s: float) -> Prediction:
    """What a request is answered with; noted in its record and counted.

    Args:
        size_bytes: of its body.
        read_s: when all of that had come (perf_counter).
    """
    (outcome,) = answer.outcomes
    timing = _timing(record, read_s, answer.decoded_s, outcome)
    record.served(answer.model.name, answer.model.version, size_bytes, outcome.batch_size, timing)
    answer.model.series.observe(timing, record.trace_id)
    return _render(answer.model, outcome.logits, top_k, timing)


def _timing(record: RequestRecord, read_s: float, decoded_s: float, outcome: Outcome) -> Timing:
    marks = (record.started_s, read_s, decoded_s, outcome.started_s, outcome.ended_s)
    read, decode, queue, inference = (round(1000 * (end - start), 3) for start, end in pairwise(marks))
    total = round(1000 * (time.perf_counter() - record.started_s), 3)
    return Timing(read=read, decode=decode, queue=queue, inference=inference, total=total)


def _render(model: LoadedModel, logits: Array, top_k: int, timing: Timing) -> Prediction:
    probabilities = _softmax(logits)
    best = sorted(range(len(probabilities)), key=probabilities.__getitem__, reverse=True)[:top_k]
    top = [Candidate(label=model.class_names[index], probability=probabilities[index]) for index in best]
    return Prediction(
        model=model.name,
        version=model.version,
        label=top[0].label,
        probability=top[0].probability,
        top=top,
        timing_ms=timing,
    )


def _softmax(logits: Array) -> list[float]:
    values = logits.tolist()  # ten numbers or a thousand: sooner done than an array is made
    largest = max(values)
    powers = [math.exp(value - largest) for value in values]
    total = sum(powers)
    return [power / total for power in powers]
