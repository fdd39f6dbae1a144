"""GET /, /model and /page/{name}: the web page."""

from fastapi import APIRouter, HTTPException, Request, Response

from service.page import ASSETS, CONTENT_SECURITY_POLICY, Asset

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index(request: Request) -> Response:
    """Try a picture."""
    return _send(request, ASSETS["index.html"])


@router.get("/model")
async def model(request: Request) -> Response:
    """A model's story; which one is in the query, for the page's script."""
    return _send(request, ASSETS["model.html"])


@router.get("/page/{name}")
async def asset(request: Request, name: str) -> Response:
    """A script, the style or the icon."""
    if name not in ASSETS:
        raise HTTPException(404)
    return _send(request, ASSETS[name])


def _send(request: Request, asset: Asset) -> Response:
    """The file, or 304 where the browser has it: it is kept, and asked about each time."""
    headers = {
        "ETag": asset.tag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.content, headers={**headers, "Content-Type": asset.media_type})
