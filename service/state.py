"""What one application consists of."""

from dataclasses import dataclass

from starlette.requests import Request

from service.comparisons import Comparisons
from service.inference import InferenceQueue
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.models import Models
from service.oip.backend import Backend
from service.oip.inference import Inferences
from service.oip.statistics import Statistics
from service.pacing import Pace
from service.predictions import Predictor
from service.settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Protocol:
    """What the routes of /v2 need."""

    backend: Backend
    statistics: Statistics
    inferences: Inferences


@dataclass(frozen=True, slots=True, eq=False)
class Application:
    """The parts that routes need."""

    settings: Settings
    metrics: Metrics
    models: Models
    queue: InferenceQueue
    comparisons: Comparisons
    predictor: Predictor
    lifecycle: Lifecycle
    protocol: Protocol
    refusals: Pace


async def application(request: Request) -> Application:
    """The application that a request came to, as a FastAPI dependency; async, or FastAPI would call it in a thread."""
    parts: Application = request.app.state.application
    return parts
