"""How the store's folder is laid out: which entries are models and versions, and what a version's file is called."""

from model_store.errors import InvalidName
from model_store.folder import Entry, Folder
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
