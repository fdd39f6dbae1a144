"""Objects behind a URL: the few calls that the remote store is made of, over obstore, with errors that hold no secret.

Credentials and the endpoint come from the environment, as obstore reads it (AWS_*, GOOGLE_*, AZURE_*), never from the
URL. What obstore says of an error is not passed on: it can quote a signed address.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import MemoryStore, ObjectStore, from_url

from model_store.errors import BundleTooLarge, StoreUnavailable
from model_store.opening import SCHEMES

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_MEMORY: dict[str, MemoryStore] = {}  # one for each URL: who opens it again finds what was put there

_DENIED = "access is denied: the credentials are wrong, or do not allow it"
_NO_BUCKET = "no such bucket"
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.UnauthenticatedError, _DENIED),
    (exceptions.PermissionDeniedError, _DENIED),
    (exceptions.NotSupportedError, "the endpoint cannot do that"),
    (FileNotFoundError, _NO_BUCKET),
)
_STATUS = re.compile(r"status code: ([0-9]{3}) ")  # what obstore says of a listing's errors stands in its text only
_STATUSES = {"401": _DENIED, "403": _DENIED, "404": _NO_BUCKET}


@dataclass(frozen=True, slots=True)
class Item:
    """An object in a listing: its key, when it was last written, by the store's clock, and its size."""

    key: str
    modified: datetime
    size_bytes: int


class Objects:
    """The objects below a URL. Any thread may call. StoreUnavailable: the endpoint fails, or refuses."""

    def __init__(self, label: str, store: ObjectStore) -> None:
        """Nothing is connected to yet. `label` is what messages call the store."""
        self.label = label
        self._store = store

    def get(self, key: str, limit_bytes: int) -> bytes:
        """An object's bytes.

        Raises:
            FileNotFoundError: there is no such object.
            BundleTooLarge: it is longer than `limit_bytes`.
        """
        with self._doing("read", key, FileNotFoundError):
            found = obstore.get(self._store, key)
            if found.meta["size"] > limit_bytes:
                size = found.meta["size"]
                raise BundleTooLarge(f'"{self.label}/{key}": {size} bytes, must be at most {limit_bytes}')
            return bytes(found.bytes())

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        return self.modified(key) is not None

    def modified(self, key: str) -> datetime | None:
        """When an object was last written; None where there is none."""
        try:
            with self._doing("look at", key, FileNotFoundError):
                modified: datetime = obstore.head(self._store, key)["last_modified"]
                return modified
        except FileNotFoundError:
            return None

    def put(self, key: str, data: bytes) -> None:
        """Write an object, in place of the one that may be there. Readers find the old bytes or the new."""
        with self._doing("write", key):
            obstore.put(self._store, key, data, use_multipart=False)

    def create(self, key: str, data: bytes) -> None:
        """Write an object that is not there yet: of several writers exactly one is not told FileExistsError."""
        try:
            with self._doing("create", key, exceptions.AlreadyExistsError):
                obstore.put(self._store, key, data, mode="create", use_multipart=False)
        except exceptions.AlreadyExistsError:
            raise FileExistsError(key) from None

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self._doing("remove", key):
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                return

    def list(self, prefix: str) -> list[Item]:
        """Every object below a prefix, sorted by key."""
        with self._doing("list", prefix):
            pages = obstore.list(self._store, prefix)
            found = [Item(one["path"], one["last_modified"], one["size"]) for page in pages for one in page]
        return sorted(found, key=lambda item: item.key)

    @contextmanager
    def _doing(self, operation: str, key: str, *passed: type[Exception]) -> Iterator[None]:
        try:
            yield
        except (exceptions.BaseError, OSError) as error:
            if isinstance(error, passed):
                raise
            raise StoreUnavailable(f'cannot {operation} "{self.label}/{key}": {_reason_of(error)}') from None


def open_objects(url: str) -> Objects:
    """Use what is below a URL, `SCHEME://BUCKET` or `SCHEME://BUCKET/FOLDER`. Nothing is connected to yet.

    Raises:
        StoreUnavailable: it is no such URL. The message does not show it: it may hold a password.
    """
    try:
        parts = urlsplit(url)
        plain = not (parts.username or parts.password or parts.query or parts.fragment or parts.port)
    except ValueError:
        raise StoreUnavailable(_rule()) from None
    folders = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    if parts.scheme not in SCHEMES or not parts.netloc or not plain or any(part in {"", ".", ".."} for part in folders):
        raise StoreUnavailable(_rule())
    label = f"{parts.scheme}://{'/'.join([parts.netloc, *folders])}"
    return Objects(label, _OPENERS.get(parts.scheme, _open)(label))


def _reason_of(error: Exception) -> str:
    """Why a call failed, in words that are ours."""
    for kind, text in _REASONS:
        if isinstance(error, kind):
            return text
    found = _STATUS.search(str(error))
    if found is None:
        return f"the endpoint does not answer ({type(error).__name__})"
    return _STATUSES.get(found[1], f"the endpoint answers with status {found[1]}")


def _rule() -> str:
    schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    return f"store URL: must be one of {schemes} with a bucket, no name, password, port, query or empty folder in it"


def _open(url: str) -> ObjectStore:
    try:
        return from_url(
            url,
            client_options={"timeout": "30s", "connect_timeout": "5s", "allow_http": _plain_endpoint()},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
        )
    except (exceptions.BaseError, ValueError) as error:
        raise StoreUnavailable(f'store "{url}": {type(error).__name__}, the environment must configure it') from None


def _plain_endpoint() -> bool:
    """Whether the environment itself asks for an endpoint without TLS."""
    return any(os.environ.get(variable, "").startswith("http://") for variable in _ENDPOINTS)


def _open_memory(url: str) -> ObjectStore:
    return _MEMORY.setdefault(url, MemoryStore())


_OPENERS: dict[str, Callable[[str], ObjectStore]] = {"memory": _open_memory}
