"""POST /predict: classify one picture, or several."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from service.predictions import Query as PredictionQuery
from service.problems import describe_problems
from service.routes.lean import LeanRoute
from service.routes.parameters import MAX_MODEL_CHARACTERS, MAX_TOP_K, TOP_K, Version, read_version
from service.schemas import Prediction, Predictions
from service.several import predict_several
from service.state import Application, application
from service.uploads import FIELD, FORM_TYPE, JSON_TYPE, PICTURE_TYPES, is_raw

router = APIRouter(tags=["predictions"], route_class=LeanRoute)

_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
_FORM = {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _FILES}}}
_BASE64 = {"type": "string", "contentEncoding": "base64"}
_INSTANCE = {"type": "object", "required": ["b64"], "properties": {"b64": _BASE64}, "additionalProperties": False}
_JSON = {
    "schema": {
        "oneOf": [
            {
                "type": "object",
                "required": ["image"],
                "properties": {"image": _BASE64},
                "additionalProperties": False,
            },
            {
                "type": "object",
                "required": ["instances"],
                "properties": {"instances": {"type": "array", "items": _INSTANCE, "minItems": 1}},
                "additionalProperties": False,
            },
        ]
    }
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {**dict.fromkeys(PICTURE_TYPES, _PICTURE), FORM_TYPE: _FORM, JSON_TYPE: _JSON},
    }
}


@router.post(
    "/predict",
    responses=describe_problems(400, 404, 408, 413, 415, 422, 500, 503, 504),
    openapi_extra=_BODY,
    summary="Classify a picture, or several",
)
async def predict(
    request: Request,
    parts: Annotated[Application, Depends(application)],
    model: Annotated[
        str,
        Query(max_length=MAX_MODEL_CHARACTERS, description="Which model; may be left out where there is a default."),
    ] = "",
    version: Version = "latest",
    top_k: Annotated[int, Query(ge=1, le=MAX_TOP_K, description="How many classes to list.")] = TOP_K,
) -> Prediction | Predictions:
    """Classify a PNG, JPEG or WebP picture of any size and mode: the body itself, the field `file` of a form, or
    `{"image": BASE64}`. Several are a form with several fields `file`, or `{"instances": [{"b64": BASE64}, ...]}`, at
    most `max_batch`; their answer is a list, in their order. One that cannot be read fails the request, and is named.

    It is turned upright as its EXIF data says, laid on white where it is transparent, resized to the network's input
    (bilinear, proportions not kept) and normalised. The content decides how it is decoded, not the declared type.
    """
    query = PredictionQuery(model, read_version(version), top_k)
    if is_raw(request):
        return await parts.predictor.predict(request, query)
    return await predict_several(parts.protocol.backend, request, query)
