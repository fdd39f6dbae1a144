"""POST /predict: classify one picture."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from service.predictions import Query as PredictionQuery
from service.problems import describe_problems
from service.routes.parameters import Version, read_version
from service.schemas import Prediction
from service.state import Application, application
from service.uploads import FIELD, FORM_TYPE, PICTURE_TYPES

router = APIRouter(tags=["predictions"])

_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: {"type": "string", "format": "binary"}}}
}
_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {**dict.fromkeys(PICTURE_TYPES, _PICTURE), FORM_TYPE: _FORM}}
}


@router.post(
    "/predict",
    responses=describe_problems(400, 404, 408, 413, 415, 422, 500, 503, 504),
    openapi_extra=_BODY,
    summary="Classify a picture",
)
async def predict(
    request: Request,
    parts: Annotated[Application, Depends(application)],
    model: Annotated[
        str, Query(max_length=64, description="Which model; may be left out where there is a default.")
    ] = "",
    version: Version = "latest",
    top_k: Annotated[int, Query(ge=1, le=1000, description="How many classes to list.")] = 5,
) -> Prediction:
    """Classify a PNG, JPEG or WebP picture of any size and mode, sent as the body or as the field `file` of a form.

    It is turned upright as its EXIF data says, laid on white where it is transparent, resized to the network's input
    (bilinear, proportions not kept) and normalised. The content decides how it is decoded, not the declared type.
    """
    return await parts.predictor.predict(request, PredictionQuery(model, read_version(version), top_k))
