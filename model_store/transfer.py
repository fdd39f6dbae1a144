"""Copy versions and aliases from one store to another, under the same numbers. Done twice, it changes nothing."""

from collections.abc import Iterator, Sequence

from model_store.errors import DigestMismatch, ModelNotFound, VersionExists
from model_store.interface import BundleStore


def copy_models(source: BundleStore, target: BundleStore, names: Sequence[str] = ()) -> Iterator[str]:
    """Copy models, all of them by default; yield a line for each version and alias that was not there.

    Versions come first, the aliases of a model after all of its versions. Where it fails, what was copied stays, and
    the next run goes on from there.

    Raises:
        ModelNotFound: the source has no model of that name.
        VersionExists: the target has a version with other bytes.
        StoreError: a version is damaged, or a store cannot be used.
    """
    for name in names or source.models():
        aliases = source.aliases(name)  # before the versions: each of theirs is copied, if it is there
        present = _versions(target, name)
        for version in source.versions(name):
            if version in present:
                if source.digest(name, version) != target.digest(name, version):
                    raise VersionExists(f"{name}:{version}: the target has it with other bytes, must be the same")
                continue
            _copy_version(source, target, name, version)
            yield f"{name}:{version}: copied"
        yield from _copy_aliases(target, name, aliases)


def _copy_version(source: BundleStore, target: BundleStore, name: str, version: int) -> None:
    stored = source.read(name, version)
    if target.publish(name, stored.data, version).sha256 != stored.sha256:
        raise DigestMismatch(f"{name}:{version}: arrived with another SHA-256, must be the same")


def _copy_aliases(target: BundleStore, name: str, aliases: dict[str, int]) -> Iterator[str]:
    versions, there = _versions(target, name), target.aliases(name) if aliases else {}
    for alias, version in aliases.items():
        if version in versions and there.get(alias) != version:
            target.set_alias(name, alias, version)
            yield f"{name}:{alias}: version {version}"


def _versions(store: BundleStore, name: str) -> list[int]:
    try:
        return store.versions(name)
    except ModelNotFound:
        return []
