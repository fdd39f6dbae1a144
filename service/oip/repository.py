"""The repository's calls: their bodies, and who may make those that change something."""

import hmac

from service.errors import Forbidden, InvalidInference
from service.oip.fields import as_flag, as_object, parameters_of, show
from service.strict_json import read_json

_SCHEME = "bearer "


def check_token(authorization: str, admin_token: str) -> None:
    """Let pass who sends `Authorization: Bearer <admin token>`. The comparison takes as long for every wrong token.

    Raises:
        Forbidden: another token or none, or none was set.
    """
    if not admin_token:
        raise Forbidden("Loading and unloading are off: the service was started without an admin token.")
    given = authorization[len(_SCHEME) :].strip() if authorization[: len(_SCHEME)].lower() == _SCHEME else ""
    if not hmac.compare_digest(given.encode(), admin_token.encode()):
        raise Forbidden("Loading and unloading need the header Authorization: Bearer with the admin token.")


def parse_index_request(body: bytes) -> bool:
    """Whether only versions in memory are wanted.

    Raises:
        InvalidUpload: the JSON is malformed.
        InvalidInference: a field breaks its rule.
    """
    ready = as_object(read_json(body), "body").get("ready") if body else None
    return False if ready is None else as_flag(ready, "ready")


def check_load_request(body: bytes) -> None:
    """Refuse what would bring a model, or its configuration, with the request: models come from the store.

    Raises: as `parse_index_request`.
    """
    for name in _parameters(body):
        raise InvalidInference(f"parameters[{show(name)}]: models and their configuration come from the store only")


def check_unload_request(body: bytes) -> None:
    """Check the one parameter there is; no model here depends on another.

    Raises: as `parse_index_request`.
    """
    for name, value in _parameters(body).items():
        if name != "unload_dependents":
            raise InvalidInference(f"parameters[{show(name)}]: unknown, must be unload_dependents")
        as_flag(value, "parameters.unload_dependents")


def _parameters(body: bytes) -> dict[str, object]:
    return parameters_of(as_object(read_json(body), "body"), "parameters") if body else {}
