"""Errors as RFC 9457 problem+json: one shape for all of them, the framework's own included."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.correlation import RequestRecord, record_of
from service.errors import InvalidQuery, Overloaded, RequestError
from service.logs import log

MEDIA_TYPE = "application/problem+json"

_DETAILS = {
    400: ("bad_request", "The request is malformed."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not answer this method."),
    500: ("internal_error", "The service failed on this request."),
}


class Problem(BaseModel):
    """An error, as RFC 9457 describes one."""

    type: str = Field(description="A URI for the kind of problem; about:blank, so `title` names the status.")
    title: str = Field(description="What the status means.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What was wrong with this request.")
    code: str = Field(description="The kind of problem, for programs. Stable.", examples=["model_not_found"])
    request_id: str = Field(description="The request's X-Request-ID, which the service's log has too.")


class ProtocolProblem(Problem):
    """An error below /v2, where the Open Inference Protocol has a member of its own for it."""

    error: str = Field(description="The same as `detail`.")


def render_problem(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    protocol: bool = False,
) -> Response:
    """The one shape of an error; `protocol` adds the Open Inference Protocol's member."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if protocol:
        problem["error"] = detail
    return Response(json.dumps(problem), status, headers, MEDIA_TYPE)


def describe_problems(*statuses: int, protocol: bool = False) -> dict[int | str, dict[str, object]]:
    """OpenAPI's `responses` for a route that can answer with these errors."""
    schema = {"$ref": f"#/components/schemas/{(ProtocolProblem if protocol else Problem).__name__}"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def install_handlers(app: FastAPI) -> None:
    """Render every error of the application, and of the framework below it."""
    app.add_exception_handler(RequestError, _answer_request_error)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(MemoryError, _answer_memory)


def answer_crash(request: Request, error: Exception) -> Response:
    """The answer to anything unforeseen: logged whole, told to nobody."""
    log("crash", {"request_id": record_of(request).request_id}, logging.ERROR, error)
    return _answer(request, 500, *_DETAILS[500])


def problem_of(error: RequestError, record: RequestRecord) -> Response:
    """The answer to a request that cannot be answered otherwise; noted in its record."""
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else None
    return _problem(record, error.status, error.code, str(error), headers)


def _answer(
    request: Request, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    return _problem(record_of(request), status, code, detail, headers)


def _problem(record: RequestRecord, status: int, code: str, detail: str, headers: Mapping[str, str] | None) -> Response:
    record.code = code
    protocol = record.path == "/v2" or record.path.startswith("/v2/")
    return render_problem(status, code, detail, record.request_id, headers, protocol)


async def _answer_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    if isinstance(error, Overloaded):  # it holds no place any more, and must hold no body either
        error.forget()
        await request.app.state.application.refusals.turn()
    return problem_of(error, record_of(request))


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    places = (f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}" for found in error.errors()[:8])
    return _answer(request, InvalidQuery.status, InvalidQuery.code, "; ".join(places))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code if error.status_code >= 400 else 500
    code, detail = _DETAILS.get(status, _DETAILS[500 if status >= 500 else 400])
    return _answer(request, status, code, detail, error.headers)


async def _answer_memory(request: Request, error: Exception) -> Response:
    log("out of memory", {"request_id": record_of(request).request_id}, logging.ERROR)
    return _answer(
        request, Overloaded.status, Overloaded.code, "Not enough memory at the moment.", {"Retry-After": "1"}
    )
