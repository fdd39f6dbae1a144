"""GET /docs: the HTTP interface, for people."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from service.reference_page import CONTENT_SECURITY_POLICY, render_reference

router = APIRouter(include_in_schema=False)


async def _reference(request: Request) -> str:
    """The page, made when it is first asked for: by then all routes are there, and they change no more."""
    state = request.app.state
    if not hasattr(state, "reference_page"):
        state.reference_page = render_reference(request.app.openapi())
    page: str = state.reference_page
    return page


@router.get("/docs", response_class=HTMLResponse)
async def docs(page: Annotated[str, Depends(_reference)]) -> Response:
    """Every operation and every schema, on one page that needs no network."""
    return HTMLResponse(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})
