"""Find the labelled picture files of a data set: `<split>/<class>/<picture>` in a folder or straight from zips."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from compressor.errors import DataError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
FOLDERS = {"train": ("train",), "test": ("test", "val")}  # of each split, the first that has pictures
# What zipfile raises on damaged or foreign archives; RuntimeError says "encrypted", ValueError that a name is no text.
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, OSError)


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One encoded picture, its class and its name within the class."""

    class_name: str
    name: str
    content: bytes


def find_pictures(root: Path, split: str) -> Iterator[PictureFile]:
    """Yield the pictures of `split` below `root`, which is a folder, a zip, or a folder of zips.

    Where there are no test pictures, those of `val` are: ImageNet's layout, whose test pictures have no labels.

    Raises:
        DataError: `root` does not exist, a zip is damaged, or no picture of the split is there.
    """
    if not root.exists():
        raise DataError(f"--data {root}: no such file or folder")
    for name in FOLDERS[split]:
        pictures = _sources(root, name)
        first = next(pictures, None)
        if first is not None:
            yield first
            yield from pictures
            return
    raise DataError(f"--data {root}: no pictures under {' or '.join(FOLDERS[split])}/<class>/, in folders or zips")


def _sources(root: Path, split: str) -> Iterator[PictureFile]:
    if root.is_file():
        yield from _from_zip(root, split)
        return
    if (root / split).is_dir():
        yield from _from_folder(root / split)
        return
    for archive in sorted(root.glob("*.zip")):
        yield from _from_zip(archive, split)


def _from_folder(folder: Path) -> Iterator[PictureFile]:
    for path in sorted(folder.glob("*/*")):
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file():
            yield PictureFile(path.parent.name, path.name, path.read_bytes())


def _from_zip(archive: Path, split: str) -> Iterator[PictureFile]:
    try:
        with zipfile.ZipFile(archive) as pictures:
            for name in sorted(pictures.namelist()):
                path = PurePosixPath(name)
                if path.parts[:-2] == (split,) and path.suffix.lower() in PICTURE_SUFFIXES:
                    yield PictureFile(path.parts[-2], path.name, pictures.read(name))
    except DAMAGED_ZIP as error:
        raise DataError(f"{archive}: not a readable zip ({error})") from error
