"""The routes: each parses, calls and renders."""

from service.routes import models, operations, predict

ROUTERS = (predict.router, models.router, operations.router)

__all__ = ["ROUTERS"]
