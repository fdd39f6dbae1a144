"""One model's answer to all pictures of a request: its own, or its canary's; shown to the other one too."""

import asyncio
import time
from collections.abc import Sequence

from model_store.references import Selector
from service.comparisons import Answer, Comparisons, Read
from service.correlation import RequestRecord
from service.engine.plan import Array
from service.errors import InferenceFailed, InvalidInference, ModelNotServed, ModelUnavailable, Overloaded
from service.inference import InferenceQueue
from service.models import LoadedModel, Models
from service.runs import Outcome
from service.splits import Split


class Answers:
    """Answers requests, whatever protocol they came by. Used from one event loop."""

    def __init__(self, models: Models, queue: InferenceQueue, comparisons: Comparisons, patience_s: float) -> None:
        """Args: `patience_s` is how long a canary's candidate may take, before the model asked for answers instead."""
        self._models = models
        self._patience_s = patience_s
        self._queue = queue
        self._comparisons = comparisons

    async def give(self, model: LoadedModel, selector: Selector, record: RequestRecord, read: Read) -> Answer:
        """The model's answer, or its canary's; shown to the other one too, where the settings say so.

        Args:
            model: what was asked for, kept in memory.
            selector: how it was asked for: canaries and shadows are of a model's latest version.
            read: the pictures, as a model wants them; called again for one that wants them otherwise.

        Raises:
            RequestError: as `classify`.
        """
        canary = self._comparisons.chosen("canary", model.name, selector, record.request_id)
        answer = await self._candidates_answer(canary, model, read) if canary else None
        if canary:
            record.entry["canary"] = "answered" if answer else "fell back"
        if canary and answer:
            self._comparisons.compare(canary, answer, read)
            return answer
        answer = await self.classify(model, read)
        shadow = self._comparisons.chosen("shadow", model.name, selector, record.request_id)
        if shadow:
            self._comparisons.compare(shadow, answer, read)
        return answer

    async def classify(self, model: LoadedModel, read: Read) -> Answer:
        """This model's answer.

        Raises:
            Overloaded: the queue has no room for all pictures.
            InferenceFailed: the engine failed on one of them.
            RequestError: one cannot be read.
        """
        self._queue.check_room(model.plan)
        pictures = await read(model.preprocessing)
        decoded_s = time.perf_counter()
        return Answer(model, pictures, decoded_s, await self._infer(model, pictures))

    async def _infer(self, model: LoadedModel, pictures: Sequence[Array]) -> list[Outcome]:
        if len(pictures) == 1:
            return [await self._queue.infer(model.plan, pictures[0])]
        tasks = [asyncio.ensure_future(self._queue.infer(model.plan, picture)) for picture in pictures]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _candidates_answer(self, canary: Split, asked: LoadedModel, read: Read) -> Answer | None:
        """The candidate's answer; None where it is the candidate's fault that there is none."""
        try:
            async with asyncio.timeout(self._patience_s):
                candidate = await self._models.find(canary.candidate.name, canary.candidate.selector)
                with self._models.used(candidate):
                    return await self._try(candidate, asked, read)
        except (ModelNotServed, ModelUnavailable, InferenceFailed, Overloaded, TimeoutError):
            self._comparisons.count_fallback(canary)
            return None

    async def _try(self, candidate: LoadedModel, asked: LoadedModel, read: Read) -> Answer:
        try:
            return await self.classify(candidate, read)
        except InvalidInference:  # a tensor that fits the model asked for
            if candidate.preprocessing == asked.preprocessing:
                raise
            raise InferenceFailed("The candidate takes other tensors.") from None
