"""Vectors that share codewords: what a tensor of them is, how it is coded, and what is refused."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.accounting import account
from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.coded import CodedBundle, CodedVectors
from model_store.decoder import decode_tensors
from model_store.encoder import encode_tensors
from model_store.errors import BundleError, BundleTooLarge, MalformedBundle
from model_store.graph import Graph, Node
from model_store.preprocessing import Preprocessing
from model_store.serialization import parse, serialize
from model_store.vectors import VectorTensor, sorted_book
from tests.model_store.examples import random_vectors

BOOK = np.array([[-1, 2], [0, 0.5], [0, 1]], np.float16)
CODES = np.array([2, 0, 1, 2], np.uint16)
GOOD: dict[str, Any] = {"shape": (2, 4), "codes": (CODES,), "books": (BOOK,)}


def bundle_of(*tensors: VectorTensor) -> Bundle:
    """Linear layers one after the other."""
    nodes = [Node("Flatten", (0,))]
    for number, _ in enumerate(tensors):
        nodes.append(Node("Gemm", (number + 1,), (number,), {}, f"linear{number}"))
    names = tuple(str(number) for number in range(tensors[-1].shape[0]))
    preprocessing = Preprocessing(1, tensors[0].shape[1], (0.5,), (0.25,))
    return Bundle("tiny", preprocessing, names, 8, 32, Graph(tuple(nodes)), tensors)


def coded_of(bundle: Bundle) -> CodedBundle:
    return parse(encode_bundle(bundle))


def test_a_vector_is_the_sum_of_its_codewords() -> None:
    one = VectorTensor(**GOOD)
    assert one.to_dense().tolist() == [[0, 1, -1, 2], [0, 0.5, 0, 1]]
    assert one.to_dense().dtype == np.float32
    assert (one.length, one.nonzeros) == (2, 5)
    more = np.array([[1, -2]], np.float16)
    two = VectorTensor((2, 4), (CODES, np.zeros(4, np.uint16)), (BOOK, more))
    assert two.to_dense().tolist() == [[1, -1, 0, 0], [1, -1.5, 1, -1]]
    assert two.nonzeros == 6


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"shape": (8,)}, MalformedBundle, "shape (8,), must have rank 2 or more"),
        ({"shape": (4, 3), "codes": (np.zeros(6, np.uint16),)}, MalformedBundle, "vectors of 2, must divide rows of 3"),
        ({"codes": (CODES[:3],)}, MalformedBundle, "codes uint16 (3,), must be uint16 (4,)"),
        ({"codes": (CODES.astype(np.int64),)}, MalformedBundle, "codes int64 (4,), must be uint16 (4,)"),
        ({"codes": (CODES + np.uint16(1),)}, MalformedBundle, "code 3, must be < 3"),
        ({"codes": (CODES, CODES)}, MalformedBundle, "2 stages of codes, 1 books"),
        ({"codes": (), "books": ()}, MalformedBundle, "0 stages of codes, 0 books"),
        ({"codes": (CODES,) * 9, "books": (BOOK,) * 9}, BundleTooLarge, "9 stages, must be 1..8"),
        ({"codes": (CODES, CODES), "books": (BOOK, BOOK[1:2, 1:])}, MalformedBundle, "[1, 2], must be of one length"),
        ({"books": (BOOK[::-1].copy(),)}, MalformedBundle, "must rise strictly in lexicographic order"),
        ({"books": (BOOK[[0, 1, 1]],)}, MalformedBundle, "must rise strictly in lexicographic order"),
        ({"books": (BOOK[:, :, None],)}, MalformedBundle, "book is float16 of rank 3, must be float16, rank 2"),
        ({"books": (BOOK.astype(np.float32),)}, MalformedBundle, "book is float32 of rank 2"),
        ({"books": (BOOK * np.float16(-1),)}, MalformedBundle, "must be finite and hold no -0"),
        ({"books": (np.where(BOOK == 2, np.float16(np.inf), BOOK),)}, MalformedBundle, "must be finite and hold no -0"),
        ({"books": (BOOK[:0],)}, BundleTooLarge, "book of 0 codewords, must be 1..1023"),
    ],
)
def test_what_breaks_a_rule_is_refused(change: dict[str, Any], error: type[BundleError], message: str) -> None:
    with pytest.raises(error) as caught:
        VectorTensor(**{**GOOD, **change})
    assert message in str(caught.value)


def test_the_largest_book_and_vector_fit_and_no_larger() -> None:
    words = np.arange(1023, dtype=np.float16)[:, None]
    assert VectorTensor((1, 1), (np.array([1022], np.uint16),), (words,)).nonzeros == 1
    with pytest.raises(BundleTooLarge, match="book of 1024 codewords"):
        VectorTensor((1, 1), (np.zeros(1, np.uint16),), (np.arange(1024, dtype=np.float16)[:, None],))
    VectorTensor((1, 64), (np.zeros(1, np.uint16),), (np.ones((1, 64), np.float16),))
    with pytest.raises(BundleTooLarge, match="vectors of 65, must be of 1..64"):
        VectorTensor((1, 65), (np.zeros(1, np.uint16),), (np.ones((1, 65), np.float16),))


def test_a_sorted_book_gives_every_vector_its_codeword_once() -> None:
    words = np.array([[1, 0], [-0.0, 3], [1, 1e-9], [0, 3]])
    book, codes = sorted_book(words, np.array([0, 1, 2, 3, 0]))
    assert book.tolist() == [[0, 3], [1, 0]]
    assert codes.tolist() == [1, 0, 1, 0, 1]
    assert not np.signbit(book).any()


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 12), min_size=2, max_size=4))
def test_tensors_come_back_bit_for_bit_and_every_byte_is_accounted_for(seed: int, sides: list[int]) -> None:
    generator = np.random.default_rng(seed)
    tensors = [random_vectors(generator, (outputs, inputs)) for inputs, outputs in itertools.pairwise(sides)]
    bundle = bundle_of(*tensors)
    data = encode_bundle(bundle)
    after = decode_bundle(data)
    for old, new in zip(tensors, after.tensors, strict=True):
        assert isinstance(new, VectorTensor)
        assert all(np.array_equal(a, b) for a, b in zip(old.codes, new.codes, strict=True))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(old.books, new.books, strict=True))
    assert encode_bundle(after) == data
    assert serialize(parse(data)) == data
    rows = account(data).by_kind()
    assert sum(rows.values()) == len(data)
    books = {(book.shape[1], book.tobytes()) for tensor in tensors for book in tensor.books}
    assert rows["codebooks"] == sum(len(raw) for _, raw in books) + 1  # the count of section 4


def test_equal_books_of_several_layers_and_stages_are_one_in_the_file() -> None:
    first = VectorTensor((4, 4), (np.array([0, 1, 2, 0, 1, 2, 0, 1], np.uint16),), (BOOK,))
    second = VectorTensor((2, 4), (CODES, CODES), (BOOK, BOOK))
    encoded = encode_tensors([first, second])
    stages = [stage for tensor in encoded.tensors if isinstance(tensor, CodedVectors) for stage in tensor.stages]
    assert [(stage.book, len(stage.codewords)) for stage in stages] == [(0, BOOK.nbytes), (0, 0), (0, 0)]
    assert (
        decode_bundle(encode_bundle(bundle_of(first, second))).tensors[1].to_dense().tolist()
        == (2 * second.to_dense() / 2).tolist()
    )


def broken(bundle: Bundle, **changes: Any) -> CodedBundle:
    """The coded bundle, with the first stage of its first tensor changed."""
    coded = coded_of(bundle)
    tensor = coded.tensors[0]
    assert isinstance(tensor, CodedVectors)
    stage = replace(tensor.stages[0], **changes)
    return replace(coded, tensors=(replace(tensor, stages=(stage, *tensor.stages[1:])), *coded.tensors[1:]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"book": 1}, "vector codebook 1: 12 bytes of codewords, must have some at its first use alone, as number 0"),
        ({"codewords": b""}, "vector codebook 0: 0 bytes of codewords"),
    ],
)
def test_books_are_numbered_by_first_use(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedBundle) as caught:
        broken(bundle_of(VectorTensor(**GOOD)), **changes)
    assert message in str(caught.value)


def test_a_book_for_other_vectors_is_refused() -> None:
    coded = coded_of(bundle_of(VectorTensor((4, 4), (np.zeros(8, np.uint16),), (BOOK,)), VectorTensor(**GOOD)))
    first, second = coded.tensors
    assert isinstance(second, CodedVectors)
    single = replace(second, length=1)
    with pytest.raises(MalformedBundle, match="vector codebook 0: vectors of 2, must be 1 here"):
        replace(coded, tensors=(first, single))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (BOOK[::-1], "must rise strictly in lexicographic order"),
        (BOOK[:2], "codeword 2, must be < 2"),
        (np.full_like(BOOK, np.nan), "must be finite and hold no -0"),
    ],
)
def test_codewords_that_do_not_fit_are_refused_as_they_are_decoded(words: np.ndarray, message: str) -> None:
    coded = broken(bundle_of(VectorTensor(**GOOD)), codewords=words.astype("<f2").tobytes())
    with pytest.raises(MalformedBundle) as caught:
        decode_tensors(parse(serialize(coded)))
    assert message in str(caught.value)
    assert 'tensor "linear0.weight"' in str(caught.value)
