"""Blobs that were fetched, in a folder of this machine: bounded, shared between processes, checked at each use."""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from model_store.bundle import digest_of

CACHE_VARIABLE = "CSRVE_CACHE"
CACHE_BYTES_VARIABLE = "CSRVE_CACHE_BYTES"
DEFAULT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class BlobCache:
    """Files named by the SHA-256 of what they hold; those used longest ago go first.

    Whatever fails here costs a fetch and nothing else: no method raises for a file.

    Attributes:
        root: the folder, made where it is missing; None keeps nothing.
        limit_bytes: most bytes of all files, but for what processes add at the same moment.
    """

    root: Path | None
    limit_bytes: int = DEFAULT_BYTES

    def get(self, sha256: str) -> bytes | None:
        """What has this digest; None where it is not here. A file that holds anything else is removed."""
        if self.root is None:
            return None
        path = self.root / sha256
        try:
            data = path.read_bytes()
            if digest_of(data) == sha256:
                os.utime(path)
                return data
            path.unlink()
        except OSError:
            return None
        return None

    def put(self, sha256: str, data: bytes) -> None:
        """Keep it, whole or not at all, and let others go where there are too many bytes."""
        if self.root is None or len(data) > self.limit_bytes:
            return
        temporary = self.root / f".{sha256}.{os.getpid()}.{secrets.token_hex(8)}.tmp"
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_bytes(data)
            temporary.replace(self.root / sha256)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
        self._shrink()

    def _shrink(self) -> None:
        """Remove the files used longest ago; what a crash left half written counts, and goes in its turn."""
        files = []
        with suppress(OSError):
            for entry in os.scandir(self.root):
                with suppress(OSError):  # another process removed it
                    status = entry.stat(follow_symlinks=False)
                    files.append((status.st_mtime_ns, entry.path, status.st_size))
        excess = sum(size for _, _, size in files) - self.limit_bytes
        for _, path, size in sorted(files):
            if excess <= 0:
                return
            with suppress(OSError):
                os.unlink(path)
            excess -= size


def cache_of(environment: Mapping[str, str]) -> BlobCache:
    """The cache that the environment names: CSRVE_CACHE (empty for none), CSRVE_CACHE_BYTES."""
    limit = environment.get(CACHE_BYTES_VARIABLE, "")
    limit_bytes = int(limit) if limit.isdecimal() else DEFAULT_BYTES
    named = environment.get(CACHE_VARIABLE)
    if named is not None:
        return BlobCache(Path(named) if named else None, limit_bytes)
    home = environment.get("XDG_CACHE_HOME") or (f"{environment['HOME']}/.cache" if environment.get("HOME") else "")
    return BlobCache(Path(home) / "csrve" if home else None, limit_bytes)
