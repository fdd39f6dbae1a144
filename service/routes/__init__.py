"""The routes: each parses, calls and renders."""

from service.routes import models, oip, operations, predict

ROUTERS = (predict.router, models.router, oip.router, operations.router)

__all__ = ["ROUTERS"]
