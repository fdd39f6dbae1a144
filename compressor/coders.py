"""What the same weights take by either coder of the format: what Huffman costs, and what arithmetic coding saves."""

from model_store.bundle import Bundle, encode_bundle

BYTES_BY_CODER = "bytes_by_coder"  # of a record


def bytes_by_coder(bundle: Bundle) -> dict[str, int]:
    """coder -> bytes of the whole file, all other choices made by size."""
    return {"huffman": len(encode_bundle(bundle, "huffman")), "arithmetic": len(encode_bundle(bundle, "arithmetic"))}
