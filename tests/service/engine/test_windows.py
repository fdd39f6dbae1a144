import numpy as np

from model_store.graph import Node
from service.engine.windows import Windows

POOL = Node("MaxPool", (0,), (), {"kernel_shape": (2, 3), "strides": (2, 1), "pads": (1, 0, 0, 2)})


def test_the_taps_of_a_window_are_spans_of_the_padded_map() -> None:
    windows = Windows.of(POOL, (2, 3), (1, 3, 4))
    padded = windows.pad(np.arange(20, dtype=np.float32).reshape(5, 4), -1)
    assert padded.shape == (6, 6)
    taps = {(row, column): padded[rows, columns].tolist() for row, column, rows, columns in windows.taps()}
    assert len(taps) == 6
    assert taps[0, 0] == [[-1, -1, -1, -1], [4, 5, 6, 7], [12, 13, 14, 15]]
    assert taps[1, 2] == [[2, 3, -1, -1], [10, 11, -1, -1], [18, 19, -1, -1]]


def test_the_counts_leave_the_border_out() -> None:
    assert Windows.of(POOL, (2, 3), (1, 3, 4)).counts(5, 4).tolist() == [[3, 3, 2, 1], [6, 6, 4, 2], [6, 6, 4, 2]]


def test_a_map_without_a_border_is_not_copied() -> None:
    windows = Windows((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (2, 2))
    maps = np.zeros((1, 2, 2), dtype=np.float32)
    assert windows.pad(maps, 0) is maps
    assert windows.is_pointwise
    assert not Windows((1, 1), (2, 2), (1, 1), (0, 0, 0, 0), (1, 1)).is_pointwise
