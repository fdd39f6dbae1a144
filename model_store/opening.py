"""A store from what the command line calls it: a folder's path, or a URL."""

import os
from pathlib import Path

from model_store.errors import StoreUnavailable
from model_store.interface import BundleStore
from model_store.store import Store

SCHEMES = ("s3", "gs", "az", "memory")


def is_url(place: str | Path) -> bool:
    """Whether this is a URL, and so no folder."""
    return "://" in str(place)


def place_of(text: str) -> str | Path:
    """What an option names: a URL as it is, a folder as a path."""
    return text if is_url(text) else Path(text)


def open_store(place: str | Path) -> BundleStore:
    """Use a store that exists.

    Raises:
        StoreUnavailable: there is none, it cannot be read, or the URL is none that a store can have.
    """
    return _remote(str(place)) if is_url(place) else Store(Path(place))


def create_store(place: str | Path) -> BundleStore:
    """Use a store; its folder is made where it is missing, a bucket is not. Raises as `open_store` does."""
    return _remote(str(place)) if is_url(place) else Store.create(Path(place))


def _remote(url: str) -> BundleStore:
    try:  # only now: who serves a folder need not have it, nor pay for it
        from model_store.cache import cache_of
        from model_store.objects import open_objects
        from model_store.remote_store import RemoteStore
    except ModuleNotFoundError as error:
        package = f"the package {error.name!r} is missing, must be installed: pip install 'csrve[remote]'"
        raise StoreUnavailable(f"store by URL: {package}") from error
    return RemoteStore(open_objects(url), cache_of(os.environ))
