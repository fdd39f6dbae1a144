"""The application: everything wired up once, for uvicorn or any other ASGI server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from model_store.bundle import Bundle
from model_store.errors import StoreError
from model_store.store import Store
from service.correlation import RequestRecord, RequestRecords
from service.engine import Plan, compile_plan
from service.errors import EngineUnavailable, SettingsError
from service.inference import InferenceQueue
from service.metrics import Metrics
from service.models import Models
from service.oip.backend import Backend
from service.oip.inference import Inferences
from service.oip.schemas import REQUEST_SHAPES
from service.oip.statistics import Statistics
from service.pictures import limit_pixels
from service.predictions import Predictor
from service.problems import Problem, ProtocolProblem, answer_crash, install_handlers
from service.routes import ROUTERS
from service.settings import Settings
from service.state import Application, Lifecycle, Protocol


def build_app(settings: Settings) -> FastAPI:
    """Load the store's models and build the application that serves them.

    Raises:
        SettingsError: the store cannot be read, holds nothing that can be served or not the model named, or the device
            cannot be used.
    """
    parts = _build_parts(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        parts.queue.start()
        parts.lifecycle.started = True
        try:
            yield
        finally:
            parts.lifecycle.draining = True
            parts.queue.stop()
            parts.predictor.stop()
            parts.protocol.backend.stop()

    app = FastAPI(
        title="csrve",
        summary="Compressed image classifiers over HTTP",
        lifespan=lifespan,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    app.state.application = parts
    for router in ROUTERS:
        app.include_router(router)
    install_handlers(app)
    app.add_middleware(RequestRecords, listener=_counter(parts.metrics), crash_handler=answer_crash)
    _document_shapes(app)
    return app


def _build_parts(settings: Settings) -> Application:
    metrics = Metrics()
    limit_pixels(settings.max_pixels)

    def compile_bundle(bundle: Bundle) -> Plan:
        return compile_plan(bundle, settings.device, settings.threads)

    try:
        store = Store(settings.store)
        models = Models(store, compile_bundle, metrics, settings.spare_versions)
        models.load_latest()
    except (StoreError, EngineUnavailable) as error:
        raise SettingsError(str(error)) from None
    if not models.names():
        raise SettingsError(f'store "{settings.store}": no model that can be served, must have one')
    if settings.model and settings.model not in models.names():
        raise SettingsError(f'model "{settings.model}", must be one of {", ".join(models.names())}')
    queue = InferenceQueue(settings.queue_limit, settings.max_batch, metrics.batch_size.observe)
    predictor = Predictor(settings, models, queue, metrics)
    metrics.watch(lambda: queue.depth, lambda: predictor.in_flight)
    backend = Backend(settings, store, models, queue, predictor, metrics)
    statistics = Statistics()
    protocol = Protocol(backend, statistics, Inferences(backend, statistics))
    return Application(settings, metrics, models, queue, predictor, Lifecycle(), protocol)


def _counter(metrics: Metrics) -> Callable[[RequestRecord], None]:
    """Counts each prediction by how it ended."""

    def count(record: RequestRecord) -> None:
        inference = record.path.startswith("/v2/models/") and record.path.endswith("/infer")
        if record.method != "POST" or not (record.path == "/predict" or inference):
            return
        if record.status:
            metrics.count_answer(record.status, record.code)
        else:
            metrics.count_abandoned()

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
