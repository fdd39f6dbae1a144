"""An alias of a version: a file `<alias>.alias` in the model's folder that holds the version's number."""

from model_store.errors import BundleTooLarge, InvalidName, StoreUnavailable
from model_store.folder import Folder
from model_store.names import check_alias, check_version

_SUFFIX = ".alias"
_LIMIT_BYTES = 16


def alias_file_name(alias: str) -> str:
    """What the file of an alias is called."""
    return f"{alias}{_SUFFIX}"


def alias_of(file_name: str) -> str | None:
    """The alias in "<alias>.alias", or None for any other name."""
    stem = file_name.removesuffix(_SUFFIX)
    try:
        return check_alias(stem) if stem != file_name else None
    except InvalidName:
        return None


def read_alias(folder: Folder, alias: str) -> int:
    """The version that an alias stands for, which need not be there.

    Raises:
        FileNotFoundError: there is no such alias.
        StoreUnavailable: its file cannot be read, or holds anything else.
    """
    name = alias_file_name(alias)
    try:
        text = folder.read(name, _LIMIT_BYTES).decode("ascii").removesuffix("\n")
        return check_version(text)
    except (BundleTooLarge, UnicodeDecodeError, InvalidName):
        raise StoreUnavailable(f'"{folder.label}{name}": not an alias, must be a version\'s number') from None


def read_aliases(folder: Folder) -> dict[str, int]:
    """All aliases of a model that can be read, sorted."""
    found: dict[str, int] = {}
    for entry in folder.entries():
        alias = alias_of(entry.name) if entry.is_file else None
        if alias is not None:
            try:
                found[alias] = read_alias(folder, alias)
            except (FileNotFoundError, StoreUnavailable):  # removed since, or damaged: `verify` tells
                continue
    return found


def write_alias(folder: Folder, alias: str, version: int) -> None:
    """Make an alias or move it: whoever reads finds the old version or the new one."""
    name = alias_file_name(alias)
    with folder.staged(name, f"{version}\n".encode(), 0o644) as temporary:
        folder.replace(temporary, name)
        folder.sync()
