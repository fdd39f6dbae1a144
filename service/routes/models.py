"""GET /models and /models/{name}: what is served, and what it costs."""

from typing import Annotated

from fastapi import APIRouter, Depends

from service.problems import describe_problems
from service.routes.parameters import Version
from service.schemas import ModelDetails, ModelList, ModelSummary
from service.state import Application, application

router = APIRouter(tags=["models"])


@router.get("/models", summary="List the models that are loaded", responses=describe_problems(500))
async def list_models(parts: Annotated[Application, Depends(application)]) -> ModelList:
    """The latest version of each model in the store, and the versions that were asked for lately."""
    fields = set(ModelSummary.model_fields)
    return ModelList(models=[ModelSummary(**model.details.model_dump(include=fields)) for model in parts.models.all()])


@router.get("/models/{name}", summary="Describe a model", responses=describe_problems(404, 422, 500, 503))
async def describe_model(
    name: str,
    parts: Annotated[Application, Depends(application)],
    version: Version = None,
) -> ModelDetails:
    """One model with its layers and the bytes of each, in the file and in memory."""
    return (await parts.models.find(name, version)).details
