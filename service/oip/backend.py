"""The one module of the protocol that knows the rest of the service: models, store, queue, admission, metrics.

What else answers several pictures in one request (`service.several`) goes through it too.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from itertools import pairwise
from typing import ParamSpec, TypeVar

from model_store.errors import InvalidName, ModelNotFound, StoreUnavailable
from model_store.interface import BundleStore
from model_store.references import Selector
from service.answers import Answers
from service.comparisons import Answer, Read
from service.correlation import RequestRecord
from service.errors import DeadlinePassed, ModelNotServed, ModelUnavailable
from service.models import LoadedModel, Models
from service.oip.metadata import IndexEntry
from service.oip.statistics import Run
from service.predictions import Predictor
from service.schemas import Timing
from service.settings import Settings

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_STAGES = ("read", "decode", "queue", "inference")


class Backend:
    """What the protocol needs of the service."""

    def __init__(
        self,
        settings: Settings,
        store: BundleStore,
        models: Models,
        answers: Answers,
        predictor: Predictor,
    ) -> None:
        self.settings = settings
        self._store = store
        self._models = models
        self._answers = answers
        self._predictor = predictor
        self._threads = ThreadPoolExecutor(settings.threads, "csrve-protocol")

    def stop(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    @property
    def max_pictures(self) -> int:
        """Most pictures of one request: what one run of the engine takes, and what may wait for it."""
        return min(self.settings.max_batch, self.settings.queue_limit)

    async def find(self, name: str, version: Selector) -> LoadedModel:
        """A model's version, the latest by default. Raises as `Models.find` does, and DeadlinePassed."""
        async with self.deadline():
            return await self._models.find(name, version)

    def used(self, model: LoadedModel) -> AbstractContextManager[None]:
        """Keep what was found in memory. Enter this before anything else is awaited."""
        return self._models.used(model)

    async def load(self, name: str) -> None:
        """Serve the store's latest version of a model. Raises as `Models.load` does."""
        await self._models.load(name)

    async def unload(self, name: str) -> None:
        """Serve a model no more. Raises as `Models.unload` does."""
        await self._models.unload(name)

    async def versions(self, name: str) -> list[int]:
        """The versions of a model in the store, ascending.

        Raises:
            ModelNotServed: there is none.
            ModelUnavailable: the store cannot be read.
        """
        try:
            async with self.deadline():
                return await asyncio.to_thread(self._store.versions, name)  # no thread that a prediction needs
        except (InvalidName, ModelNotFound):
            raise ModelNotServed("The store has no such model or version.") from None
        except StoreUnavailable:
            raise ModelUnavailable("The store cannot be read at the moment.") from None

    async def index(self) -> list[IndexEntry]:
        """Every version in the store, by name and version.

        Raises:
            ModelUnavailable: the store cannot be read.
        """
        loaded = {(model.name, model.version) for model in self._models.all()}
        try:
            async with self.deadline():
                stored = await asyncio.to_thread(self._list)  # no thread that a prediction needs
        except StoreUnavailable:
            raise ModelUnavailable("The store cannot be read at the moment.") from None
        return [IndexEntry(*key, "" if key in loaded else "not in memory") for key in stored]

    def loaded(self) -> list[tuple[str, int]]:
        """Name and version of what is in memory."""
        return [(model.name, model.version) for model in self._models.all()]

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a request among those in the house.

        Raises:
            Overloaded: there are as many as there may be.
        """
        with self._predictor.admitted():
            yield

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[Callable[[float], None]]:
        """Cut what takes longer than the settings allow; yields a function that makes the rest shorter still.

        Raises:
            DeadlinePassed: it took longer.
        """
        allowed_s = self.settings.deadline_s
        began_s = asyncio.get_running_loop().time()

        def shorten(timeout_s: float) -> None:
            nonlocal allowed_s
            allowed_s = min(allowed_s, timeout_s)
            timeout.reschedule(began_s + allowed_s)

        try:
            async with asyncio.timeout(allowed_s) as timeout:
                yield shorten
        except TimeoutError:
            raise DeadlinePassed(f"The answer was not ready within {allowed_s:g} s.") from None

    async def in_thread(
        self, function: Callable[_Parameters, _Result], *arguments: _Parameters.args, **options: _Parameters.kwargs
    ) -> _Result:
        """Call a function that computes, on one of as many threads as the settings allow.

        Raises:
            MemoryError: there is none for one more thread.
        """
        loop = asyncio.get_running_loop()
        try:
            computing = loop.run_in_executor(self._threads, lambda: function(*arguments, **options))
        except RuntimeError as error:
            raise MemoryError(str(error)) from None
        return await computing

    async def answer(self, model: LoadedModel, selector: Selector, record: RequestRecord, read: Read) -> Answer:
        """The answer to all pictures of a request, by the model or its canary. Raises as `Answers.give` does."""
        return await self._answers.give(model, selector, record, read)

    def account(
        self, record: RequestRecord, model: LoadedModel, size_bytes: int, timing: Timing, runs: Sequence[Run]
    ) -> None:
        """Tell the log and the metrics of a request that was answered."""
        record.served(model.name, model.version, size_bytes, max(run.pictures for run in runs), timing)
        record.entry["pictures"] = len(runs)
        model.series.observe(timing, record.trace_id)

    def _list(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        for name in self._store.models():
            try:
                found += [(name, version) for version in self._store.versions(name)]
            except ModelNotFound:  # removed since it was listed
                continue
        return found


def runs_of(answer: Answer) -> list[Run]:
    """The engine's run that each picture was in."""
    return [Run(outcome.started_s, outcome.ended_s, outcome.batch_size) for outcome in answer.outcomes]


def time_request(record: RequestRecord, read_s: float, decoded_s: float, runs: Sequence[Run]) -> Timing:
    """Where a request's time went, whose body was read and whose pictures were ready at these times."""
    started_s, ended_s = min(run.started_s for run in runs), max(run.ended_s for run in runs)
    marks = (record.started_s, read_s, decoded_s, started_s, ended_s)
    spent = [round(1000 * (end - start), 3) for start, end in pairwise(marks)]
    total = round(1000 * (time.perf_counter() - record.started_s), 3)
    return Timing(read=spent[0], decode=spent[1], queue=spent[2], inference=spent[3], total=total)
