"""What records of earlier versions lack, out of the very bundles that they are of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compressor.coders import BYTES_BY_CODER, bytes_by_coder
from compressor.errors import CompressorError
from compressor.training.files import write_text
from model_store.bundle import Bundle, decode_bundle
from model_store.interface import BundleStore

OPERATIONS = "multiply_adds"


def complete_records(folder: Path, store: BundleStore) -> list[Path]:
    """Add what they lack to the records whose bundle the store has; which those are.

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
            place = None if {BYTES_BY_CODER, OPERATIONS} <= record.keys() else digests.get(record["sha256"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CompressorError(f"{path}: not a record of a compression ({error!r})") from error
        if place is not None:
            record = _lacking(decode_bundle(store.read(*place).data), record) | record
            write_text(path, json.dumps(record, indent=2, sort_keys=True) + "\n")
            completed.append(path)
    return completed


def _lacking(bundle: Bundle, record: Mapping[str, Any]) -> dict[str, Any]:
    structure = bundle.multiply_adds(dense=True)
    found: dict[str, Any] = {OPERATIONS: bundle.multiply_adds(), "multiply_adds_of_structure": structure}
    if BYTES_BY_CODER not in record:
        found[BYTES_BY_CODER] = bytes_by_coder(bundle)
    if not record["recipe"].get("factorize") and not record["recipe"].get("remove"):  # the structure is the dense one's
        found |= {"dense_multiply_adds": structure, "parameters_left": bundle.parameters}
    return found
