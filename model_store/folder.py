"""One open directory: regular files are read whole, and written so that a crash leaves the old state or the new.

Every path is one name below an open directory (dir_fd), and no symbolic link is followed, so nothing that somebody
puts into the folder (a link, a FIFO, a device) leads a reader elsewhere or makes it wait.

A new file is written under a temporary name, made durable (fsync), and then given its final name by link(2), which
fails where that name exists: of several writers exactly one wins, and no reader can see a part of a file.
"""

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from model_store.errors import BundleTooLarge, StoreUnavailable

STALE_AFTER_S = 3600.0

_TEMPORARY = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{16}\.tmp")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def is_temporary(name: str) -> bool:
    """Whether a file of that name is a write in progress, or one that a crash left behind."""
    return _TEMPORARY.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder, and what it names. Links are neither."""

    name: str
    is_file: bool
    is_folder: bool


@dataclass(frozen=True, slots=True)
class Folder:
    """An open directory.

    Attributes:
        descriptor: the directory's file descriptor, open until `opened` or `inside` ends.
        label: its path as messages show it, ending in "/" or empty.
    """

    descriptor: int
    label: str = ""

    @classmethod
    @contextmanager
    def opened(cls, path: Path, label: str = "") -> Iterator["Folder"]:
        """Open a directory by its path; the last part may not be a link.

        Raises:
            StoreUnavailable: it cannot be opened.
        """
        with _doing("open", label or str(path)):
            descriptor = os.open(path, _READ | os.O_DIRECTORY)
        with _closing(descriptor):
            yield cls(descriptor, label)

    @contextmanager
    def inside(self, name: str) -> Iterator["Folder"]:
        """Open the folder `name` in this one.

        Raises:
            FileNotFoundError: there is none.
            StoreUnavailable: it cannot be opened, or is a link or a file.
        """
        with _doing("open", self._path(name), FileNotFoundError):
            descriptor = os.open(name, _READ | os.O_DIRECTORY, dir_fd=self.descriptor)
        with _closing(descriptor):
            yield Folder(descriptor, f"{self.label}{name}/")

    def entries(self) -> list[Entry]:
        """What is in the folder, sorted by name."""
        with _doing("list", self.label or "."), os.scandir(self.descriptor) as found:
            entries = [
                Entry(each.name, each.is_file(follow_symlinks=False), each.is_dir(follow_symlinks=False))
                for each in found
            ]
        return sorted(entries, key=lambda entry: entry.name)

    def read(self, name: str, limit_bytes: int) -> bytes:
        """A regular file's bytes.

        Raises:
            FileNotFoundError: there is no such file.
            BundleTooLarge: it is longer than `limit_bytes`.
            StoreUnavailable: it cannot be read, is not a regular file, or changed its size meanwhile.
        """
        path = self._path(name)
        with (
            _doing("read", path, FileNotFoundError),
            _closing(os.open(name, _READ, dir_fd=self.descriptor)) as file,
        ):
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise StoreUnavailable(f'cannot read "{path}": not a regular file')
            if status.st_size > limit_bytes:
                raise BundleTooLarge(f'"{path}": {status.st_size} bytes, must be at most {limit_bytes}')
            data = _read_exactly(file, status.st_size)
        if data is None:
            raise StoreUnavailable(f'cannot read "{path}": its size changed meanwhile')
        return data

    def stamp(self, name: str) -> str:
        """What tells a file from the one that had its name before: inode, size and time of change. Only to compare.

        Raises:
            FileNotFoundError: there is no such file.
            StoreUnavailable: it cannot be looked at.
        """
        with _doing("look at", self._path(name), FileNotFoundError):
            status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        return f"{status.st_ino}-{status.st_size}-{status.st_ctime_ns}"

    def ensure(self, name: str) -> None:
        """Make the folder `name` in this one, if it is missing, so that it survives a crash."""
        path = self._path(name)
        with _doing("make", path):
            try:
                os.mkdir(name, dir_fd=self.descriptor)
            except FileExistsError:
                pass
            else:  # whatever the umask: a folder that its owner cannot use is no use
                mode = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode
                if mode & stat.S_IRWXU != stat.S_IRWXU:
                    os.chmod(name, stat.S_IMODE(mode) | stat.S_IRWXU, dir_fd=self.descriptor)
        self.sync()  # also where it existed: the crash may have come before whoever made it got here

    @contextmanager
    def staged(self, name: str, data: bytes, mode: int = 0o444) -> Iterator[str]:
        """Write `data` durably under a temporary name, which is gone when the context ends.

        The umask takes permissions from `mode`, but never the owner's to read.
        """
        temporary = f".{name}.{os.getpid()}.{secrets.token_hex(8)}.tmp"
        path = self._path(temporary)
        with _doing("create", path):
            file = os.open(temporary, _CREATE, mode, dir_fd=self.descriptor)
        try:
            with _doing("write", path):
                _write_durably(file, data)
            yield temporary
        finally:
            # A temporary file that stays is invisible and swept later: no reason to report a failure.
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self.descriptor)

    def link(self, temporary: str, name: str) -> None:
        """Give a staged file its final name.

        Raises:
            FileExistsError: the name is taken.
            StoreUnavailable: it cannot be linked.
        """
        with _doing("link", self._path(name), FileExistsError):
            os.link(temporary, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor, follow_symlinks=False)

    def replace(self, temporary: str, name: str) -> None:
        """Give a staged file its final name, in place of the regular file that may have it."""
        path = self._path(name)
        with _doing("replace", path):
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    raise StoreUnavailable(f'cannot replace "{path}": not a regular file')
            os.replace(temporary, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, durably. Raises FileNotFoundError where there is none."""
        with _doing("remove", self._path(name), FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)
        self.sync()

    def sync(self) -> None:
        """Make the folder's names durable."""
        with _doing("sync", self.label or "."):
            os.fsync(self.descriptor)

    def sweep(self) -> None:
        """Remove the temporary files of writers that died, known by their age; a younger one may still be written.

        An age may be negative where the clock was set back. A live writer whose file is swept fails at its link and
        leaves the old state. What cannot be removed stays: the next sweep tries again.
        """
        for entry in self.entries():
            if is_temporary(entry.name):
                with suppress(OSError):
                    status = os.stat(entry.name, dir_fd=self.descriptor, follow_symlinks=False)
                    if abs(time.time() - status.st_mtime) > STALE_AFTER_S:
                        os.unlink(entry.name, dir_fd=self.descriptor)

    def _path(self, name: str) -> str:
        return f"{self.label}{name}"


@contextmanager
def _doing(operation: str, path: str, *passed: type[OSError]) -> Iterator[None]:
    """Turn an OSError into StoreUnavailable that names the operation and the path; those in `passed` go through."""
    try:
        yield
    except OSError as error:
        if isinstance(error, passed):
            raise
        reason = error.strerror or type(error).__name__
        if error.errno == errno.ELOOP:
            reason = "a symbolic link, must be a regular file"
        raise StoreUnavailable(f'cannot {operation} "{path}": {reason}') from error


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    """For descriptors that were only read from: closing frees them even where it reports an error."""
    try:
        yield descriptor
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _read_exactly(file: int, size_bytes: int) -> bytes | None:
    """The whole file, or None where it does not end at `size_bytes`."""
    data = bytearray()
    while len(data) <= size_bytes:
        piece = os.read(file, min(size_bytes + 1 - len(data), 1 << 20))
        if not piece:
            break
        data += piece
    return bytes(data) if len(data) == size_bytes else None


def _write_durably(file: int, data: bytes) -> None:
    """Write all of `data`, make it durable, and close the file whatever happens."""
    try:
        os.fchmod(file, stat.S_IMODE(os.fstat(file).st_mode) | stat.S_IRUSR)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)
