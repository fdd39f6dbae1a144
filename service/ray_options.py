"""How many replicas Ray runs: CSRVE_RAY_* variables, beside those of `service.settings`. Imports no Ray."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from service.errors import SettingsError
from service.settings import Settings

PREFIX = "CSRVE_"
_MOST = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """Checked.

    Attributes:
        min_replicas: always running; 0 lets an unused service stop altogether.
        target_requests: requests in a replica, waiting ones included, above which another replica is started.

    Raises:
        SettingsError: a value is outside its range.
    """

    min_replicas: int = 1
    max_replicas: int = 1
    target_requests: int = 16

    def __post_init__(self) -> None:
        for name, low in (("min_replicas", 0), ("max_replicas", max(1, self.min_replicas)), ("target_requests", 1)):
            value = getattr(self, name)
            if not low <= value <= _MOST:
                raise SettingsError(f"{PREFIX}RAY_{name.upper()} {value}, must be in {low}..{_MOST}")


def read_ray_options(environment: Mapping[str, str]) -> RayOptions:
    """From CSRVE_RAY_MIN_REPLICAS, CSRVE_RAY_MAX_REPLICAS and CSRVE_RAY_TARGET_REQUESTS, else the defaults.

    Raises:
        SettingsError: a value is no whole number, or outside its range.
    """
    values: dict[str, int] = {}
    for option in fields(RayOptions):
        variable = f"{PREFIX}RAY_{option.name.upper()}"
        text = environment.get(variable)
        if text is None:
            continue
        try:
            values[option.name] = int(text)
        except ValueError:
            raise SettingsError(f'{variable} "{text}", must be a whole number') from None
    return RayOptions(**values)


def deployment_options(settings: Settings, options: RayOptions, environment: Mapping[str, str]) -> dict[str, Any]:
    """What `serve.deployment` is given.

    A replica reads its settings from its own environment, which is that of its node: so ours goes with it.
    """
    return {
        "name": "csrve",
        # Ray's default, 5, would leave batches unfilled. Ours refuses above request_limit, as problem+json, so Ray's
        # own limit stands above it and is met only where requests other than predictions pile up.
        "max_ongoing_requests": 2 * settings.request_limit,
        "autoscaling_config": {
            "min_replicas": options.min_replicas,
            "max_replicas": options.max_replicas,
            "target_ongoing_requests": options.target_requests,
        },
        "graceful_shutdown_timeout_s": settings.grace_s,
        "ray_actor_options": {
            "num_cpus": settings.threads,
            "num_gpus": 0 if settings.device == "cpu" else 1,
            "runtime_env": {"env_vars": {k: v for k, v in environment.items() if k.startswith(PREFIX)}},
        },
    }
