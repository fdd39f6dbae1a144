"""Ray's multiplexing header as the model of a request that names none."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

HEADER = "serve_multiplexed_model_id"  # Ray's proxies send requests that have it where that model is already
_PATH = "/predict"


class ModelChoice:
    """ASGI middleware: `serve_multiplexed_model_id` is the model of a POST /predict without `model`.

    Args:
        note: told of each model that a header names, before its request is answered: how Ray learns where it is.
    """

    def __init__(self, app: ASGIApp, note: Callable[[str], Awaitable[object]]) -> None:
        self._app = app
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (name := Headers(scope=scope).get(HEADER)):
            await self._note(name)
            scope = _with_model(scope, name)
        await self._app(scope, receive, send)


def _with_model(scope: Scope, name: str) -> Scope:
    query = scope.get("query_string", b"")
    if scope["path"] != _PATH or "model" in parse_qs(query.decode("latin-1"), keep_blank_values=True):
        return scope
    named = urlencode({"model": name}).encode()
    return {**scope, "query_string": query + b"&" + named if query else named}
