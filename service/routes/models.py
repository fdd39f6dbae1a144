"""GET /models and /models/{name}: what is served, and what it costs."""

from typing import Annotated

from fastapi import APIRouter, Depends

from service.models import LoadedModel
from service.problems import describe_problems
from service.routes.parameters import Version, read_version
from service.schemas import ModelDetails, ModelList, ModelSummary
from service.state import Application, application

router = APIRouter(tags=["models"])


@router.get("/models", summary="List the models that are loaded", responses=describe_problems(500))
async def list_models(parts: Annotated[Application, Depends(application)]) -> ModelList:
    """The versions in memory: those loaded at start, and those that were asked for lately."""
    fields = set(ModelSummary.model_fields)
    details = [_with_aliases(parts, model).model_dump(include=fields) for model in parts.models.all()]
    return ModelList(models=[ModelSummary(**each) for each in details])


@router.get("/models/{name}", summary="Describe a model", responses=describe_problems(404, 422, 500, 503))
async def describe_model(
    name: str,
    parts: Annotated[Application, Depends(application)],
    version: Version = "latest",
) -> ModelDetails:
    """One model with its layers and the bytes of each, in the file and in memory."""
    return _with_aliases(parts, await parts.models.find(name, read_version(version)))


def _with_aliases(parts: Application, model: LoadedModel) -> ModelDetails:
    return model.details.model_copy(update={"aliases": parts.models.aliases_of(model.name, model.version)})
