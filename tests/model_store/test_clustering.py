import numpy as np
import pytest

import model_store.clustering as clustering_module
from model_store.clustering import cluster_streams
from model_store.huffman import fit_table


def histogram(generator: np.random.Generator, size: int, scale: float) -> np.ndarray:
    return np.bincount(np.minimum(generator.geometric(scale, size) - 1, 63))


def cost_bits(groups: list[list[np.ndarray]]) -> int:
    """Code bits and table bits where each group shares a table."""
    total = 0
    for group in groups:
        counts = np.zeros(max(len(item) for item in group), np.int64)
        for item in group:
            counts[: len(item)] += item
        table = fit_table(counts)
        total += table.coded_bits(counts) + 4 * len(table.lengths) + 8
    return total


def test_no_streams_have_no_clusters_and_one_has_one() -> None:
    assert cluster_streams([]) == []
    assert cluster_streams([np.array([3, 1])]) == [0]


def test_streams_of_one_distribution_share_a_table_and_it_saves() -> None:
    generator = np.random.default_rng(0)
    histograms = [histogram(generator, 300, 0.2) for _ in range(12)]
    assert cluster_streams(histograms) == [0] * 12
    assert cost_bits([histograms]) < cost_bits([[item] for item in histograms])


def test_streams_of_different_distributions_keep_their_own() -> None:
    generator = np.random.default_rng(0)
    kinds = [histogram(generator, 20_000, 0.7), np.bincount(generator.integers(32, 64, 20_000))]
    assert cluster_streams([kinds[0], kinds[1], kinds[0], kinds[1]]) == [0, 1, 0, 1]


def test_numbers_are_in_the_order_of_first_use() -> None:
    generator = np.random.default_rng(1)
    wide, narrow = np.bincount(generator.integers(0, 1000, 50_000)), np.array([10_000, 10])
    assert cluster_streams([narrow, wide, narrow, wide, wide]) == [0, 1, 0, 1, 1]


@pytest.mark.parametrize("seed", range(8))
def test_clusters_never_cost_more_than_a_table_for_each(seed: int) -> None:
    generator = np.random.default_rng(seed)
    histograms = [
        histogram(generator, int(generator.integers(5, 5000)), float(generator.uniform(0.05, 0.9))) for _ in range(20)
    ]
    numbers = cluster_streams(histograms)
    groups = [[item for item, number in zip(histograms, numbers, strict=True) if number == n] for n in set(numbers)]
    assert len(groups) < 20
    assert cost_bits(groups) <= cost_bits([[item] for item in histograms])


def test_no_more_tables_are_kept_than_a_bundle_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    histograms = [np.bincount(generator.integers(40 * at, 40 * at + 40, 20_000)) for at in range(6)]
    assert cluster_streams(histograms) == [0, 1, 2, 3, 4, 5]
    monkeypatch.setattr(clustering_module, "MAX_TABLES", 3)
    numbers = cluster_streams(histograms)
    assert max(numbers) == 2
    assert numbers[0] == 0
