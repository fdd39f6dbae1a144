"""The worked example and the table of limits of docs/bundle_format.md, made from the code.

python -m tests.model_store.format_listing    rewrites both in the document
"""

import hashlib
from pathlib import Path

from model_store import limits
from model_store.bundle import encode_bundle
from tests.model_store.examples import smallest_bundle

DOCUMENT = Path(__file__).parents[2] / "docs" / "bundle_format.md"
# What every run of bytes of the smallest bundle is, in order.
FIELDS = (
    (8, "magic"),
    (2, "version 1"),
    (2, "flags 0"),
    (2, "section 1, identity, 26 bytes"),
    (5, 'architecture: 4 bytes, "tiny"'),
    (1, "parameters 6"),
    (1, "dense_bytes 24"),
    (3, "channels 1, height 1, width 2"),
    (4, "mean 0.5"),
    (4, "deviation 0.25"),
    (1, "2 classes"),
    (3, '"no"'),
    (4, '"yes"'),
    (2, "section 2, graph"),
    (1, "2 nodes"),
    (2, "Flatten, reads the value before"),
    (2, "Gemm, reads the value before"),
    (3, "2 tensors: 0 and 1"),
    (8, 'name: shares 0, 6 more: "linear"'),
    (2, "section 3, tables"),
    (1, "1 table"),
    (3, "3 symbols, lengths 1, 2, 2"),
    (2, "section 4, codebooks"),
    (1, "1 codebook"),
    (1, "2 entries"),
    (4, "-1, 0.5"),
    (2, "section 5, tensors"),
    (1, "lane_log2 8"),
    (1, "2 tensors"),
    (4, "CODES, rank 2, 2 x 2"),
    (1, "codebook 0"),
    (2, "values: table 0, its lane has 6 bits"),
    (3, "FLOAT16, rank 1, 2"),
    (2, "section 6, payload"),
    (1, "symbols 2, 0, 0, 1: 11 0 0 10, two bits of padding"),
    (4, "bias 0, 1"),
    (2, "section 7, provenance"),
    (2, "{}"),
    (32, "SHA-256"),
)


def example_listing() -> str:
    """Offset, bytes and meaning of every field of the smallest bundle."""
    data = encode_bundle(smallest_bundle())
    lines, offset = ["```"], 0
    for size, meaning in FIELDS:
        part = data[offset : offset + size].hex(" ")
        shown = part if size <= 8 else f"{data[offset : offset + 4].hex(' ')} ... ({size} bytes)"
        lines.append(f"{offset:4}  {shown:<27}{meaning}")
        offset += size
    if offset != len(data) or data[-32:] != hashlib.sha256(data[:-32]).digest():
        raise AssertionError(f"the listing covers {offset} of {len(data)} bytes")
    return "\n".join([*lines, "```", "", f"{len(data)} bytes in all."])


def limits_table() -> str:
    """Every limit by name, in the order of the module."""
    values = {name: value for name, value in vars(limits).items() if name.isupper()}
    return "\n".join(["| limit | value |", "|---|---|", *(f"| {name} | {value:,} |" for name, value in values.items())])


def document_with_listings(text: str) -> str:
    """The document with its example and its limits made anew."""
    head, rest = text.split("## 9. Limits\n\n")
    _, rest = rest.split("\n\n## 10. Refusals")
    refusals, example = rest.split("with what the code writes.\n\n")
    del example
    limits_part = f"## 9. Limits\n\n{limits_table()}\n\n## 10. Refusals"
    return f"{head}{limits_part}{refusals}with what the code writes.\n\n{example_listing()}\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document_with_listings(DOCUMENT.read_text()))
