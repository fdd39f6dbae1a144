"""What a store is to whoever uses one: the same calls, whether the bundles are in a folder or behind a URL."""

from dataclasses import dataclass
from typing import Protocol

from model_store.findings import Finding


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """A version's bytes, and where they are in the store."""

    name: str
    version: int
    data: bytes
    sha256: str


class BundleStore(Protocol):
    """Models by name, each with numbered versions that never change, and aliases of versions that can be moved.

    `model_store.store.Store` says of each call what it does and raises; `model_store.remote_store.RemoteStore` does
    the same with a URL. Any thread may call. StoreUnavailable: the store cannot be reached, read or written.
    """

    def models(self) -> list[str]:
        """The names of all models that have a version, sorted."""

    def versions(self, name: str) -> list[int]:
        """A model's versions, ascending, at least one."""

    def latest(self, name: str) -> int:
        """A model's highest version."""

    def read(self, name: str, version: int | None = None) -> StoredBundle:
        """A version's bytes, the latest by default."""

    def digest(self, name: str, version: int) -> str:
        """The SHA-256 of a version's bytes, in hex."""

    def publish(self, name: str, data: bytes, version: int | None = None) -> StoredBundle:
        """Add a version, atomically and durably; None takes the number after the highest."""

    def remove(self, name: str, version: int) -> None:
        """Remove a version. Who has read it keeps it."""

    def aliases(self, name: str) -> dict[str, int]:
        """A model's aliases, sorted, and the version of each, which may have been removed."""

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Make an alias, or move it."""

    def remove_alias(self, name: str, alias: str) -> None:
        """Remove an alias."""

    def resolve(self, name: str, selector: int | str | None) -> int:
        """The version that a selector means now."""

    def stamp(self, name: str, version: int) -> str:
        """Text that is another one where the version was removed and published anew with other bytes."""

    def verify(self) -> list[Finding]:
        """Read and decode every version; list everything in the store, with what is wrong with it."""
