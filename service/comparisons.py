"""Canaries and shadows at work: which requests they see, and whether two models see the same in a picture.

The second model gets copies of the pictures of a request that was answered already. Copies wait behind everything that
somebody waits for, are run one at a time, and are the first to be dropped under load; whatever happens to one is
counted, and changes no answer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from model_store.preprocessing import Preprocessing
from model_store.references import Reference, Selector
from service.engine.plan import Array
from service.errors import Draining, Overloaded, RequestError
from service.inference import InferenceQueue
from service.logs import log
from service.metrics.comparisons import ComparisonMetrics, ComparisonSeries
from service.models import LoadedModel, Models
from service.runs import Outcome
from service.splits import KINDS, Split

Read = Callable[[Preprocessing], Awaitable[list[Array]]]  # the pictures of a request, as a model wants them


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one model made of the pictures of a request.

    Attributes:
        pictures: as the model saw them.
        decoded_s: when they were decoded (perf_counter).
        outcomes: of each.
    """

    model: LoadedModel
    pictures: Sequence[Array]
    decoded_s: float
    outcomes: Sequence[Outcome]

    @property
    def labels(self) -> list[str]:
        """The likeliest class of each."""
        return [self.model.class_names[int(outcome.logits.argmax())] for outcome in self.outcomes]


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

    def compare(self, split: Split, answer: Answer, read: Read) -> None:
        """Show pictures that were answered to the other of the split's two models, in the background.

        Args:
            read: called where the other model wants them otherwise.
        """
        series = self._series[split]
        if len(self._tasks) >= self._limit or self._queue.depth >= self._limit:
            series.results["dropped"].inc(len(answer.pictures))
            return
        task = asyncio.create_task(self._compare(split, series, answer, read))
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

    async def _compare(self, split: Split, series: ComparisonSeries, answer: Answer, read: Read) -> None:
        other = Reference(split.primary) if split.kind == "canary" else split.candidate
        try:
            async with asyncio.timeout(self._deadline_s):
                copy = await self._copy(other, answer, read)
        except (Overloaded, Draining, TimeoutError):
            series.results["dropped"].inc(len(answer.pictures))
        except RequestError:
            series.results["failed"].inc(len(answer.pictures))
        except Exception as error:  # nobody waits for this task: the log is where its failure is told
            series.results["failed"].inc(len(answer.pictures))
            log("crash", {"during": "a comparison", "split": str(split)}, logging.ERROR, error)
        else:
            for one, another in zip(copy.labels, answer.labels, strict=True):
                series.results["agree" if one == another else "disagree"].inc()
            sides = (copy, answer) if split.kind == "canary" else (answer, copy)
            for side, seen in zip(("primary", "candidate"), sides, strict=True):
                for outcome in seen.outcomes:
                    series.picture_s[side].observe(outcome.picture_s)

    async def _copy(self, other: Reference, answer: Answer, read: Read) -> Answer:
        model = await self._models.find(other.name, other.selector)
        with self._models.used(model):
            same = model.preprocessing == answer.model.preprocessing
            pictures = answer.pictures if same else await read(model.preprocessing)
            outcomes = [await self._queue.infer(model.plan, picture, is_copy=True) for picture in pictures]
        return Answer(model, pictures, answer.decoded_s, outcomes)
