"""Weights whose vectors share the entries of vector codebooks: product and residual quantization.

A row of the matrix [outputs, the rest] is cut into vectors of `length` elements. One stage of codewords makes product
quantization (Gong et al. 2014, arXiv 1412.6115, section 3.3), several, whose codewords are summed, residual
quantization (the same, section 3.4).
"""

import math
from dataclasses import dataclass

import numpy as np

from model_store.errors import BundleTooLarge, MalformedBundle
from model_store.limits import MAX_ALPHABET, MAX_VECTOR_LENGTH, MAX_VECTOR_STAGES
from model_store.shape_limits import check_shape


@dataclass(frozen=True, slots=True, eq=False)
class VectorTensor:
    """Weights that are sums of codewords.

    Attributes:
        shape: [outputs, inputs] or [outputs, inputs / group, height, width].
        codes: for each stage uint16 [elements / length], indices into its book, row-major.
        books: for each stage its codewords, float16 [codewords, length], as `check_book` wants them.

    Raises:
        MalformedBundle, BundleTooLarge: any of these does not hold, or a limit is passed.
    """

    shape: tuple[int, ...]
    codes: tuple[np.ndarray, ...]
    books: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        elements = check_shape(self.shape, "vector tensor")
        if not len(self.codes) == len(self.books) > 0:
            raise MalformedBundle(f"vector tensor: {len(self.codes)} stages of codes, {len(self.books)} books")
        for book in self.books:
            check_book(book, "vector tensor")
        lengths = {book.shape[1] for book in self.books}
        if len(lengths) > 1:
            raise MalformedBundle(f"vector tensor: books of vectors of {sorted(lengths)}, must be of one length")
        check_vectors(self.shape, self.length, len(self.books), "vector tensor")
        for codes, book in zip(self.codes, self.books, strict=True):
            if codes.dtype != np.uint16 or codes.shape != (elements // self.length,):
                raise MalformedBundle(
                    f"vector tensor: codes {codes.dtype} {codes.shape}, must be uint16 ({elements // self.length},)"
                )
            if int(codes.max()) >= len(book):
                raise MalformedBundle(f"vector tensor: code {int(codes.max())}, must be < {len(book)}")

    @property
    def length(self) -> int:
        """Elements of a vector."""
        return int(self.books[0].shape[1])

    @property
    def nonzeros(self) -> int:
        return int(np.count_nonzero(self.to_dense()))

    def to_dense(self) -> np.ndarray:
        """float32 of `shape`: the codewords of all stages summed in float32, the first stage first."""
        dense: np.ndarray = self.books[0].astype(np.float32)[self.codes[0]]
        for codes, book in zip(self.codes[1:], self.books[1:], strict=True):
            dense += book.astype(np.float32)[codes]
        return dense.reshape(self.shape)


def check_vectors(shape: tuple[int, ...], length: int, stages: int, place: str) -> None:
    """Refuse vectors that do not fill the rows of a tensor of this shape, or more stages than there may be."""
    if len(shape) < 2:
        raise MalformedBundle(f"{place}: shape {shape}, must have rank 2 or more")
    if not 1 <= length <= MAX_VECTOR_LENGTH:
        raise BundleTooLarge(f"{place}: vectors of {length}, must be of 1..{MAX_VECTOR_LENGTH}")
    if math.prod(shape[1:]) % length:
        raise MalformedBundle(f"{place}: vectors of {length}, must divide rows of {math.prod(shape[1:])}")
    if not 1 <= stages <= MAX_VECTOR_STAGES:
        raise BundleTooLarge(f"{place}: {stages} stages, must be 1..{MAX_VECTOR_STAGES}")


def check_book(book: np.ndarray, place: str) -> None:
    """Refuse codewords that are not finite float16 without -0, in strictly rising lexicographic order, or too many."""
    if book.dtype != np.float16 or book.ndim != 2:
        raise MalformedBundle(f"{place}: book is {book.dtype} of rank {book.ndim}, must be float16, rank 2")
    if not 1 <= len(book) <= MAX_ALPHABET:
        raise BundleTooLarge(f"{place}: book of {len(book)} codewords, must be 1..{MAX_ALPHABET}")
    if not np.isfinite(book).all() or np.any((book == 0) & np.signbit(book)):
        raise MalformedBundle(f"{place}: codewords must be finite and hold no -0")
    before, after = book[:-1], book[1:]
    first = (before != after).argmax(1)
    rows = np.arange(len(before))
    if np.any(before[rows, first] >= after[rows, first]):
        raise MalformedBundle(f"{place}: codewords must rise strictly in lexicographic order")


def sorted_book(codewords: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codewords [any, length], rounded to float16, as a book, equal ones made one; and the codes uint16 into it."""
    with np.errstate(over="ignore"):  # an infinite float16 is refused by `check_book`
        rounded = codewords.astype(np.float16) + np.float16(0)  # -0 + 0 is 0
    book, inverse = np.unique(rounded, axis=0, return_inverse=True)
    return book, inverse.reshape(-1)[codes].astype(np.uint16)
