"""The short way of a prediction: a raw picture with an ordinary query is answered without FastAPI's machinery.

Solving the dependencies, validating the query by pydantic and the answer against its model costs more than everything
else that the service does for a small picture. Whatever is not plainly valid takes FastAPI's way, whose errors are then
the answer, so that both ways say the same; OpenAPI knows one route only.
"""

import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.responses import Response

from service.predictions import Query
from service.routes.parameters import MAX_MODEL_CHARACTERS, MAX_TOP_K, MAX_VERSION_CHARACTERS, TOP_K, read_version
from service.state import Application
from service.uploads import is_raw

_DEFAULTS = {"model": "", "version": "latest", "top_k": str(TOP_K)}
_NOTHING_ASKED = Query("", None, TOP_K)
_WHOLE_NUMBER = re.compile(r"[1-9][0-9]{0,3}")


class LeanRoute(APIRoute):
    """FastAPI's route, with a short way through it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """A handler that chooses the way, request by request."""
        whole = super().get_route_handler()

        async def handle(request: Request) -> Response:
            query = plain_query(request.scope["query_string"]) if is_raw(request) else None
            if query is None:
                return await whole(request)
            parts: Application = request.app.state.application
            prediction = await parts.predictor.predict(request, query)
            return Response(prediction.__pydantic_serializer__.to_json(prediction), media_type="application/json")

        return handle


def plain_query(query_string: bytes) -> Query | None:
    """What a query string asks for; None where it takes FastAPI to say what is wrong with it.

    Raises:
        InvalidQuery: the version can be none.
    """
    if not query_string:
        return _NOTHING_ASKED
    pairs = QueryParams(query_string).multi_items()
    given = _DEFAULTS | dict(pairs)
    if len(pairs) != len(dict(pairs)) or given.keys() != _DEFAULTS.keys():
        return None
    model, version, top_k = given.values()
    if len(model) > MAX_MODEL_CHARACTERS or len(version) > MAX_VERSION_CHARACTERS:
        return None
    if not _WHOLE_NUMBER.fullmatch(top_k) or int(top_k) > MAX_TOP_K:
        return None
    return Query(model, read_version(version), int(top_k))
