"""How the store's folder is laid out: which entries are models and versions, what a version's file is called, and
how one comes to be there."""

from model_store.errors import InvalidName, VersionExists
from model_store.folder import Entry, Folder
from model_store.limits import MAX_BUNDLE_BYTES
from model_store.names import check_model_name, check_version

_SUFFIX = ".csrve"


def is_model(entry: Entry) -> bool:
    """Whether an entry of the root is a model's folder."""
    try:
        return entry.is_folder and bool(check_model_name(entry.name))
    except InvalidName:
        return False


def regular_versions(entries: list[Entry]) -> list[int]:
    """The versions that are regular files, ascending."""
    numbers = (version_of(entry.name) for entry in entries if entry.is_file)
    return sorted(number for number in numbers if number is not None)


def version_of(file_name: str) -> int | None:
    """The number in "<version>.csrve", or None for any other name."""
    stem = file_name.removesuffix(_SUFFIX)
    try:
        return check_version(stem) if stem != file_name else None
    except InvalidName:
        return None


def file_name(version: int) -> str:
    """What the file of a version is called."""
    return f"{version}{_SUFFIX}"


def check_number(version: int) -> int:
    """Return the version, or raise InvalidName where it is no number that a version can have."""
    return check_version(str(version))


def next_number(folder: Folder) -> int:
    """One after the highest number in use, by whatever kind of entry."""
    numbers = [version_of(entry.name) or 0 for entry in folder.entries()]
    return check_number(max(numbers, default=0) + 1)


def has_version(root: Folder, name: str) -> bool:
    """Whether a model's folder in the root has any."""
    try:
        with root.inside(name) as folder:
            return bool(regular_versions(folder.entries()))
    except FileNotFoundError:  # removed since it was listed
        return False


def link_version(folder: Folder, temporary: str, data: bytes, version: int | None) -> int:
    """Link a staged bundle to its version, or to the next free one; return the number.

    Each further turn of the loop means that somebody else published or removed a version meanwhile.

    Raises:
        VersionExists: the version is there, with other bytes.
    """
    number = version if version is not None else next_number(folder)
    while True:
        try:
            folder.link(temporary, file_name(number))
        except FileExistsError:
            if version is None:  # somebody else took the number since it was looked up
                number = check_number(number + 1)
                continue
            try:
                published = folder.read(file_name(number), MAX_BUNDLE_BYTES)
            except FileNotFoundError:  # removed since: the number is free again
                continue
            if published != data:
                raise VersionExists(f"{folder.label}{number}: published already, with other bytes") from None
        return number
