"""/v2: the Open Inference Protocol, as `service.oip` reads and writes it."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from model_store.errors import InvalidName
from model_store.names import check_version
from service import __version__
from service.errors import ModelNotServed
from service.oip import metadata, schemas
from service.oip.limits import MAX_CONTROL_BYTES
from service.oip.repository import check_load_request, check_token, check_unload_request, parse_index_request
from service.oip.responses import BINARY_TYPE, JSON_TYPE
from service.problems import describe_problems
from service.state import Application, application
from service.uploads import read_body

Parts = Annotated[Application, Depends(application)]
Name = Annotated[str, Path(description="A model's name.", examples=["resnet20-cifar10"])]
Version = Annotated[str, Path(description="A version, as a decimal number.", examples=["1"])]

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@dataclass(frozen=True, slots=True)
class Target:
    """A model as the path names it; `version` None is the latest."""

    name: str
    version: int | None


async def target(request: Request) -> Target:
    """The model that a path names.

    Raises:
        ModelNotServed: its version is none that a store can have.
    """
    version = request.path_params.get("version")
    try:
        return Target(request.path_params["name"], None if version is None else check_version(version))
    except InvalidName:
        raise ModelNotServed("The store has no such model or version.") from None


Wanted = Annotated[Target, Depends(target)]


async def _name(name: Name) -> None:
    """Documents the path's one parameter."""


async def _version(name: Name, version: Version) -> None:
    """Documents the path's two parameters."""


def _answers(kind: type[BaseModel] | None, *problems: int) -> Any:
    """OpenAPI's `responses`: 200 with that shape, and these errors."""
    success: dict[str, object] = {"description": "Done."} if kind is None else {"model": kind}
    return {200: success, **describe_problems(*problems, protocol=True)}


def _body(kind: type[BaseModel], *, required: bool, binary: bool = False) -> dict[str, Any]:
    """OpenAPI's `requestBody`; `app.py` puts the shapes among its schemas."""
    content: dict[str, Any] = {JSON_TYPE: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
    if binary:
        content[BINARY_TYPE] = _BINARY
    return {"requestBody": {"required": required, "content": content}}


server = APIRouter(prefix="/v2")
of_model = APIRouter()  # the same below /models/{name} and below /models/{name}/versions/{version}
repository = APIRouter(prefix="/v2/repository")


@server.get("", summary="Describe the server", responses=_answers(schemas.ServerMetadata))
@server.get("/", include_in_schema=False)
async def describe_server(parts: Parts) -> Response:
    """Its name and version, and the protocol's extensions that it knows."""
    return JSONResponse(metadata.describe_server(__version__))


@server.get("/health/live", summary="Whether the process answers", responses=_answers(schemas.Live))
async def live() -> Response:
    """200 as long as the process answers at all."""
    return JSONResponse({"live": True})


@server.get(
    "/health/ready",
    summary="Whether to send requests here",
    responses=_answers(schemas.Ready) | {503: {"model": schemas.Ready}},
)
async def ready(parts: Parts) -> Response:
    """200 where models are loaded and the service is not stopping, 503 otherwise."""
    is_ready = parts.lifecycle.status == "ok"
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


@server.get("/models/stats", summary="Statistics of all models", responses=_answers(schemas.StatisticsAnswer, 500))
async def all_statistics(parts: Parts) -> Response:
    """Every version in memory: how often it was asked over this protocol, and how long what took."""
    return JSONResponse(parts.protocol.statistics.describe(parts.protocol.backend.loaded()))


@of_model.get("", summary="Describe a model", responses=_answers(schemas.ModelMetadata, 404, 500, 503))
async def describe_model(target: Wanted, parts: Parts) -> Response:
    """Its tensors, its versions in the store, and how a picture is prepared for it."""
    backend = parts.protocol.backend
    model = await backend.find(target.name, target.version)
    versions = await backend.versions(model.name)
    return JSONResponse(metadata.describe_model(model.name, versions, model.preprocessing, model.class_names))


@of_model.get(
    "/config", summary="A model's configuration", responses=_answers(schemas.ModelConfiguration, 404, 500, 503)
)
async def describe_configuration(target: Wanted, parts: Parts) -> Response:
    """Triton's ModelConfig, as far as it has a meaning here."""
    backend = parts.protocol.backend
    model = await backend.find(target.name, target.version)
    return JSONResponse(
        metadata.describe_configuration(model.name, model.preprocessing, model.class_names, backend.max_pictures)
    )


@of_model.get("/ready", summary="Whether a model answers", responses=_answers(schemas.ModelReady, 404, 500, 503))
async def model_ready(target: Wanted, parts: Parts) -> Response:
    """200 where it does; a version that is not in memory yet is loaded now."""
    model = await parts.protocol.backend.find(target.name, target.version)
    return JSONResponse({"name": model.name, "ready": True})


@of_model.get("/stats", summary="A model's statistics", responses=_answers(schemas.StatisticsAnswer, 404, 500, 503))
async def statistics(target: Wanted, parts: Parts) -> Response:
    """How often it was asked over this protocol, and how long what took: one version, or all in memory."""
    backend = parts.protocol.backend
    model = await backend.find(target.name, target.version)
    versions = [model.version] if target.version else [found for name, found in backend.loaded() if name == model.name]
    return JSONResponse(parts.protocol.statistics.describe([(model.name, version) for version in versions]))


@of_model.post(
    "/infer",
    summary="Classify pictures",
    responses=_answers(schemas.InferenceResponse, 400, 404, 408, 413, 415, 500, 501, 503, 504)
    | {200: {"model": schemas.InferenceResponse, "content": {BINARY_TYPE: _BINARY}}},
    openapi_extra=_body(schemas.InferenceRequest, required=True, binary=True),
)
async def infer(request: Request, target: Wanted, parts: Parts) -> Response:
    """One to `max_batch` pictures, encoded, as pixels or normalised; JSON, or JSON and binary tensors.

    `Inference-Header-Content-Length` says how much of the body is JSON, 0 that all of it is one encoded picture. The
    media type is not looked at, since the protocol's own clients send none.
    """
    return await parts.protocol.inferences.answer(request, target.name, target.version)


@repository.post(
    "/index",
    summary="List the store",
    responses=_answers(None, 400, 408, 413, 500, 503) | {200: {"model": list[schemas.IndexedVersion]}},
    openapi_extra=_body(schemas.IndexRequest, required=False),
)
async def index(request: Request, parts: Parts) -> Response:
    """Every version of every model in the store, and whether it is in memory."""
    ready_only = parse_index_request(await _control_body(request, parts))
    return JSONResponse(metadata.describe_index(await parts.protocol.backend.index(), ready_only))


@repository.post(
    "/models/{name}/load",
    summary="Load a model",
    responses=_answers(None, 400, 403, 404, 408, 413, 500, 503),
    openapi_extra=_body(schemas.ControlRequest, required=False),
)
async def load(request: Request, name: Name, parts: Parts) -> Response:
    """Serve the store's latest version of a model from now on. Needs the admin token."""
    check_token(request.headers.get("authorization", ""), parts.settings.admin_token)
    check_load_request(await _control_body(request, parts))
    await parts.protocol.backend.load(name)
    return Response()


@repository.post(
    "/models/{name}/unload",
    summary="Unload a model",
    responses=_answers(None, 400, 403, 404, 408, 413, 500, 503),
    openapi_extra=_body(schemas.ControlRequest, required=False),
)
async def unload(request: Request, name: Name, parts: Parts) -> Response:
    """Serve a model no more until it is loaded again, on any route. Needs the admin token."""
    check_token(request.headers.get("authorization", ""), parts.settings.admin_token)
    check_unload_request(await _control_body(request, parts))
    await parts.protocol.backend.unload(name)
    return Response()


async def _control_body(request: Request, parts: Application) -> bytes:
    return await read_body(request, MAX_CONTROL_BYTES, parts.settings.upload_timeout_s)


router = APIRouter(tags=["Open Inference Protocol"])
router.include_router(server)  # first: /models/stats is no model
router.include_router(of_model, prefix="/v2/models/{name}", dependencies=[Depends(_name)])
router.include_router(of_model, prefix="/v2/models/{name}/versions/{version}", dependencies=[Depends(_version)])
router.include_router(repository)
