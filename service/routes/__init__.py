"""The routes: each parses, calls and renders."""

from service.routes import models, oip, operations, page, predict, reference

ROUTERS = (predict.router, models.router, oip.router, operations.router, reference.router, page.router)

__all__ = ["ROUTERS"]
