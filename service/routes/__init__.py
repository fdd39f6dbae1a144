"""The routes: each parses, calls and renders."""

from service.routes import models, operations, predict, reference

ROUTERS = (predict.router, models.router, operations.router, reference.router)

__all__ = ["ROUTERS"]
