"""The golden files: small bundles with what they hold, and bytes with the message that refuses them.

python -m tests.model_store.golden    writes them anew (a change of the format, which a version must announce)
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.contexts import ContextModel
from model_store.encoder import CodingChoice
from model_store.errors import BundleError
from model_store.tensors import SharedTensor
from tests.model_store.examples import residual_bundle, smallest_bundle, with_8_bit_vectors, with_vectors
from tests.model_store.mutation import PREFIX, join, seal, split, varint
from tests.model_store.sample_bundles import every_operator_bundle

FOLDER = Path(__file__).parents[1] / "golden"
PROVENANCE: dict[str, object] = {"accuracy": 0.9125, "seed": 7, "stages": {"pruned": 0.91}, "version": "é"}


CODERS: dict[str, CodingChoice] = {"contexts": "arithmetic"}  # of the golden files that are not in Huffman codes


def golden_bundles() -> dict[str, Bundle]:
    """What the golden files were made of."""
    return {
        "smallest": smallest_bundle(),
        "residual": residual_bundle(7, 0.05, PROVENANCE),
        "every_operator": every_operator_bundle(),
        "contexts": with_8_bit_vectors(residual_bundle(8, 0.3, PROVENANCE)),
        "vectors": with_vectors(residual_bundle(9, 0.3, PROVENANCE)),
    }


def array_digest(array: np.ndarray) -> str:
    """SHA-256 of an array's float32 values, little-endian and row-major."""
    return hashlib.sha256(np.ascontiguousarray(array, "<f4").tobytes()).hexdigest()


def content_of(data: bytes) -> dict[str, Any]:
    """What a file must decode to."""
    bundle = decode_bundle(data)
    names = bundle.graph.tensor_names()
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "architecture": bundle.architecture,
        "classes": list(bundle.class_names),
        "input_shape": list(bundle.preprocessing.input_shape),
        "operators": [node.operator for node in bundle.graph.nodes],
        "provenance": bundle.provenance,
        "tensors": {
            names[index]: {
                "shape": list(tensor.shape),
                "nonzeros": tensor.nonzeros,
                "sha256": array_digest(tensor.to_dense()),
            }
            for index, tensor in enumerate(bundle.tensors)
        },
    }


def refused_files() -> dict[str, bytes]:
    """Files with one fault each, made of the smallest bundle."""
    data = encode_bundle(smallest_bundle())
    identity, graph, tables, codebooks, tensors, payload, provenance = split(data)

    def changed(**sections: bytes) -> bytes:
        kept = {
            "identity": identity,
            "graph": graph,
            "tables": tables,
            "codebooks": codebooks,
            "tensors": tensors,
            "payload": payload,
            "provenance": provenance,
        }
        return join([*{**kept, **sections}.values()])

    return {
        "empty": b"",
        "cut in the middle": data[:64],
        "cut within the prefix": data[:10],
        "one bit flipped": data[:40] + bytes([data[40] ^ 1]) + data[41:],
        "a byte after the digest": data + b"\0",
        "version 2": seal(PREFIX[:8] + b"\x02\x00\x00\x00" + data[12:-32]),
        "a flag": seal(PREFIX[:8] + b"\x01\x00\x01\x00" + data[12:-32]),
        "a section twice": seal(PREFIX + data[12:-32] + b"\x07\x02{}"),
        "an eighth section": seal(PREFIX + data[12:-32] + b"\x08\x00"),
        "a section's length in two bytes": seal(PREFIX + b"\x01\x9a\x00" + identity + data[40:-32]),
        "a control character in a class": changed(identity=identity.replace(b"no", b"n\n")),
        "two classes of one name": changed(identity=identity[:-4] + b"\x02no"),
        "a side of 1025": changed(identity=identity.replace(b"\x01\x01\x02", b"\x01\x01" + varint(1025))),
        "an operator to come": changed(graph=b"\x02\x10\x00" + graph[3:]),
        "a cycle": changed(graph=b"\x02\x0c\x01" + graph[3:]),
        "a name that leaves the folder": changed(graph=graph[:-7] + b"\x06../../"),
        "a weight of another size": changed(tensors=tensors.replace(b"\x02\x02\x02\x00", b"\x02\x01\x04\x00")),
        "over-subscribed lengths": changed(tables=b"\x01\x03\x11\x01"),
        "incomplete lengths": changed(tables=b"\x01\x03\x22\x03"),
        "an infinite centroid": changed(codebooks=b"\x01\x02\x00\xbc\x00\x7c"),
        "centroids that fall": changed(codebooks=b"\x01\x02\x00\x38\x00\xbc"),
        "a layout to come": changed(tensors=tensors[:2] + b"\x07" + tensors[3:]),
        "2^96 elements": changed(tensors=tensors[:2] + b"\x00\x04" + varint(1 << 24) * 4),
        "a count without bytes": changed(tensors=tensors[:2] + b"\x01\x02" + varint(1 << 10) * 2 + b"\x00\x00"),
        "a bit too few": changed(tensors=tensors.replace(b"\x00\x00\x06", b"\x00\x00\x05")),
        "a bit of padding": changed(payload=b"\xc9" + payload[1:]),
        "a symbol past the codebook": changed(codebooks=b"\x01\x01\x00\xbc"),
        "a bias that is not a number": changed(payload=payload[:3] + b"\x00\x7e"),
        "a byte of payload too many": changed(payload=payload + b"\0"),
        "a space in the provenance": changed(provenance=b"{ }"),
        "a key twice": changed(provenance=b'{"a":1,"a":1}'),
        **refused_contexts(changed),
        **refused_8_bits(changed, tensors, payload),
        **refused_vectors(changed),
    }


def linear_weight(codebook: list[float], codes: tuple[int, int] = (1, 0)) -> SharedTensor:
    """The smallest bundle's weight, with another codebook."""
    return SharedTensor((2, 2), np.array([0, 3], np.int32), np.array(codes, np.uint16), np.array(codebook, np.float16))


def refused_contexts(changed: Callable[..., bytes]) -> dict[str, bytes]:
    """Faults of layout CONTEXTS, in the smallest bundle's weight [[0.5, 0], [0, -1]]."""
    mask, values = ContextModel().encode(linear_weight([-1, 0.5]))
    four, three = linear_weight([-1, 0.25, 0.5, 1], (3, 0)), b"\x01\x03\x00\xbc\x00\x38\x00\x3c"
    bias = b"\x00\x00\x00\x3c"

    def weight(mask: bytes, values: bytes, **sections: bytes) -> bytes:
        fields = b"\x08\x02\x05\x02\x02\x02\x00" + varint(len(mask)) + varint(len(values)) + b"\x00\x01\x02"
        return changed(**{"tables": b"\x00", "tensors": fields, "payload": mask + values + bias, **sections})

    large = b"\x08\x02\x05\x02" + varint(2) + varint(1 << 12) + b"\x00\x03\x00\x00\x01\x02"
    wide = b"\x08\x02\x05\x03\x01\x01" + varint(1025) + b"\x00\x03\x00\x00\x01\x02"
    return {
        "a mask of two bytes": weight(mask[:2], values),
        "a mask whose state is too low": weight(b"\x00" + mask[1:], values),
        "a mask that ends in another state": weight(mask[:-1] + bytes([mask[-1] ^ 1]), values),
        "a mask with a byte too many": weight(mask + b"\x00", values),
        "no values for a mask": weight(mask, b""),
        "values for a codebook of one": weight(mask, values, codebooks=b"\x01\x01\x00\xbc"),
        "no bits in three bytes": weight(mask, b"\x01\x00\x00", codebooks=b"\x01\x01\x00\xbc"),
        "a value past its codebook": weight(*ContextModel().encode(four), codebooks=three),
        "a mask for too many elements": changed(tables=b"\x00", tensors=large, payload=mask + bias),
        "a kernel of 1025 taps": changed(tables=b"\x00", tensors=wide, payload=mask + bias),
    }


def refused_8_bits(changed: Callable[..., bytes], tensors: bytes, payload: bytes) -> dict[str, bytes]:
    """Faults of layout AFFINE8, in the smallest bundle's bias."""
    eight = tensors[:-3] + b"\x04\x01\x02"

    def bias(fields: bytes) -> bytes:
        return changed(tensors=eight, payload=payload[:1] + fields + b"\x00\xff")

    return {
        "an offset of -0": bias(b"\x00\x80\x00\x3c"),
        "a step of 0": bias(b"\x00\x00\x00\x00"),
        "a step below 0": bias(b"\x00\x00\x00\xbc"),
        "a step that is not a number": bias(b"\x00\x00\x00\x7e"),
        "an infinite offset": bias(b"\x00\x7c\x00\x3c"),
        "a value past float16": bias(b"\xff\x7b\x00\x4c"),
        "a code too few": changed(tensors=eight, payload=payload[:1] + b"\x00\x00\x00\x3c\x00"),
    }


def refused_vectors(changed: Callable[..., bytes]) -> dict[str, bytes]:
    """Faults of layout VECTORS, in place of the smallest bundle's weight: two vectors of two elements."""
    words, bias = np.array([[-1, 2], [0, 0.5]], "<f2").tobytes(), b"\x00\x00\x00\x3c"

    def weight(fields: bytes, payload: bytes) -> bytes:
        tensors = b"\x08\x02\x06\x02\x02\x02" + fields + b"\x00\x01\x02"
        return changed(tables=b"\x01\x02\x11", codebooks=b"\x00", tensors=tensors, payload=payload + bias)

    stream = b"\x00\x02"
    return {
        "vectors that do not divide a row": weight(b"\x03\x01\x00\x02" + stream, words + b"\x40"),
        "nine stages": weight(b"\x02\x09" + b"\x00\x02" * 9 + stream * 9, words + b"\x40" * 9),
        "a vector codebook before the first": weight(b"\x02\x01\x01\x02" + stream, words + b"\x40"),
        "no codewords": weight(b"\x02\x01\x00\x00" + stream, b"\x40"),
        "codewords that fall": weight(b"\x02\x01\x00\x02" + stream, words[4:] + words[:4] + b"\x40"),
        "a codeword of -0": weight(b"\x02\x01\x00\x02" + stream, words[:4] + b"\x00\x80\x00\x38\x40"),
        "a codeword past its codebook": weight(b"\x02\x01\x00\x01" + stream, words[:4] + b"\x40"),
        "codewords that end within one": weight(b"\x02\x01\x00\x02" + stream, words[:2]),
    }


def refusal_of(data: bytes) -> str:
    """Class and message of the error that refuses the file."""
    try:
        decode_bundle(data)
    except BundleError as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("not refused")


def write_golden_files() -> None:
    """All files of tests/golden."""
    contents = {}
    for name, bundle in golden_bundles().items():
        data = encode_bundle(bundle, CODERS.get(name, "huffman"))
        (FOLDER / f"{name}.csrve").write_bytes(data)
        contents[name] = content_of(data)
    errors = {name: {"hex": data.hex(), "error": refusal_of(data)} for name, data in refused_files().items()}
    for name, value in (("contents", contents), ("errors", errors)):
        (FOLDER / f"{name}.json").write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write_golden_files()
