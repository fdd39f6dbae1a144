"""What is in a store and what is wrong with it: every version read and decoded, every foreign entry named."""

from typing import NamedTuple

from model_store.alias_files import alias_of, read_alias
from model_store.bundle import decode_bundle
from model_store.errors import BundleError, StoreError, StoreUnavailable
from model_store.folder import Entry, Folder, is_temporary
from model_store.limits import MAX_BUNDLE_BYTES
from model_store.version_files import is_model, regular_versions, version_of


class Finding(NamedTuple):
    """What `verify` says of one entry.

    Attributes:
        name: the model, for an alias NAME:ALIAS, for a foreign entry its path in the store.
        version: None for an alias and a foreign entry.
        problem: None where all is well.
    """

    name: str
    version: int | None
    problem: str | None


def verify_root(root: Folder) -> list[Finding]:
    """Findings for everything in the store, in the order of names; versions ascending."""
    findings: list[Finding] = []
    for entry in root.entries():
        if is_model(entry):
            found = _verify_model(root, entry.name)
            findings += sorted(found, key=lambda finding: (finding.version or 0, finding.name))
        elif not is_temporary(entry.name):
            findings.append(Finding(entry.name, None, "foreign entry, must be a folder with a model's name"))
    return findings


def _verify_model(root: Folder, name: str) -> list[Finding]:
    try:
        with root.inside(name) as folder:
            entries = [entry for entry in folder.entries() if not is_temporary(entry.name)]
            versions = regular_versions(entries)
            return [_verify_entry(folder, name, entry, versions) for entry in entries]
    except FileNotFoundError:  # removed since it was listed
        return []
    except StoreUnavailable as error:
        return [Finding(name, None, str(error))]


def _verify_entry(folder: Folder, name: str, entry: Entry, versions: list[int]) -> Finding:
    alias = alias_of(entry.name) if entry.is_file else None
    if alias is not None:
        return Finding(f"{name}:{alias}", None, _problem_of_alias(folder, alias, versions))
    version = version_of(entry.name)
    if version is None or not entry.is_file:
        return Finding(f"{name}/{entry.name}", None, "foreign entry, must be a regular file VERSION.csrve")
    try:
        decode_bundle(folder.read(entry.name, MAX_BUNDLE_BYTES))
    except (BundleError, StoreUnavailable) as error:
        return Finding(name, version, str(error))
    except FileNotFoundError:
        return Finding(name, version, "removed while it was verified")
    return Finding(name, version, None)


def _problem_of_alias(folder: Folder, alias: str, versions: list[int]) -> str | None:
    try:
        version = read_alias(folder, alias)
    except StoreError as error:
        return str(error)
    except FileNotFoundError:
        return "removed while it was verified"
    return None if version in versions else f"alias of version {version}, which is not there"
