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
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.models import Models
from service.pictures import limit_pixels
from service.predictions import Predictor
from service.problems import Problem, answer_crash, install_handlers
from service.routes import ROUTERS
from service.settings import Settings
from service.state import Application


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
            parts.lifecycle.stopping = True
            parts.queue.stop()
            parts.predictor.stop()

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
    _document_problem(app)
    return app


def _build_parts(settings: Settings) -> Application:
    metrics = Metrics()
    limit_pixels(settings.max_pixels)

    def compile_bundle(bundle: Bundle) -> Plan:
        return compile_plan(bundle, settings.device, settings.threads)

    try:
        models = Models(Store(settings.store), compile_bundle, metrics, settings.spare_versions)
        models.load_latest()
    except (StoreError, EngineUnavailable) as error:
        raise SettingsError(str(error)) from None
    if not models.names():
        raise SettingsError(f'store "{settings.store}": no model that can be served, must have one')
    if settings.default_model and settings.default_model not in models.names():
        raise SettingsError(f'default_model "{settings.default_model}", must be one of {", ".join(models.names())}')
    queue = InferenceQueue(
        settings.queue_limit, settings.max_batch, metrics.batch_size.observe, settings.parallel_batches
    )
    lifecycle = Lifecycle()
    predictor = Predictor(settings, models, queue, metrics, lifecycle)
    metrics.watch(lambda: queue.depth, lambda: predictor.in_flight)
    return Application(settings, metrics, models, queue, predictor, lifecycle)


def _counter(metrics: Metrics) -> Callable[[RequestRecord], None]:
    """Counts each prediction by how it ended."""

    def count(record: RequestRecord) -> None:
        if record.path != "/predict" or record.method != "POST":
            return
        if record.status:
            metrics.count_answer(record.status, record.code)
        else:
            metrics.count_abandoned()

    return count


def _document_problem(app: FastAPI) -> None:
    """Put the shape of errors among OpenAPI's schemas, and take out the one FastAPI would answer with."""
    schema = app.openapi()
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
