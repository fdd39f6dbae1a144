"""The store behind a URL: immutable blobs named by their digest, and a small manifest for each version, written last.

    blobs/<sha256>                              a bundle's bytes
    models/<name>/versions/<version>            the manifest: digest and size
    models/<name>/aliases/<alias>/<move>        a version's number; the highest move is what the alias means

Manifests and moves are created where they are absent, which the endpoint decides: of several writers one wins. So a
version never changes, and an alias is moved by compare-and-swap: whoever looked at move 3 makes move 4, or is told
that somebody else did. Until its manifest is there nobody lists a version.
"""

from model_store.bundle import decode_bundle, digest_of
from model_store.cache import BlobCache
from model_store.errors import BundleError, DigestMismatch, ModelNotFound, StoreError, StoreUnavailable, VersionExists
from model_store.findings import Finding
from model_store.interface import StoredBundle
from model_store.manifests import (
    MAX_MANIFEST_BYTES,
    MAX_MOVES,
    MODELS,
    REMOVED,
    Manifest,
    move_key,
    move_of_key,
    read_manifest,
    read_move,
    version_key,
    version_of_key,
)
from model_store.names import check_alias, check_model_name, check_version
from model_store.objects import Objects


class RemoteStore:
    """Bundles behind a URL. See `model_store.interface.BundleStore` and, for what each call raises, `Store`."""

    def __init__(self, objects: Objects, cache: BlobCache) -> None:
        """Nothing is connected to yet."""
        self.objects = objects
        self._cache = cache

    def models(self) -> list[str]:
        """The names of all models that have a version, sorted."""
        return sorted({name for name, _ in self._listed(MODELS)})

    def versions(self, name: str) -> list[int]:
        """A model's versions, ascending."""
        found = [version for _, version in self._listed(f"{MODELS}/{check_model_name(name)}/versions")]
        if not found:
            raise ModelNotFound(f'no model "{name}"')
        return sorted(found)

    def latest(self, name: str) -> int:
        """A model's highest version."""
        return self.versions(name)[-1]

    def read(self, name: str, version: int | None = None) -> StoredBundle:
        """A version's bytes, the latest by default, from the cache or fetched. Their digest is checked.

        Raises:
            DigestMismatch: what came is not what was published.
        """
        number = self.latest(name) if version is None else version
        manifest = self.manifest(name, number)
        data = self._cache.get(manifest.sha256)
        if data is None:
            data = self._fetched(name, number, manifest)
            self._cache.put(manifest.sha256, data)
        return StoredBundle(name, number, data, manifest.sha256)

    def digest(self, name: str, version: int) -> str:
        """The SHA-256 of a version's bytes, in hex."""
        return self.manifest(name, version).sha256

    def publish(self, name: str, data: bytes, version: int | None = None) -> StoredBundle:
        """Add a version: its blob, then its manifest. A failure in between leaves a blob that nobody lists.

        The blob is written where it is there too: that makes it young, so that no `gc` takes it, and sound.
        """
        number = version if version is not None else self._next(name)
        version_key(name, number)  # refuses names before anything is written
        decode_bundle(data)
        manifest = Manifest(digest_of(data), len(data))
        self.objects.put(manifest.blob, data)
        while True:
            try:
                self.objects.create(version_key(name, number), manifest.encoded())
            except FileExistsError:
                if version is None:  # somebody else took the number since it was looked up
                    number += 1
                    continue
                if self.manifest(name, number) != manifest:
                    raise VersionExists(f"{name}/{number}: published already, with other bytes") from None
            break
        if not self.objects.exists(manifest.blob):  # a `gc` saw it before the manifest was there
            self.objects.put(manifest.blob, data)
        return StoredBundle(name, number, data, manifest.sha256)

    def remove(self, name: str, version: int) -> None:
        """Remove a version. Its blob stays until `gc`."""
        self.manifest(name, version)
        self.objects.remove(version_key(name, version))

    def aliases(self, name: str) -> dict[str, int]:
        """A model's aliases, sorted, and the version of each. Damaged ones are left out."""
        found: dict[str, int] = {}
        moves = self._moves(check_model_name(name))
        if not moves:
            self.versions(name)
        for alias, move in sorted(moves.items()):
            try:
                version = self._version_at(name, alias, move)
            except (StoreUnavailable, FileNotFoundError):  # `verify` tells
                continue
            if version != REMOVED:
                found[alias] = version
        return found

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Make an alias, or move it.

        Raises:
            StoreUnavailable: also where somebody else moved it in the same moment; look again, then move.
        """
        check_alias(alias)
        self.manifest(name, version)
        self._move(name, alias, self._moves(name).get(alias, 0), version)

    def remove_alias(self, name: str, alias: str) -> None:
        """Remove an alias. Raises as `set_alias` does; ModelNotFound where there is none."""
        self.resolve(name, check_alias(alias))
        self._move(name, alias, self._moves(name).get(alias, 0), REMOVED)

    def resolve(self, name: str, selector: int | str | None) -> int:
        """The version that a selector means now."""
        check_model_name(name)
        if selector is None:
            return self.latest(name)
        if isinstance(selector, int):
            return check_version(str(selector))
        move = self._moves(name).get(check_alias(selector), 0)
        version = self._version_at(name, selector, move) if move else REMOVED
        if version == REMOVED:
            self.versions(name)
            raise ModelNotFound(f'no alias "{selector}" of model "{name}"')
        return version

    def stamp(self, name: str, version: int) -> str:
        """The version's digest: the same bytes published anew are the same version."""
        return self.digest(name, version)

    def verify(self) -> list[Finding]:
        """Fetch and decode every version, past the cache, and read every alias; name what does not belong here."""
        findings = []
        for item in self.objects.list(MODELS):
            place = version_of_key(item.key)
            if place is not None:
                findings.append(Finding(*place, self._problem(*place)))
            elif move_of_key(item.key) is None:
                findings.append(Finding(item.key, None, "foreign entry, must be a version or an alias"))
        for name in self.models():
            versions = self.versions(name)
            for alias, move in sorted(self._moves(name).items()):
                problem = self._problem_of_alias(name, alias, move, versions)
                findings.append(Finding(f"{name}:{alias}", None, problem))
        return sorted(findings, key=lambda finding: (finding.name, finding.version or 0))

    def manifest(self, name: str, version: int) -> Manifest:
        """What a version is. Raises ModelNotFound where there is none, StoreUnavailable where it is damaged."""
        key = version_key(name, version)
        try:
            return read_manifest(self.objects.get(key, MAX_MANIFEST_BYTES))
        except FileNotFoundError:
            raise ModelNotFound(f'no version {version} of model "{name}"') from None

    def _fetched(self, name: str, version: int, manifest: Manifest) -> bytes:
        try:
            data = self.objects.get(manifest.blob, manifest.size_bytes)
        except FileNotFoundError:
            raise StoreUnavailable(f'"{self.objects.label}/{manifest.blob}": not there, must be') from None
        if digest_of(data) != manifest.sha256:
            raise DigestMismatch(f"{name}:{version}: {len(data)} bytes came, their SHA-256 is not the manifest's")
        return data

    def _next(self, name: str) -> int:
        try:
            return self.latest(name) + 1
        except ModelNotFound:
            return 1

    def _listed(self, prefix: str) -> list[tuple[str, int]]:
        found = (version_of_key(item.key) for item in self.objects.list(prefix))
        return [place for place in found if place is not None]

    def _moves(self, name: str) -> dict[str, int]:
        """The last move of each alias; 1 is the first. Keys are sorted, so that the last of an alias comes last."""
        found = (move_of_key(item.key) for item in self.objects.list(f"{MODELS}/{name}/aliases"))
        return {place[1]: place[2] for place in found if place is not None}

    def _version_at(self, name: str, alias: str, move: int) -> int:
        return read_move(self.objects.get(move_key(name, alias, move), MAX_MANIFEST_BYTES))

    def _move(self, name: str, alias: str, seen: int, version: int) -> None:
        if seen >= MAX_MOVES:
            raise StoreUnavailable(f"{name}:{alias}: moved {seen} times, must be fewer")
        try:
            self.objects.create(move_key(name, alias, seen + 1), str(version).encode())
        except FileExistsError:
            raise StoreUnavailable(f"{name}:{alias}: moved by somebody else meanwhile, look again") from None

    def _problem(self, name: str, version: int) -> str | None:
        try:
            decode_bundle(self._fetched(name, version, self.manifest(name, version)))
        except (BundleError, StoreUnavailable) as error:
            return str(error)
        except ModelNotFound:
            return "removed while it was verified"
        return None

    def _problem_of_alias(self, name: str, alias: str, move: int, versions: list[int]) -> str | None:
        try:
            version = self._version_at(name, alias, move)
        except (StoreError, FileNotFoundError) as error:
            return str(error)
        return None if version in {REMOVED, *versions} else f"alias of version {version}, which is not there"
