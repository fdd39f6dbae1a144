import numpy as np

from compressor.plots.weights import plot_centroids, plot_histograms
from compressor.sharing.kmeans import INITIALISATIONS


def test_a_histogram_holds_every_weight_that_is_not_zero() -> None:
    weights = np.array([0.0, 0.0, -0.5, 0.25, 0.25, 3.0], dtype=np.float32)
    figure = plot_histograms([("dense", {"a": weights}), ("prune", {})], ["a"])
    drawn, missing = figure.axes
    assert sum(patch.get_height() for patch in drawn.patches) == 4
    assert drawn.texts[0].get_text() == "4 of 6\n3 values"
    assert not missing.patches


def test_each_initialisation_has_a_row_of_its_starts_and_ends() -> None:
    weights = np.random.default_rng(0).normal(size=500).astype(np.float32)
    below = plot_centroids("conv2", weights, 6).axes[1]
    assert [len(collection.get_offsets()) for collection in below.collections] == [6] * 2 * len(INITIALISATIONS)
    assert [text.get_text().split(":")[0] for text in below.texts] == list(INITIALISATIONS)


def test_more_centroids_than_values_are_as_many_as_there_are_values() -> None:
    below = plot_centroids("fc", np.array([0.0, 1.0, 2.0, 2.0], dtype=np.float32), 16).axes[1]
    assert {len(collection.get_offsets()) for collection in below.collections} == {2}
