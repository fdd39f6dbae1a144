"""`serve run service.ray_app:app`: the service as replicas of Ray Serve, with the extra `scale`.

The settings are the CSRVE_* variables of `python -m service`; `host`, `port` and the deadlines of connections are
Ray's proxies' business. Each replica is the whole application, its batcher and its limits included. Nothing imports
this module but Ray.
"""

import os

from fastapi import FastAPI
from ray import serve

from service.app import build_app
from service.logs import configure_logs, log
from service.ray_model_choice import ModelChoice
from service.ray_options import deployment_options, read_ray_options
from service.settings import read_settings


async def _note(name: str) -> str:
    """A name is all that Ray keeps: the model is loaded, and left, as every model is (`service.residency`)."""
    return name


# -1: Ray forgets none on its own count of models; ours is of bytes. Where Ray sends a request to a replica that has
# since unloaded its model, the model is loaded again.
_noted = serve.multiplexed(max_num_models_per_replica=-1)(_note)


def build() -> FastAPI:
    """The application of one replica. Ray is given this function: it cannot pickle applications reliably."""
    settings = read_settings([], os.environ)
    configure_logs(settings.log_level)
    log("settings", settings.told())
    app = build_app(settings)
    names = app.state.application.models.names

    async def note(name: str) -> None:
        if name in names():  # or anybody's names would be kept for ever
            await _noted(name)

    app.add_middleware(ModelChoice, note=note)
    return app


_options = deployment_options(read_settings([], os.environ), read_ray_options(os.environ), os.environ)
app = serve.deployment(**_options)(serve.ingress(build)()).bind()
