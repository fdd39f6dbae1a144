"""What a command line names: a bundle in a file or a store, and the store."""

import argparse
from pathlib import Path

from model_store.errors import StoreUnavailable
from model_store.folder import Folder
from model_store.interface import BundleStore
from model_store.limits import MAX_BUNDLE_BYTES
from model_store.opening import open_store
from model_store.references import parse_reference

STORE_VARIABLE = "CSRVE_STORE"


def read_bundle(options: argparse.Namespace) -> bytes:
    """The bytes of `options.bundle`: a path that has a "/" or ends in .csrve, or a reference into the store.

    Raises:
        StoreError: there is none such, or it cannot be read.
    """
    if "/" in options.bundle or options.bundle.endswith(".csrve"):
        return read_file(Path(options.bundle))
    reference, store = parse_reference(options.bundle), opened_store(options)
    version = store.resolve(reference.name, reference.selector) if reference.selector is not None else None
    return store.read(reference.name, version).data


def read_file(path: Path) -> bytes:
    """A file's bytes, as many as a bundle may have.

    Raises:
        StoreUnavailable: there is none such, or it cannot be read.
    """
    real = resolved(path)
    try:
        with Folder.opened(real.parent) as folder:
            return folder.read(real.name, MAX_BUNDLE_BYTES)
    except FileNotFoundError:
        raise StoreUnavailable(f'"{path}": no such file') from None


def resolved(path: Path) -> Path:
    """The path without links: what the user names may be behind some.

    Raises:
        StoreUnavailable: it leads nowhere.
    """
    try:
        return path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreUnavailable(f'"{path}": {getattr(error, "strerror", None) or error}') from error


def opened_store(options: argparse.Namespace) -> BundleStore:
    """The store of `--store`.

    Raises:
        StoreUnavailable: none is named, or it cannot be opened.
    """
    return open_store(store_place(options))


def store_place(options: argparse.Namespace) -> str:
    """The folder or URL of `--store`.

    Raises:
        StoreUnavailable: none is named.
    """
    if not options.store:
        raise StoreUnavailable(f"no store named: give --store DIR, or set {STORE_VARIABLE}")
    return str(options.store)
