"""Canaries and shadows at work: which requests they see, and whether two models see the same in a picture.

The second model gets a copy of a picture that was answered already. Copies wait behind everything that somebody waits
for, are run one at a time, and are the first to be dropped under load; whatever happens to one is counted, and changes
no answer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from model_store.preprocessing import Preprocessing
from model_store.references import Reference, Selector
from service.engine.plan import Array
from service.errors import Draining, Overloaded, RequestError
from service.inference import InferenceQueue, Outcome
from service.logs import log
from service.metrics.comparisons import ComparisonMetrics, ComparisonSeries
from service.models import LoadedModel, Models
from service.splits import KINDS, Split

Decode = Callable[[bytes, Preprocessing], Awaitable[Array]]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one model made of a picture.

    Attributes:
        picture: as the model saw it.
        decoded_s: when the picture was decoded (perf_counter).
    """

    model: LoadedModel
    picture: Array
    decoded_s: float
    outcome: Outcome

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.model.class_names[int(self.outcome.logits.argmax())]


class Comparisons:
    """Shows pictures to a second model, as the splits say. Used from one event loop."""

    def __init__(
        self,
        splits: Iterable[Split],
        models: Models,
        queue: InferenceQueue,
        metrics: ComparisonMetrics,
        limit: int,
        deadline_s: float,
    ) -> None:
        """Nothing compared yet.

        Args:
            limit: most copies at once, and most pictures waiting for the engine where one more copy is taken.
            deadline_s: a copy that takes longer is dropped.
        """
        self._splits = {(split.kind, split.primary): split for split in splits}
        self._series = {
            split: metrics.add(split.kind, split.primary, str(split.candidate)) for split in self._splits.values()
        }
        self._models = models
        self._queue = queue
        self._limit = limit
        self._deadline_s = deadline_s
        self._tasks: set[asyncio.Task[None]] = set()

    def chosen(self, kind: str, name: str, selector: Selector, request_id: str) -> Split | None:
        """The split of that kind that a request falls to: one that asks for a latest version, and is of its share."""
        split = self._splits.get((kind, name))
        return split if split is not None and selector is None and split.takes(request_id) else None

    def concern(self, name: str, selector: Selector) -> bool:
        """Whether any split has a say in the requests for a model."""
        return selector is None and any((kind, name) in self._splits for kind in KINDS)

    def count_fallback(self, split: Split) -> None:
        """Note that a canary's candidate could not answer."""
        self._series[split].fallbacks.inc()

    def compare(self, split: Split, answer: Answer, data: bytes, decode: Decode) -> None:
        """Show a picture that was answered to the other of the split's two models, in the background.

        Args:
            data: the picture's file, decoded anew where the other model wants it otherwise.
        """
        series = self._series[split]
        if len(self._tasks) >= self._limit or self._queue.depth >= self._limit:
            series.results["dropped"].inc()
            return
        task = asyncio.create_task(self._compare(split, series, answer, data, decode))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Drop what is not compared yet."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _compare(
        self, split: Split, series: ComparisonSeries, answer: Answer, data: bytes, decode: Decode
    ) -> None:
        other = Reference(split.primary) if split.kind == "canary" else split.candidate
        try:
            async with asyncio.timeout(self._deadline_s):
                copy = await self._copy(other, answer, data, decode)
        except (Overloaded, Draining, TimeoutError):
            series.results["dropped"].inc()
        except RequestError:
            series.results["failed"].inc()
        except Exception as error:  # nobody waits for this task: the log is where its failure is told
            series.results["failed"].inc()
            log("crash", {"during": "a comparison", "split": str(split)}, logging.ERROR, error)
        else:
            series.results["agree" if copy.label == answer.label else "disagree"].inc()
            primary, candidate = (copy, answer) if split.kind == "canary" else (answer, copy)
            series.picture_s["primary"].observe(primary.outcome.picture_s)
            series.picture_s["candidate"].observe(candidate.outcome.picture_s)

    async def _copy(self, other: Reference, answer: Answer, data: bytes, decode: Decode) -> Answer:
        model = await self._models.find(other.name, other.selector)
        with self._models.used(model):
            same = model.preprocessing == answer.model.preprocessing
            picture = answer.picture if same else await decode(data, model.preprocessing)
            outcome = await self._queue.infer(model.plan, picture, is_copy=True)
        return Answer(model, picture, answer.decoded_s, outcome)
