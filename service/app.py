"""The application: everything wired up once, for uvicorn or any other ASGI server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from model_store.bundle import Bundle
from model_store.coded import CodedBundle
from model_store.errors import StoreError
from model_store.interface import BundleStore
from model_store.opening import open_store
from service.answers import Answers
from service.bodies import BodyLimits
from service.comparisons import Comparisons
from service.correlation import RequestRecord, RequestRecords
from service.engine import Plan, compile_plan, decode_for
from service.errors import EngineError, NoRoom, SettingsError
from service.inference import InferenceQueue
from service.intake import Intake
from service.lifecycle import Lifecycle
from service.loading import LoadedModel, Loader
from service.metrics import Metrics
from service.models import Models
from service.oip.backend import Backend
from service.oip.inference import Inferences
from service.oip.schemas import REQUEST_SHAPES
from service.oip.statistics import Statistics
from service.pacing import Pace
from service.pictures import limit_pixels
from service.predictions import Predictor
from service.problems import Problem, ProtocolProblem, answer_crash, install_handlers
from service.residency import Residency
from service.routes import ROUTERS
from service.settings import Settings
from service.state import Application, Protocol

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

    from service.tracing import Tracing

# FastAPI would look for somebody else's OpenTelemetry at every request, and set its own up where variables say so.
_NO_TELEMETRY: "TelemetryConfig" = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
STOP_TIMEOUT_S = 1.0  # for an engine that hangs: requests have had their grace by then


def build_app(settings: Settings, tracing: "Tracing | None" = None) -> FastAPI:
    """Load the store's models and build the application that serves them.

    Args:
        tracing: where spans go; as the settings say, if not given.

    Raises:
        SettingsError: the store cannot be read or has not the models named, or the device or the tracing cannot be had.
    """
    tracing = tracing or _tracing(settings)
    parts = _build_parts(settings, tracing)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        parts.queue.start()
        if settings.poll_s:
            parts.models.watch(settings.poll_s)
        parts.lifecycle.started = True
        try:
            yield
        finally:
            parts.lifecycle.stopping = True
            await parts.comparisons.stop()
            await parts.models.stop()
            parts.queue.stop(STOP_TIMEOUT_S)
            parts.predictor.stop()
            parts.protocol.backend.stop()
            if tracing is not None:
                await asyncio.to_thread(tracing.stop)

    app = FastAPI(
        title="csrve",
        summary="Compressed image classifiers over HTTP",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        telemetry=tracing.of_http() if tracing else _NO_TELEMETRY,
    )
    app.state.application = parts
    for router in ROUTERS:
        app.include_router(router)
    install_handlers(app)
    listener = count_by_outcome(parts.metrics)
    app.add_middleware(BodyLimits, max_bytes=settings.max_body_bytes, timeout_s=settings.upload_timeout_s)
    app.add_middleware(RequestRecords, listener=listener, crash_handler=answer_crash, spans=tracing)
    _document_shapes(app)
    return app


def _tracing(settings: Settings) -> "Tracing | None":
    if settings.tracing == "off":
        return None
    try:
        from service.tracing import otlp_tracing
    except ImportError:
        raise SettingsError('tracing "otlp": needs OpenTelemetry, which the extra otel installs') from None
    return otlp_tracing()


def _build_parts(settings: Settings, tracing: "Tracing | None") -> Application:
    metrics, lifecycle = Metrics(), Lifecycle()
    limit_pixels(settings.max_pixels)
    queue = InferenceQueue(settings.queue_limit, settings.max_batch, settings.parallel_batches, tracing)
    try:
        store = open_store(settings.store)
        models = _build_models(settings, store, metrics, queue)
    except (StoreError, EngineError, NoRoom) as error:
        raise SettingsError(str(error)) from None
    if not models.names() or (settings.preload == "all" and not models.all()):
        raise SettingsError(f'store "{settings.store}": no model that can be served, must have one')
    if settings.default_model and settings.default_model not in models.names():
        names = ", ".join(models.names())
        raise SettingsError(f'default_model "{settings.default_model}", must be one of {names}')
    _check_splits(settings, models)
    comparisons = Comparisons(
        settings.splits(), models, queue, metrics.comparisons, settings.max_batch, settings.deadline_s
    )
    answers = Answers(models, queue, comparisons, settings.deadline_s / 2)
    predictor = Predictor(settings, models, queue, answers, lifecycle)
    metrics.requests.watch(lambda: queue.depth, lambda: predictor.in_flight, lambda: lifecycle.status == "ok")
    backend = Backend(settings, store, models, answers, predictor)
    statistics = Statistics()
    protocol = Protocol(backend, statistics, Inferences(backend, statistics))
    refusals = Pace(settings.refusals_per_s)
    return Application(settings, metrics, models, queue, comparisons, predictor, lifecycle, protocol, refusals)


def _check_splits(settings: Settings, models: Models) -> None:
    for split in settings.splits():
        for name in (split.primary, split.candidate.name):
            if name not in models.names():
                names = ", ".join(models.names())
                raise SettingsError(f'{split.kind} "{split}": model "{name}", must be one of {names}')


def _build_models(settings: Settings, store: BundleStore, metrics: Metrics, queue: InferenceQueue) -> Models:
    def enter(model: LoadedModel) -> None:
        queue.keep(model.plan, model.series.batch_size.observe)

    def leave(model: LoadedModel) -> None:
        queue.retire(model.plan)
        if not residency.holds(model.key):
            metrics.models.remove(model.name, model.version)

    def compile_bundle(bundle: Bundle) -> Plan:
        return compile_plan(bundle, settings.device, settings.threads, settings.precision)

    def decode(coded: CodedBundle) -> Bundle:
        return decode_for(settings.device, coded, settings.threads)

    residency = Residency(settings.max_resident_bytes, enter, leave, metrics.models.evictions.inc)
    metrics.models.watch(lambda: residency.resident_bytes, settings.max_resident_bytes)
    loader = Loader(store, compile_bundle, metrics.models, decode)
    intake = Intake(loader, residency, metrics.models, settings.deadline_s)
    models = Models(store, intake, residency, metrics.models, settings.default_model)
    if settings.preload == "all":
        models.load_latest()
    else:
        models.preload(settings.preloaded())
    return models


def count_by_outcome(metrics: Metrics) -> Callable[[RequestRecord], None]:
    """Counts each prediction by how it ended."""

    def count(record: RequestRecord) -> None:
        inference = record.path.startswith("/v2/models/") and record.path.endswith("/infer")
        if record.method != "POST" or not (record.path == "/predict" or inference):
            return
        if record.status:
            metrics.requests.count_answer(record.status, record.code, record.protocol)
        else:
            metrics.requests.count_abandoned(record.protocol)

    return count


def _document_shapes(app: FastAPI) -> None:
    """Put shapes among OpenAPI's schemas that no route's types name, and take out FastAPI's own of errors.

    FastAPI adds its own to each route that has a parameter, in a path too, where none of ours can be invalid.
    """
    schema = app.openapi()
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for kind in (Problem, ProtocolProblem, *REQUEST_SHAPES):
        shape = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(shape.pop("$defs", {}))
        schemas[kind.__name__] = shape
    for operation in (operation for path in schema["paths"].values() for operation in path.values()):
        if "HTTPValidationError" in str(operation["responses"].get("422")):
            del operation["responses"]["422"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
