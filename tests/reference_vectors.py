"""Layout VECTORS of the reference decoder, from docs/bundle_format.md, section 7."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tests.reference_fields import Cursor, require


class Vectors:
    """The vector codebooks of a file so far."""

    def __init__(self) -> None:
        self.books: list[list[list[float]]] = []

    def tensor(
        self,
        cursor: Cursor,
        shape: tuple[int, ...],
        payload: Cursor,
        streams: Callable[[int, int], Iterator[list[int]]],
    ) -> NDArray[np.float32]:
        """`streams` takes the number of stages and the vectors' length, and gives each stage's symbols."""
        length, stages = cursor.varint(1, 64), cursor.varint(1, 8)
        require(math.prod(shape[1:]) % length == 0, "vectors do not divide the row")
        uses, sizes = [], []
        known = len(self.books)
        for _ in range(stages):
            uses.append(cursor.varint(0, known))
            if uses[-1] == known:
                known += 1
                sizes.append(cursor.varint(1, 1023))
        self.books += [self.book(payload, size, length) for size in sizes]
        total = np.zeros((math.prod(shape) // length, length), np.float32)
        for stage, symbols in enumerate(streams(stages, length)):
            book = self.books[uses[stage]]
            require(len(book[0]) == length, "a codebook of vectors of another length")
            require(max(symbols) < len(book), "codeword past its codebook")
            chosen = np.array([book[symbol] for symbol in symbols], np.float32)
            total = chosen if stage == 0 else total + chosen
        return total.reshape(shape)

    @staticmethod
    def book(payload: Cursor, size: int, length: int) -> list[list[float]]:
        require(2 * size * length <= len(payload.data) - payload.at, "ends within a field")
        words = [[payload.f16() for _ in range(length)] for _ in range(size)]
        require(all(value != 0 or math.copysign(1, value) == 1 for word in words for value in word), "-0 in a codeword")
        require(all(before < after for before, after in pairwise(words)), "codewords do not rise")
        return words
