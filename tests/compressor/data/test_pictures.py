import re
import zipfile
from pathlib import Path

import pytest

from compressor.data.pictures import find_pictures
from compressor.errors import DataError
from tests.compressor.toys import exactly, write_folder, write_zip

FILES = {
    "train/cat/2.png": b"two",
    "train/cat/10.JPG": b"ten",
    "train/ant/1.webp": b"one",
    "test/ant/1.png": b"test",
}
FOUND = [("ant", "1.webp", b"one"), ("cat", "10.JPG", b"ten"), ("cat", "2.png", b"two")]


def found(root: Path, split: str = "train") -> list[tuple[str, str, bytes]]:
    return [(picture.class_name, picture.name, picture.content) for picture in find_pictures(root, split)]


def test_pictures_are_found_in_folders_sorted_by_class_and_name(tmp_path: Path) -> None:
    assert found(write_folder(tmp_path, FILES)) == FOUND
    assert found(tmp_path, "test") == [("ant", "1.png", b"test")]


def test_pictures_are_found_in_a_zip(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "data.zip", FILES)
    assert found(archive) == FOUND
    assert found(archive, "test") == [("ant", "1.png", b"test")]


def test_pictures_are_found_in_a_folder_of_zips_one_zip_after_the_other(tmp_path: Path) -> None:
    write_zip(tmp_path / "b.zip", {"train/ant/1.webp": b"one"})
    write_zip(tmp_path / "a.zip", {"train/cat/2.png": b"two", "test/ant/1.png": b"test"})
    assert found(tmp_path) == [("cat", "2.png", b"two"), ("ant", "1.webp", b"one")]
    assert found(tmp_path, "test") == [("ant", "1.png", b"test")]


def test_a_folder_of_the_split_goes_before_zips(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train/cat/2.png": b"two"})
    write_zip(tmp_path / "a.zip", {"train/ant/1.png": b"zipped"})
    assert found(tmp_path) == [("cat", "2.png", b"two")]


@pytest.mark.parametrize(
    "name", ["train/cat/notes.txt", "train/loose.png", "train/cat/deep/1.png", "more/train/a/1.png"]
)
def test_other_files_are_not_pictures(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path / "folder", {name: b"other", "train/cat/2.png": b"two"})
    write_zip(tmp_path / "data.zip", {name: b"other", "train/cat/2.png": b"two"})
    assert found(tmp_path / "folder") == [("cat", "2.png", b"two")]
    assert found(tmp_path / "data.zip") == [("cat", "2.png", b"two")]


def test_a_folder_named_like_a_picture_is_none(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train/cat/2.png": b"two", "train/cat/3.png/inner": b"three"})
    assert found(tmp_path) == [("cat", "2.png", b"two")]


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(DataError, match=exactly(f"--data {missing}: no such file or folder")):
        found(missing)


@pytest.mark.parametrize("kind", ["empty", "folder", "zip", "zips"])
def test_a_missing_split_is_refused(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "data"
    root.mkdir()
    if kind == "folder":
        write_folder(root, {"train/cat/2.png": b"two", "test/notes.txt": b""})
    elif kind == "zip":
        root = write_zip(root / "data.zip", {"train/cat/2.png": b"two"})
    elif kind == "zips":
        write_zip(root / "data.zip", {"train/cat/2.png": b"two"})
    message = f"--data {root}: no pictures under test or val/<class>/, in folders or zips"
    with pytest.raises(DataError, match=exactly(message)):
        found(root, "test")


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    path.write_bytes(b"no zip at all")
    with pytest.raises(DataError, match=exactly(f"{path}: not a readable zip (File is not a zip file)")):
        found(path)
    with pytest.raises(DataError, match=exactly(f"{path}: not a readable zip (File is not a zip file)")):
        found(tmp_path)


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", FILES)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=exactly(f"{path}: not a readable zip (File is not a zip file)")):
        found(path)


def test_a_zip_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("train/cat/2.png", b"contents")
    path.write_bytes(path.read_bytes().replace(b"contents", b"c0ntents"))
    with pytest.raises(DataError, match=exactly(f"{path}: not a readable zip (Bad CRC-32 for file 'train/cat/2.png')")):
        found(path)


def test_a_zip_with_a_damaged_stream_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", {"train/cat/2.png": bytes(range(200))})
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            found(path)
        except DataError:
            refused += 1
    assert refused > 200


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", {"train/cat/2.png": b"two"})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the encryption flag of the local header,
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and of the central directory
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{path}: not a readable zip (File 'train/cat/2.png' is encrypted")):
        found(path)
