"""What the store had when it was last looked at, and which version each name for one means at the moment."""

from collections.abc import Mapping

from model_store.names import LATEST
from model_store.references import Selector
from service.catalog import Listing
from service.loading import Key


class Pointers:
    """`latest` and the aliases of every model; used from one event loop.

    Attributes:
        catalog: what the store had when it was last looked at. A pointer may lag behind it: it moves once what it is to
            mean is loaded.
    """

    def __init__(self) -> None:
        self.catalog: Mapping[str, Listing] = {}
        self._versions: dict[tuple[str, str], int] = {}  # of each (name, "latest" or alias)

    def take(self, catalog: Mapping[str, Listing]) -> None:
        """Let every pointer mean at once what the store says."""
        self.catalog = catalog
        for name, listing in catalog.items():
            self._versions |= {(name, selector): version for selector, version in listing.targets().items()}

    def names(self) -> list[str]:
        """The models that the store had, sorted."""
        return sorted(self.catalog)

    def version(self, name: str, selector: Selector) -> int | None:
        """The version that a selector means, as far as is known without looking."""
        return selector if isinstance(selector, int) else self._versions.get((name, selector or LATEST))

    def key(self, name: str, selector: str) -> Key:
        """The version that a pointer means; version 0, which no model has, where there is no such pointer."""
        return name, self._versions.get((name, selector), 0)

    def aliases_of(self, key: Key) -> list[str]:
        """All pointers to a version, sorted."""
        return sorted(selector for (name, selector), number in self._versions.items() if (name, number) == key)

    def add(self, name: str, selector: Selector, version: int) -> int:
        """Remember what a selector means, unless that is known already; returns what it means then."""
        return self._versions.setdefault((name, selector if isinstance(selector, str) else LATEST), version)

    def drop(self, name: str, selector: Selector) -> bool:
        """Forget what a selector means; False where there is nothing to forget."""
        return not isinstance(selector, int) and self._versions.pop((name, selector or LATEST), None) is not None

    def move(self, name: str, selector: str, version: int) -> Key | None:
        """Let a pointer mean another version; returns the one that it meant, if nothing means that one any more."""
        before = self.key(name, selector)
        self._versions[name, selector] = version
        return None if self.aliases_of(before) else before

    def drop_missing(self) -> None:
        """Forget the pointers that the store has no more."""
        targets = {name: listing.targets() for name, listing in self.catalog.items()}
        for name, selector in list(self._versions):
            if selector not in targets.get(name, {}):
                del self._versions[name, selector]

    def lists(self, key: Key) -> bool:
        """Whether a version is in the store, or something means it."""
        listing = self.catalog.get(key[0])
        return bool(self.aliases_of(key)) or (listing is not None and key[1] in listing.versions)
