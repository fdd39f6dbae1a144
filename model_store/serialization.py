"""A coded bundle to bytes and back, one to one: docs/bundle_format.md in code. No I/O.

magic, version, flags | 7 sections: number, length, content | SHA-256 of all before
"""

import hashlib
import struct

from model_store.coded import CodedBundle, CodedContexts, CodedFloat, CodedTensor, CodedVectors, streams_of
from model_store.errors import BundleTooLarge, DigestMismatch, MalformedBundle, TruncatedBundle, UnsupportedBundle
from model_store.limits import MAX_BUNDLE_BYTES
from model_store.provenance import decode_provenance, encode_provenance
from model_store.sections.codebooks import read_codebooks, write_codebooks
from model_store.sections.graph import read_graph, write_graph
from model_store.sections.identity import read_identity, write_identity
from model_store.sections.tables import read_tables, write_tables
from model_store.sections.tensors import read_tensors, write_tensors
from model_store.wire import Reader, Writer

MAGIC = b"\x89CSRVE\r\n"
VERSION = 1
FLAGS = 0
DIGEST_BYTES = 32
PREFIX = MAGIC + struct.pack("<HH", VERSION, FLAGS)
SECTIONS = ("identity", "graph", "tables", "codebooks", "tensors", "payload", "provenance")


def serialize(bundle: CodedBundle) -> bytes:
    """The file.

    Raises:
        BundleTooLarge: it would pass `MAX_BUNDLE_BYTES`.
    """
    fields = write_tensors(bundle)
    contents = (
        write_identity(bundle.identity),
        write_graph(bundle.graph),
        b"".join(write_tables(bundle.tables)),
        b"".join(write_codebooks(bundle.codebooks)),
        b"".join([fields.head, *(part for tensor in fields.descriptions for part in tensor.parts())]),
        b"".join(part for tensor in bundle.tensors for part in payloads_of(tensor)),
        encode_provenance(bundle.provenance),
    )
    writer = Writer().raw(PREFIX)
    for number, content in enumerate(contents, start=1):
        writer.byte(number).varint(len(content)).raw(content)
    body = writer.done()
    if len(body) + DIGEST_BYTES > MAX_BUNDLE_BYTES:
        raise BundleTooLarge(f"bundle: {len(body) + DIGEST_BYTES} bytes, must be <= {MAX_BUNDLE_BYTES}")
    return body + hashlib.sha256(body).digest()


def parse(data: bytes) -> CodedBundle:
    """The fields of a file. The streams in it are not decoded yet.

    Raises:
        BundleError: one of its kinds, whatever the bytes are.
    """
    contents = dict(zip(SECTIONS, _sections(data), strict=True))
    identity = read_identity(Reader(contents["identity"], 'section "identity"'))
    graph = read_graph(Reader(contents["graph"], 'section "graph"'))
    tables = read_tables(Reader(contents["tables"], 'section "tables"'))
    codebooks = read_codebooks(Reader(contents["codebooks"], 'section "codebooks"'))
    payload = Reader(contents["payload"], 'section "payload"')
    lane_log2, tensors = read_tensors(Reader(contents["tensors"], 'section "tensors"'), payload)
    provenance = decode_provenance(bytes(contents["provenance"]))
    return CodedBundle(identity, graph, tables, codebooks, lane_log2, tensors, provenance)


def payloads_of(tensor: CodedTensor) -> tuple[bytes | memoryview, ...]:
    """The tensor's bytes in the payload section, in order."""
    if isinstance(tensor, CodedFloat):
        return (tensor.payload,)
    if isinstance(tensor, CodedContexts):
        return (tensor.mask, tensor.values)
    if isinstance(tensor, CodedVectors):
        books = (stage.codewords for stage in tensor.stages)
        return (*books, *(stream.payload for stream in streams_of(tensor)))
    return tuple(stream.payload for stream in streams_of(tensor))


def _sections(data: bytes) -> list[memoryview]:
    """The contents, as views: what a bundle's bytes cost is copied once, stream by stream."""
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleTooLarge(f"bundle: {len(data)} bytes, must be <= {MAX_BUNDLE_BYTES}")
    _check_prefix(data)
    if len(data) < len(PREFIX) + DIGEST_BYTES:
        raise TruncatedBundle(f"bundle: {len(data)} bytes, must be at least {len(PREFIX) + DIGEST_BYTES}")
    body = memoryview(data)[:-DIGEST_BYTES]
    if hashlib.sha256(body).digest() != data[-DIGEST_BYTES:]:
        raise DigestMismatch("bundle: its SHA-256 is not that of its bytes: it was damaged or cut")
    reader = Reader(body[len(PREFIX) :], "bundle")
    contents = []
    for number, name in enumerate(SECTIONS, start=1):
        found = reader.byte(f"number of section {name!r}")
        if found != number:
            raise MalformedBundle(f"bundle: section number {found}, must be {number} ({name})")
        contents.append(reader.view(reader.varint(f"length of section {name!r}", 0, MAX_BUNDLE_BYTES), name))
    reader.finish()
    return contents


def _check_prefix(data: bytes) -> None:
    if not data.startswith(MAGIC):
        raise MalformedBundle(f"bundle: begins with {data[:8].hex()}, must begin with {MAGIC.hex()}")
    if len(data) < len(PREFIX):
        raise TruncatedBundle(f"bundle: {len(data)} bytes, must be at least {len(PREFIX) + DIGEST_BYTES}")
    version, flags = struct.unpack_from("<HH", data, len(MAGIC))
    if version != VERSION:
        raise UnsupportedBundle(f"bundle: version {version}, must be {VERSION}")
    if flags != FLAGS:
        raise UnsupportedBundle(f"bundle: flags {flags:#06x}, must be 0")
