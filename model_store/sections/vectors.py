"""What a tensor of layout VECTORS has in sections 5 and 6: the length of its vectors, its stages and their books."""

import math

from model_store.coded import CodedStage, CodedVectors
from model_store.limits import MAX_ALPHABET, MAX_VECTOR_LENGTH, MAX_VECTOR_STAGES
from model_store.sections.streams import StreamReader
from model_store.vectors import check_vectors
from model_store.wire import Writer

FLOAT16_BYTES = 2


def write_vectors(writer: Writer, tensor: CodedVectors) -> bytes:
    """The fields after the shape, without those of the streams."""
    writer.varint(tensor.length).varint(len(tensor.stages))
    for stage in tensor.stages:
        writer.varint(stage.book)
        if stage.codewords:
            writer.varint(len(stage.codewords) // (FLOAT16_BYTES * tensor.length))
    return writer.done()


class VectorBooks:
    """Reads tensors of layout VECTORS, and counts the vector codebooks that came with those before."""

    def __init__(self) -> None:
        self._count = 0

    def read(self, streams: StreamReader, number: int, shape: tuple[int, ...]) -> CodedVectors:
        """The tensor of this number and shape; its codewords' bytes are taken from the payload, then its streams'."""
        reader, payload = streams.reader, streams.payload
        length = reader.varint(f"vector length of tensor {number}", 1, MAX_VECTOR_LENGTH)
        stages = reader.varint(f"stages of tensor {number}", 1, MAX_VECTOR_STAGES)
        check_vectors(shape, length, stages, f"{reader.place}: tensor {number}")
        books = [self._read_book(streams, number) for _ in range(stages)]
        codewords = [
            payload.take(FLOAT16_BYTES * length * count, f"codewords of tensor {number}") for _, count in books
        ]
        vectors = math.prod(shape) // length
        values = [streams.read(vectors, f"values of tensor {number}") for _ in range(stages)]
        coded = zip(books, codewords, values, strict=True)
        return CodedVectors(
            shape, length, tuple(CodedStage(book, words, symbols) for (book, _), words, symbols in coded)
        )

    def _read_book(self, streams: StreamReader, number: int) -> tuple[int, int]:
        """(its number, how many codewords follow: 0 where it is known)."""
        book = streams.reader.varint(f"vector codebook of tensor {number}", 0, self._count)
        if book < self._count:
            return book, 0
        self._count += 1
        return book, streams.reader.varint(f"codewords of vector codebook {book}", 1, MAX_ALPHABET)
