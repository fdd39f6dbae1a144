"""`gc`: remove the blobs of a remote store that no version names, and the moves of aliases that were overtaken.

A blob younger than the guard may belong to a publish that has not written its manifest yet, and stays. An older one
that is published again in the very moment of its removal is put back: the removal is followed by a second look at the
manifests here, and the publish by a look at the blob there, so that one of the two sees it. Only a collector that dies
between its removal and its second look can leave such a version without its blob; publishing it again mends that.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from model_store.errors import ModelNotFound, StoreUnavailable
from model_store.limits import MAX_BUNDLE_BYTES
from model_store.manifests import BLOBS, MODELS, move_of_key, version_of_key
from model_store.objects import Item
from model_store.remote_store import RemoteStore

GUARD_S = 86_400.0


def collect(store: RemoteStore, guard_s: float = GUARD_S, now: datetime | None = None) -> Iterator[str]:
    """Remove what nothing names and is older than `guard_s`; yield the key of each object removed.

    Args:
        now: the time; the machine's by default, which must agree with the endpoint's to far less than the guard.

    Raises:
        StoreUnavailable: a manifest cannot be read: what it names is unknown, so nothing more is removed.
    """
    before = (now or datetime.now(UTC)) - timedelta(seconds=guard_s)
    blobs = [item for item in store.objects.list(BLOBS) if item.modified < before]  # before the manifests are read
    named = _named(store)
    for blob in blobs:
        if blob.key not in named and _remove_blob(store, blob, before):
            yield blob.key
    for key in _overtaken(store.objects.list(MODELS), before):
        store.objects.remove(key)
        yield key


def _named(store: RemoteStore) -> set[str]:
    """The keys of all blobs that a version names."""
    found = set()
    for place in filter(None, (version_of_key(item.key) for item in store.objects.list(MODELS))):
        try:
            found.add(store.manifest(*place).blob)
        except ModelNotFound:  # removed since it was listed
            continue
    return found


def _remove_blob(store: RemoteStore, blob: Item, before: datetime) -> bool:
    """Remove one; False where it was written again, or is named by now."""
    modified = store.objects.modified(blob.key)
    if modified is None or modified >= before:
        return False
    try:
        data = store.objects.get(blob.key, MAX_BUNDLE_BYTES)
    except FileNotFoundError:
        return False
    store.objects.remove(blob.key)
    try:
        named = blob.key in _named(store)
    except StoreUnavailable:
        store.objects.put(blob.key, data)
        raise
    if named:
        store.objects.put(blob.key, data)
    return not named


def _overtaken(items: list[Item], before: datetime) -> list[str]:
    """The moves that a later one follows, both of them old: whoever looked at the earlier one has given up by now."""
    last: dict[tuple[str, str], int] = {}
    moves = [(place, item) for item in items if (place := move_of_key(item.key)) and item.modified < before]
    for (name, alias, move), _ in moves:
        last[name, alias] = max(move, last.get((name, alias), 0))
    return [item.key for (name, alias, move), item in moves if move < last[name, alias]]
