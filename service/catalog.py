"""What the store has, as of one look: each model's versions and aliases."""

from collections.abc import Mapping
from dataclasses import dataclass

from model_store.errors import ModelNotFound
from model_store.interface import BundleStore
from model_store.names import LATEST


@dataclass(frozen=True, slots=True)
class Listing:
    """A model's versions, ascending, at least one, and its aliases."""

    versions: tuple[int, ...]
    aliases: Mapping[str, int]

    def targets(self) -> dict[str, int]:
        """The version that "latest" and each alias mean, aliases of versions that are gone left out."""
        known = {alias: version for alias, version in self.aliases.items() if version in self.versions}
        return {LATEST: self.versions[-1], **known}


def read_catalog(store: BundleStore) -> dict[str, Listing]:
    """Every model that has a version, by name.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    catalog: dict[str, Listing] = {}
    for name in store.models():
        try:
            catalog[name] = Listing(tuple(store.versions(name)), store.aliases(name))
        except ModelNotFound:  # removed since it was listed
            continue
    return catalog
