"""Section 4: the codebooks, float16 centroids in rising order."""

from collections.abc import Sequence

import numpy as np

from model_store.limits import MAX_CODEBOOK_ENTRIES, MAX_TENSORS
from model_store.tensors import check_codebook
from model_store.wire import Reader, Writer


def write_codebooks(codebooks: Sequence[np.ndarray]) -> list[bytes]:
    """The count, then one part a codebook."""
    parts = [Writer().varint(len(codebooks)).done()]
    for codebook in codebooks:
        parts.append(Writer().varint(len(codebook)).raw(codebook.astype("<f2").tobytes()).done())
    return parts


def read_codebooks(reader: Reader) -> tuple[np.ndarray, ...]:
    codebooks = []
    for number in range(reader.varint("number of codebooks", 0, MAX_TENSORS)):
        entries = reader.varint(f"entries of codebook {number}", 1, MAX_CODEBOOK_ENTRIES)
        raw = reader.take(2 * entries, f"codebook {number}")
        codebook = np.frombuffer(raw, dtype="<f2").astype(np.float16)
        check_codebook(codebook, f"{reader.place}: codebook {number}")
        codebooks.append(codebook)
    reader.finish()
    return tuple(codebooks)
