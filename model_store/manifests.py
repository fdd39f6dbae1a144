"""How a remote store names its objects, and what the small ones hold. docs/stores.md describes the layout."""

import json
import re
from dataclasses import dataclass

from model_store.errors import InvalidName, StoreUnavailable
from model_store.limits import MAX_BUNDLE_BYTES
from model_store.names import check_alias, check_model_name, check_version

MAX_MANIFEST_BYTES = 1024
MODELS = "models"
BLOBS = "blobs"
REMOVED = 0  # the version of an alias that was removed

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOVE = re.compile(r"[0-9]{9}")
MAX_MOVES = 999_999_999


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version is: the SHA-256 of its bytes in hex, which is its blob's name, and how many they are.

    Raises:
        StoreUnavailable: neither can be so.
    """

    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.sha256):
            raise StoreUnavailable("manifest: sha256, must be 64 of [0-9a-f]")
        if not 0 < self.size_bytes <= MAX_BUNDLE_BYTES:
            raise StoreUnavailable(f"manifest: size_bytes {self.size_bytes}, must be in 1..{MAX_BUNDLE_BYTES}")

    @property
    def blob(self) -> str:
        """The key of its bytes."""
        return f"{BLOBS}/{self.sha256}"

    def encoded(self) -> bytes:
        return json.dumps({"sha256": self.sha256, "size_bytes": self.size_bytes}).encode()


def read_manifest(data: bytes) -> Manifest:
    """Read what `Manifest.encoded` wrote.

    Raises:
        StoreUnavailable: it is anything else.
    """
    try:
        fields = json.loads(data)
        sha256, size_bytes = fields["sha256"], fields["size_bytes"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StoreUnavailable("manifest: must be JSON with sha256 and size_bytes") from None
    if not isinstance(sha256, str) or type(size_bytes) is not int:
        raise StoreUnavailable("manifest: sha256 must be text, size_bytes a whole number")
    return Manifest(sha256, size_bytes)


def version_key(name: str, version: int) -> str:
    """The key of a version's manifest. Raises InvalidName where no model or version can have that name."""
    return f"{MODELS}/{check_model_name(name)}/versions/{check_version(str(version))}"


def move_key(name: str, alias: str, move: int) -> str:
    """The key of an alias's move. Raises InvalidName where no model or alias can have that name."""
    return f"{MODELS}/{check_model_name(name)}/aliases/{check_alias(alias)}/{move:09d}"


def version_of_key(key: str) -> tuple[str, int] | None:
    """The model and version of a manifest's key; None for any other key."""
    match key.split("/"):
        case [folder, name, "versions", version] if folder == MODELS:
            try:
                return check_model_name(name), check_version(version)
            except InvalidName:
                return None
    return None


def move_of_key(key: str) -> tuple[str, str, int] | None:
    """The model, alias and number of a move's key; None for any other key."""
    match key.split("/"):
        case [folder, name, "aliases", alias, move] if folder == MODELS and _MOVE.fullmatch(move):
            try:
                return check_model_name(name), check_alias(alias), int(move)
            except InvalidName:
                return None
    return None


def read_move(data: bytes) -> int:
    """The version that a move gave its alias, or `REMOVED`. Raises StoreUnavailable where it holds anything else."""
    text = data.decode("ascii", "replace")
    try:
        return REMOVED if text == str(REMOVED) else check_version(text)
    except InvalidName:
        raise StoreUnavailable("alias: must hold a version's number") from None
