"""What the express lane does with a plain request, between its last byte and its answer."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from service.comparisons import Answer
from service.correlation import Listener, RequestRecord, log_request, request_id_of
from service.engine.plan import Array
from service.errors import Draining, Overloaded, RequestError
from service.express.heads import Head
from service.inference import engine_failed
from service.models import LoadedModel
from service.pictures import is_small, read_picture
from service.predictions import predicted, too_late
from service.problems import problem_of
from service.runs import Outcome, Ticket
from service.state import Application

Headers = list[tuple[bytes, bytes]]
Finish = Callable[[int, Headers, bytes], object]


class Express:
    """Answers plain requests, or leaves them alone. Used from one event loop."""

    def __init__(self, parts: Application, listener: Listener) -> None:
        """Args: `listener` is told of each request that has ended."""
        self.parts = parts
        self.listener = listener
        self._due: deque[tuple[float, Answering]] = deque()  # (in the loop's time, who waits), the first one first
        self._watching = False

    def begin(self, head: Head, body: bytes, started_s: float, finish: Finish) -> "Answering | None":
        """Take a request in hand; `finish` is called later, with status, headers and body. None where it is not ours.

        Args:
            started_s: when its first byte came (perf_counter).
        """
        parts, query = self.parts, head.query
        if parts.lifecycle.stopping or not is_small(body):
            return None
        model = parts.models.held(query.model, query.selector)
        if model is None:
            return None
        if parts.comparisons.concern(model.name, query.selector):
            parts.models.release(model)
            return None
        record = RequestRecord(request_id_of(head.request_id), "POST", "/predict", started_s=started_s)
        answering = Answering(self, model, head, record, finish)
        try:
            answering.admit()
            picture = read_picture(body, model.preprocessing, parts.settings.max_pixels)
            answering.queue(picture)
        except Overloaded as error:
            answering.refuse(error, parts.refusals.follow)
        except Draining as error:
            answering.refuse(error, asyncio.get_running_loop().call_soon)
        except Exception:  # the picture's fault, no room for it, or ours: the long way says so
            answering.leave()
            return None
        return answering

    def expect(self, answering: "Answering") -> None:
        """See to it that a request is answered in time. All have the same time, so one timer is enough for them."""
        loop = asyncio.get_running_loop()
        while self._due and self._due[0][1].ended:
            self._due.popleft()
        self._due.append((loop.time() + self.parts.settings.deadline_s, answering))
        if not self._watching:
            self._watch(loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        while self._due and (self._due[0][1].ended or self._due[0][0] <= now_s):
            self._due.popleft()[1].expire()
        self._watching = bool(self._due)
        if self._watching:
            loop.call_at(self._due[0][0], self._watch, loop)


@dataclass(slots=True, eq=False)
class Answering:
    """One request in hand. It ends once: answered, refused, or abandoned by its client."""

    express: Express
    model: LoadedModel
    head: Head
    record: RequestRecord
    finish: Finish
    read_s: float = 0.0
    decoded_s: float = 0.0
    picture: Array | None = None
    ticket: Ticket | None = None
    admitted: bool = False
    holds_model: bool = True
    ended: bool = False

    def admit(self) -> None:
        """A place in the house and room in the queue, before the picture costs anything. Raises as `Predictor`."""
        self.read_s = time.perf_counter()
        self.express.parts.predictor.admit()
        self.admitted = True
        self.express.parts.queue.check_room(self.model.plan)

    def queue(self, picture: Array) -> None:
        """Wait for the engine, as long as an answer may take. Raises as `InferenceQueue.submit`."""
        self.decoded_s = time.perf_counter()
        self.picture = picture
        parts = self.express.parts
        self.ticket = parts.queue.submit(self.model.plan, picture, self._answer)
        self.express.expect(self)

    def refuse(self, error: RequestError, follow: Callable[[Callable[[], object]], object]) -> None:
        """Answer with a problem, when `follow` says, which is once the connection knows of this request. Until then
        it takes no one's place."""
        self._give_back()
        error.forget()
        follow(partial(self._fail, error))

    def expire(self) -> None:
        """The time that an answer may take is over."""
        self._fail(too_late(self.express.parts.settings.deadline_s))

    def abandon(self) -> None:
        """The client has gone."""
        if not self.ended:
            self.record.code = "abandoned"
            self._end()

    def leave(self) -> None:
        """Give everything back, as if this request had never been here."""
        self.ended = True
        self._give_back()

    def _give_back(self) -> None:
        if self.ticket is not None:
            self.express.parts.queue.withdraw(self.ticket)
        self.picture = self.ticket = None  # whoever still has this must not hold a picture for it
        if self.admitted:
            self.express.parts.predictor.dismiss()
        if self.holds_model:
            self.express.parts.models.release(self.model)
        self.admitted = self.holds_model = False

    def _answer(self, outcome: Outcome | None) -> None:
        if self.ended:
            return
        if outcome is None:
            self._fail(engine_failed())
            return
        assert self.picture is not None
        answer = Answer(self.model, [self.picture], self.decoded_s, [outcome])
        prediction = predicted(self.record, answer, self.head.query.top_k, self.head.body_bytes, self.read_s)
        content = prediction.__pydantic_serializer__.to_json(prediction)
        timing = (b"server-timing", self.record.server_timing.encode())
        self._send(200, [(b"content-type", b"application/json"), timing], content)

    def _fail(self, error: RequestError) -> None:
        if self.ended:
            return
        problem = problem_of(error, self.record)
        headers = [header for header in problem.raw_headers if header[0] != b"content-length"]
        self._send(problem.status_code, headers, bytes(problem.body))

    def _send(self, status: int, headers: Headers, content: bytes) -> None:
        self.record.status = status
        request_id = (b"x-request-id", self.record.request_id.encode())
        self.finish(status, [(b"content-length", b"%d" % len(content)), *headers, request_id], content)
        self._end()

    def _end(self) -> None:
        self.leave()
        self.express.listener(self.record)
        log_request(self.record)
