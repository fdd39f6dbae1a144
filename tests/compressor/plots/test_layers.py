"""Bits without Huffman, counted by hand, and what the plots of a bundle show."""

import numpy as np
import pytest

from compressor.plots.layers import fixed_bits, plot_bits, plot_bytes, plot_stages
from model_store.tensors import SharedTensor


def shared(positions: list[int], entries: int = 4, size: int = 4096) -> SharedTensor:
    codes = np.arange(len(positions), dtype=np.uint16) % entries
    codebook = np.arange(1, entries + 1).astype(np.float16)
    return SharedTensor((1, size), np.array(positions, dtype=np.int32), codes, codebook)


@pytest.mark.parametrize(
    ("tensor", "index_bits", "value_bits"),
    [
        (shared([]), 0.0, 0.0),
        (shared([0, 1, 2, 3]), 1.0, 2.0),  # no gaps: one bit says so, two the code
        (shared([1, 3, 5, 7]), 1.0, 2.0),  # gaps of one
        (shared([0, 1, 2, 3], entries=5), 1.0, 3.0),
        (shared([0, 1, 2, 3], entries=1), 1.0, 1.0),
        # Gaps 0, 0 and 12: at two bits 12 >> 2 = 3 fillers, 6 entries of 2 + 2 bits; at four bits none, 3 of 4 + 2.
        (shared([0, 1, 14]), 4.0, 2.0),
    ],
)
def test_fixed_widths_are_the_cheapest_with_fillers_counted(
    tensor: SharedTensor, index_bits: float, value_bits: float
) -> None:
    assert fixed_bits(tensor) == (index_bits, value_bits)


def test_the_bars_of_a_layer_are_its_bits() -> None:
    layers = {"a": shared([0, 1, 2, 3]), "zeros": shared([])}
    (axes,) = plot_bits(layers, {"a": (1, 2), "zeros": (0, 0)}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a"]
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == [1.0, 2.0, 2.0, 4.0], "index and value before, then 8 and 16 bits over four weights"


def test_every_byte_is_drawn() -> None:
    (axes,) = plot_bytes({"": {"header": 30}, "a": {"indices": 10, "values": 20}}).axes
    assert sum(patch.get_width() for patch in axes.patches) == 60
    assert axes.get_title(loc="left") == "Where the 60 bytes are"


def test_stages_stand_in_the_order_given_and_the_test_comes_last() -> None:
    (axes,) = plot_stages([("a", {"dense": 0.9, "prune": 0.8}, 0.7), ("b", {"dense": 0.95}, None)]).axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["dense", "prune", "decoded file,\ntest pictures"]
    assert [list(line.get_ydata()) for line in axes.lines] == [[0.9, 0.8], [0.95]]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["90.00%", "80.00%", "70.00%", "95.00%"]
