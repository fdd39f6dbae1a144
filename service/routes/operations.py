"""GET /metrics, /healthz and /readyz: for Prometheus, and for whatever keeps the service running."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from service.schemas import Health
from service.state import Application, application

router = APIRouter(tags=["operations"])


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(request: Request, parts: Annotated[Application, Depends(application)]) -> Response:
    """All metrics, in Prometheus' text format or OpenMetrics, as `Accept` asks."""
    body, content_type = parts.metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


@router.get("/healthz", summary="Whether the process answers")
async def healthz() -> Health:
    """200 as long as the process answers at all."""
    return Health(status="ok")


@router.get("/readyz", summary="Whether to send requests here", responses={503: {"model": Health}})
async def readyz(response: Response, parts: Annotated[Application, Depends(application)]) -> Health:
    """200 where models are loaded and the service is not stopping, 503 otherwise."""
    status = parts.lifecycle.status
    response.status_code = 200 if status == "ok" else 503
    return Health(status=status)
