"""What the same weights take by either coder of the format: what Huffman costs, and what arithmetic coding saves."""

import json
from pathlib import Path

from compressor.errors import CompressorError
from compressor.training.files import write_text
from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.interface import BundleStore

BYTES_BY_CODER = "bytes_by_coder"  # of a record


def bytes_by_coder(bundle: Bundle) -> dict[str, int]:
    """coder -> bytes of the whole file, all other choices made by size."""
    return {"huffman": len(encode_bundle(bundle, "huffman")), "arithmetic": len(encode_bundle(bundle, "arithmetic"))}


def complete_records(folder: Path, store: BundleStore) -> list[Path]:
    """Add `bytes_by_coder` to the records that lack it and whose very bundle the store has; which those are.

    Raises:
        CompressorError: a record cannot be read. StoreError, BundleError: what the store has cannot.
    """
    digests = {
        store.digest(name, version): (name, version) for name in store.models() for version in store.versions(name)
    }
    completed = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text())
            place = None if BYTES_BY_CODER in record else digests.get(record["sha256"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CompressorError(f"{path}: not a record of a compression ({error!r})") from error
        if place is not None:
            record[BYTES_BY_CODER] = bytes_by_coder(decode_bundle(store.read(*place).data))
            write_text(path, json.dumps(record, indent=2, sort_keys=True) + "\n")
            completed.append(path)
    return completed
