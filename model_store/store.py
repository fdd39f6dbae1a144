"""The store: a folder of models, each a folder of numbered versions, each version one bundle that never changes.

    <root>/<name>/<version>.csrve
    <root>/<name>/<alias>.alias       a version's number, in decimal

Crash safety. `publish` writes a temporary file, fsyncs it, links it to its final name, unlinks the temporary name and
fsyncs the folder, having fsynced the root after making the folder. Up to the link the old state stands: what is new is
named like a temporary file, which nobody lists. From the link on the new state stands, whole, since the bytes were
durable before they had the name. The link is the one moment in between, and the file system makes it atomic; it also
decides between concurrent publishers, because it fails where the name exists. When `publish` returns, the names are
durable too. When it raises, the new version may be there or not (a fault can come after the link); publishing
the same bytes again under the same explicit version is safe, and settles it.

A reader sees a version whole or not at all, and keeps what it read when the version is removed meanwhile. Temporary
files that a crash left are removed by a later `publish` of the same model.

An alias is a name for a version that can be moved to another one: a file of its own, replaced atomically, so that who
reads it finds the old version or the new, and who moves one alias cannot undo what another did to the next.

The folder needs a file system that has hard links, as every local Linux file system and NFS do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_store.alias_files import alias_file_name, read_alias, read_aliases, write_alias
from model_store.bundle import decode_bundle, digest_of
from model_store.errors import ModelNotFound, StoreUnavailable
from model_store.findings import Finding, verify_root
from model_store.folder import Folder
from model_store.interface import StoredBundle
from model_store.limits import MAX_BUNDLE_BYTES
from model_store.names import check_alias, check_model_name
from model_store.version_files import check_number, file_name, has_version, is_model, link_version, regular_versions


class Store:
    """A folder of bundles. Holds no file open between calls; any number of processes may use one folder at once."""

    def __init__(self, root: Path) -> None:
        """Use an existing folder. A link to it is followed here, once.

        Raises:
            StoreUnavailable: there is no such folder, or it cannot be read.
        """
        try:
            self._root = root.resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as error:  # a NUL; a loop of links, before Python 3.13
            reason = getattr(error, "strerror", None) or str(error)
            raise StoreUnavailable(f'store "{root}": {reason}, must be a folder') from error
        if not self._root.is_dir():
            raise StoreUnavailable(f'store "{root}": not a folder, must be one')
        with Folder.opened(self._root):
            pass

    @classmethod
    def create(cls, root: Path) -> "Store":
        """Use a folder, making it where it is missing."""
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f'store "{root}": cannot make it: {error.strerror}') from error
        return cls(root)

    def models(self) -> list[str]:
        """The names of all models that have a version, sorted."""
        with self._opened() as root:
            return [entry.name for entry in root.entries() if is_model(entry) and has_version(root, entry.name)]

    def versions(self, name: str) -> list[int]:
        """A model's versions, ascending.

        Raises:
            InvalidName: no model can have that name.
            ModelNotFound: it has no version.
        """
        with self._model(check_model_name(name)) as folder:
            versions = regular_versions(folder.entries())
        if not versions:
            raise _not_found(name)
        return versions

    def latest(self, name: str) -> int:
        """A model's highest version. Raises as `versions` does."""
        return self.versions(name)[-1]

    def read(self, name: str, version: int | None = None) -> StoredBundle:
        """A version's bytes, the latest by default. They are not decoded, so not known to be sound.

        Raises:
            InvalidName: no model or version can have that name.
            ModelNotFound: there is none.
            BundleTooLarge: the file is longer than any bundle.
            StoreUnavailable: the file cannot be read, or is not a regular file.
        """
        check_model_name(name)
        wanted = [check_number(version)] if version is not None else reversed(self.versions(name))
        with self._model(name) as folder:
            for number in wanted:  # the latest may have been removed since it was listed
                try:
                    return _stored(name, number, folder.read(file_name(number), MAX_BUNDLE_BYTES))
                except FileNotFoundError:
                    continue
        raise _not_found(name, version)

    def digest(self, name: str, version: int) -> str:
        """The SHA-256 of a version's bytes, in hex. Raises as `read` does."""
        return self.read(name, version).sha256

    def publish(self, name: str, data: bytes, version: int | None = None) -> StoredBundle:
        """Add a version, atomically and durably. See the module's text for what a failure leaves.

        Args:
            name: the model, made where it is missing.
            data: a bundle, which is decoded first.
            version: its number; None takes the one after the highest. Publishing the same bytes under the same
                explicit number again does nothing.

        Raises:
            InvalidName: no model or version can have that name.
            BundleError: the bytes are no sound bundle.
            VersionExists: the explicit version is there, with other bytes.
            StoreUnavailable: a file operation failed; the version may be there or not.
        """
        check_model_name(name)
        if version is not None:
            check_number(version)
        decode_bundle(data)
        with self._opened() as root:
            root.ensure(name)
        with self._model(name) as folder:
            folder.sweep()
            with folder.staged(name, data) as temporary:
                number = link_version(folder, temporary, data, version)
            folder.sync()
        return _stored(name, number, data)

    def remove(self, name: str, version: int) -> None:
        """Remove a version. Who has read it keeps it.

        Raises:
            InvalidName: no model or version can have that name.
            ModelNotFound: there is none.
            StoreUnavailable: it cannot be removed.
        """
        check_model_name(name)
        check_number(version)
        with self._model(name) as folder:
            try:
                folder.remove(file_name(version))
            except FileNotFoundError:
                raise _not_found(name, version) from None

    def aliases(self, name: str) -> dict[str, int]:
        """A model's aliases, sorted, and the version of each, which may have been removed. Damaged ones are left out.

        Raises as `versions` does, but for a model that has aliases only.
        """
        with self._model(check_model_name(name)) as folder:
            return read_aliases(folder)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Make an alias, or move it, atomically and durably.

        Raises:
            InvalidName: no model, alias or version can have that name.
            ModelNotFound: the model has no such version.
            StoreUnavailable: a file operation failed; the alias may have moved or not.
        """
        check_alias(alias)
        if check_number(version) not in self.versions(name):
            raise _not_found(name, version)
        with self._model(name) as folder:
            write_alias(folder, alias, version)

    def remove_alias(self, name: str, alias: str) -> None:
        """Remove an alias. Raises as `set_alias` does; ModelNotFound where there is none."""
        with self._model(check_model_name(name)) as folder:
            try:
                folder.remove(alias_file_name(check_alias(alias)))
            except FileNotFoundError:
                raise _no_alias(name, alias) from None

    def resolve(self, name: str, selector: int | str | None) -> int:
        """The version that a selector means now: a number itself, an alias, or None for the latest.

        Raises:
            InvalidName: no model, alias or version can have that name.
            ModelNotFound: the model has no version, or no such alias. A number is not looked for.
        """
        check_model_name(name)
        if selector is None:
            return self.latest(name)
        if isinstance(selector, int):
            return check_number(selector)
        with self._model(name) as folder:
            try:
                return read_alias(folder, check_alias(selector))
            except FileNotFoundError:
                raise _no_alias(name, selector) from None

    def stamp(self, name: str, version: int) -> str:
        """Text that is another one where the version was removed and published anew. Nothing else can be told from it.

        Raises as `read` does.
        """
        check_model_name(name)
        with self._model(name) as folder:
            try:
                return folder.stamp(file_name(check_number(version)))
            except FileNotFoundError:
                raise _not_found(name, version) from None

    def verify(self) -> list[Finding]:
        """Read and decode every version; list everything in the store, with what is wrong with it."""
        with self._opened() as root:
            return verify_root(root)

    @contextmanager
    def _opened(self) -> Iterator[Folder]:
        with Folder.opened(self._root) as root:
            yield root

    @contextmanager
    def _model(self, name: str) -> Iterator[Folder]:
        try:
            with self._opened() as root, root.inside(name) as folder:
                yield folder
        except FileNotFoundError:
            raise _not_found(name) from None


def _stored(name: str, version: int, data: bytes) -> StoredBundle:
    return StoredBundle(name, version, data, digest_of(data))


def _no_alias(name: str, alias: str) -> ModelNotFound:
    return ModelNotFound(f'no alias "{alias}" of model "{name}"')


def _not_found(name: str, version: int | None = None) -> ModelNotFound:
    return ModelNotFound(f'no model "{name}"' if version is None else f'no version {version} of model "{name}"')
