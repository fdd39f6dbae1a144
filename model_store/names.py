"""Which names exist: one function each for layers, models and versions, used before any path is built."""

import re

from model_store.errors import InvalidName
from model_store.limits import MAX_NAME_LENGTH

LATEST = "latest"  # the highest version, which no alias may be called

_LAYER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_MODEL = re.compile(r"[a-z0-9](?:[a-z0-9._\-]*[a-z0-9])?")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_ALIAS = re.compile(r"[a-z](?:[a-z0-9_\-]{0,30}[a-z0-9])?")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")


def is_tensor_name(name: str) -> bool:
    """Whether a layer of a graph may be called that."""
    return len(name) <= MAX_NAME_LENGTH and _LAYER.fullmatch(name) is not None


def check_model_name(name: str) -> str:
    """Return `name`, or raise InvalidName: 1..64 of [a-z0-9._-], a letter or digit at both ends, no "..", no device."""
    if len(name) > 64 or ".." in name or not _MODEL.fullmatch(name) or _RESERVED.fullmatch(name):
        raise InvalidName(f"model name {name[:80]!r}: must be 1..64 of [a-z0-9._-], a letter or digit at both ends")
    return name


def check_version(version: str) -> int:
    """Return the version as a number, or raise InvalidName: a decimal from 1, without leading zeros."""
    if not _VERSION.fullmatch(version):
        raise InvalidName(f"version {version[:20]!r}: must be a decimal number from 1, without leading zeros")
    return int(version)


def check_alias(alias: str) -> str:
    """Return `alias`, or raise InvalidName: 1..32 of [a-z0-9_-], a letter first, not "latest"."""
    if alias == LATEST or not _ALIAS.fullmatch(alias):
        raise InvalidName(f'alias {alias[:80]!r}: must be 1..32 of [a-z0-9_-], a letter first, and not "{LATEST}"')
    return alias
