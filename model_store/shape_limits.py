"""The limits on a tensor's shape, checked before memory is taken for it."""

import math

from model_store.errors import BundleTooLarge
from model_store.limits import MAX_DIMENSION, MAX_RANK, MAX_TENSOR_ELEMENTS


def check_shape(shape: tuple[int, ...], place: str) -> int:
    """Return the number of elements, or raise where rank, a side or the product passes its limit."""
    if not 1 <= len(shape) <= MAX_RANK:
        raise BundleTooLarge(f"{place}: rank {len(shape)}, must be 1..{MAX_RANK}")
    if min(shape) < 1 or max(shape) > MAX_DIMENSION:
        side = next(side for side in shape if not 1 <= side <= MAX_DIMENSION)
        raise BundleTooLarge(f"{place}: side {side} of shape {shape}, must be 1..{MAX_DIMENSION}")
    elements = math.prod(shape)
    if elements > MAX_TENSOR_ELEMENTS:
        raise BundleTooLarge(f"{place}: {elements} elements, must be <= {MAX_TENSOR_ELEMENTS}")
    return elements
