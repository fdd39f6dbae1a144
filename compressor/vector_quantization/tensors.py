"""Weights that consist of codewords, as tensors of a bundle."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from compressor.vector_quantization.groups import VectorAssignment, VectorGroup
from model_store.vectors import VectorTensor, sorted_book


def vector_tensors(weights: Mapping[str, Tensor], assignment: VectorAssignment) -> dict[str, VectorTensor]:
    """The tensor of every layer in the assignment, by its weight's name; codewords are rounded to float16.

    Raises:
        BundleError: a codeword passes float16, or there are too many.
    """
    tensors: dict[str, VectorTensor] = {}
    for group in assignment.groups:
        tensors |= _tensors(weights, group)
    return tensors


def _tensors(weights: Mapping[str, Tensor], group: VectorGroup) -> dict[str, VectorTensor]:
    codewords = group.fit(group.vectors(weights)).cpu().numpy()
    alive = np.concatenate([each.cpu().numpy() for each in group.alive])
    books, codes = [], []
    for words, chosen in zip(codewords, group.codes.cpu().numpy(), strict=True):
        with_zero = words if alive.all() else np.vstack([words, np.zeros_like(words[:1])])
        every = np.full(len(alive), len(with_zero) - 1)
        every[alive] = chosen
        book, numbers = sorted_book(with_zero, every)
        books.append(book)
        codes.append(numbers)
    ends = np.cumsum([len(each) for each in group.alive])[:-1]
    by_layer = zip(*(np.split(numbers, ends) for numbers in codes), strict=True)
    return {
        name: VectorTensor(tuple(weights[name].shape), tuple(mine), tuple(books))
        for name, mine in zip(group.layers, by_layer, strict=True)
    }
