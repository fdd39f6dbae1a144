"""`push`, `pull` and `gc` of `python -m model_store`: between stores, and for those behind a URL."""

import argparse

from model_store.errors import StoreUnavailable
from model_store.opening import create_store, is_url, open_store
from model_store.transfer import copy_models


def add_copying(pushing: argparse.ArgumentParser, pulling: argparse.ArgumentParser) -> None:
    """The arguments of `push` and of `pull`."""
    pushing.add_argument("other", metavar="TARGET", help="folder or URL of the store to copy to")
    pulling.add_argument("other", metavar="SOURCE", help="folder or URL of the store to copy from")
    for parser in (pushing, pulling):
        parser.add_argument("names", metavar="NAME", nargs="*", help="a model (default: all)")


def add_collecting(parser: argparse.ArgumentParser) -> None:
    """The arguments of `gc`."""
    parser.add_argument("--older-than", type=float, default=24.0, help="hours; what is younger stays (default: 24)")


def push(options: argparse.Namespace, place: str) -> int:
    """Copy from the store at `place` to the other."""
    return _copy(options, place, options.other)


def pull(options: argparse.Namespace, place: str) -> int:
    """Copy from the other to the store at `place`."""
    return _copy(options, options.other, place)


def gc(options: argparse.Namespace, place: str) -> int:
    """Collect the store at `place`; a line for each object removed."""
    if not is_url(place):
        raise StoreUnavailable("gc: the store is a folder, which holds nothing to collect, must be a URL")
    if not 1 <= options.older_than <= 87_600:
        raise StoreUnavailable(f"--older-than {options.older_than}, must be in 1..87600 hours")
    store = open_store(place)
    from model_store.collect import collect
    from model_store.remote_store import RemoteStore

    assert isinstance(store, RemoteStore)
    for key in collect(store, 3600 * options.older_than):
        print(f"{key}: removed")
    return 0


def _copy(options: argparse.Namespace, source: str, target: str) -> int:
    copied = 0
    for line in copy_models(open_store(source), create_store(target), options.names):
        print(line)
        copied += 1
    if not copied:
        print("nothing to copy")
    return 0
