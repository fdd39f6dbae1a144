"""Which streams share a Huffman table: on small networks a table of its own for every layer costs 3-14% of the file.

Greedy agglomeration: begin with a table a stream and merge the pair that saves most, until no merge saves and the
tables are no more than a bundle may hold.
"""

from collections.abc import Sequence

import numpy as np

from model_store.limits import MAX_TABLES

TABLE_OVERHEAD_BITS = 12  # its length field, and the rounding of its half bytes


def cluster_streams(histograms: Sequence[np.ndarray]) -> list[int]:
    """Give each stream, by its symbol counts int64 [alphabet], a cluster number; numbers are in order of first use."""
    if not histograms:
        return []
    width = max(len(counts) for counts in histograms)
    counts = np.zeros((len(histograms), width), dtype=np.int64)
    for row, histogram in enumerate(histograms):
        counts[row, : len(histogram)] = histogram
    owner = list(range(len(histograms)))
    savings = _all_savings(counts)
    alive = np.ones(len(histograms), dtype=bool)
    while True:
        first, second = divmod(int(savings.argmax()), len(savings))
        if savings[first, second] <= 0 and int(alive.sum()) <= MAX_TABLES:
            break
        counts[first] += counts[second]
        alive[second] = False
        owner = [first if cluster == second else cluster for cluster in owner]
        savings[second, :] = savings[:, second] = -np.inf
        _update_savings(savings, counts, alive, first)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(cluster, len(numbers)) for cluster in owner]


def _all_savings(counts: np.ndarray) -> np.ndarray:
    savings = np.full((len(counts), len(counts)), -np.inf)
    alive = np.ones(len(counts), dtype=bool)
    for row in range(len(counts)):
        _update_savings(savings, counts, alive, row)
    return savings


def _update_savings(savings: np.ndarray, counts: np.ndarray, alive: np.ndarray, row: int) -> None:
    """Savings of merging cluster `row` with every other one, kept above the diagonal."""
    apart = _bits(counts) + _bits(counts[row : row + 1])
    saved = apart - _bits(counts + counts[row])
    saved[~alive] = -np.inf
    savings[row, row + 1 :] = saved[row + 1 :]
    savings[:row, row] = saved[:row]


def _bits(counts: np.ndarray) -> np.ndarray:
    """Entropy-coded bits of each row's symbols plus its table's, float64 [rows]."""
    total = counts.sum(1)
    logs = np.log2(np.maximum(counts, 1))
    coded = total * np.log2(np.maximum(total, 1)) - (counts * logs).sum(1)
    alphabet = counts.shape[1] - (counts[:, ::-1] > 0).argmax(1)
    bits: np.ndarray = np.maximum(coded, total) + 4.0 * alphabet + TABLE_OVERHEAD_BITS
    return bits
