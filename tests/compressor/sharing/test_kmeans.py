"""K-means in one dimension against partitions found by brute force, and its four initialisations by definition."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from compressor.errors import RecipeError
from compressor.sharing import kmeans
from compressor.sharing.kmeans import INITIALISATIONS, assign, fit_centroids, initial_centroids, squared_error


def least_error(values: np.ndarray, clusters: int) -> float:
    """The optimum: in one dimension clusters are runs of the sorted values, so all ways to cut them are tried."""
    ordered = np.sort(values)
    cuts = combinations(range(1, len(ordered)), clusters - 1)
    return min(sum(float(np.square(part - part.mean()).sum()) for part in np.split(ordered, cut)) for cut in cuts)


def drawn(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).laplace(size=count)


@pytest.mark.parametrize("clusters", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_of_many_starts_is_the_optimal_partition(clusters: int, seed: int) -> None:
    values = drawn(11, seed)
    errors = [squared_error(values, fit_centroids(values, clusters, "forgy", start)) for start in range(60)]
    assert min(errors) == pytest.approx(least_error(values, clusters), rel=1e-9)


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_no_start_beats_the_optimum_or_ends_worse_than_it_began(initialisation: str, seed: int) -> None:
    values = drawn(12, seed)
    start = initial_centroids(np.sort(values), 4, initialisation, seed)
    error = squared_error(values, fit_centroids(values, 4, initialisation, seed))
    assert least_error(values, 4) - 1e-9 <= error <= squared_error(values, start)


@pytest.mark.parametrize("initialisation", ["linear", "density"])
def test_groups_far_apart_are_found_exactly(initialisation: str) -> None:
    groups = [np.array([-5.0, -4.9, -5.1]), np.array([0.1, 0.2, 0.3]), np.array([4.0, 4.1, 4.2])]
    found = fit_centroids(np.concatenate(groups)[::-1], 3, initialisation)
    np.testing.assert_allclose(found, [-5.0, 0.2, 4.1], rtol=1e-12)


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_lloyd_never_raises_the_cost(initialisation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = drawn(400, 5)
    errors = [squared_error(values, initial_centroids(np.sort(values), 9, initialisation, 1))]
    for iterations in range(1, 25):
        monkeypatch.setattr(kmeans, "MAX_ITERATIONS", iterations)
        errors.append(squared_error(values, fit_centroids(values, 9, initialisation, 1)))
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(errors))
    assert errors[-1] < 0.99 * errors[0]


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_the_result_is_a_fixed_point(initialisation: str) -> None:
    values = drawn(500, 6)
    centroids = fit_centroids(values, 6, initialisation)
    codes = assign(values, centroids)
    assert len(centroids) == 6
    np.testing.assert_allclose(centroids, [values[codes == code].mean() for code in range(6)], rtol=1e-9, atol=1e-12)


def test_linear_spaces_centroids_equally_from_the_least_to_the_largest_value() -> None:
    values = np.array([-1.0, -0.9, 0.0, 0.1, 3.0])
    assert initial_centroids(values, 5, "linear").tolist() == [-1.0, 0.0, 1.0, 2.0, 3.0]


def test_density_spaces_centroids_equally_over_the_cumulative_distribution() -> None:
    values = np.sort(drawn(1000, 7))
    centroids = initial_centroids(values, 4, "density")
    below = [(values < centroid).mean() for centroid in centroids]
    np.testing.assert_allclose(below, [0.125, 0.375, 0.625, 0.875], atol=1e-3)


def test_aligned_begins_its_bins_at_the_pruning_threshold_on_both_sides() -> None:
    values = np.array([-1.5, -0.7, -0.5, 0.5, 0.6, 2.5])
    assert initial_centroids(values, 6, "aligned").tolist() == [-1.25, -0.75, 0.75, 1.25, 1.75, 2.25]


def test_aligned_gives_each_side_one_centroid_at_least() -> None:
    assert initial_centroids(np.array([-0.5, 1.0, 9.0]), 3, "aligned").tolist() == [-0.5, 3.0, 7.0]
    assert initial_centroids(np.array([1.0, 9.0]), 2, "aligned").tolist() == [3.0, 7.0]
    assert initial_centroids(np.array([-9.0, -1.0]), 2, "aligned").tolist() == [-7.0, -3.0]
    assert initial_centroids(np.array([-2.0, -1.0, 9.0]), 1, "aligned").tolist() == [2.0]


def test_forgy_draws_different_values_by_the_seed() -> None:
    values = np.sort(drawn(50, 8))
    first, second = (initial_centroids(values, 6, "forgy", seed) for seed in (0, 1))
    for centroids in (first, second):
        assert np.isin(centroids, values).all()
        assert len(np.unique(centroids)) == 6
        assert (np.diff(centroids) > 0).all()
    assert not np.array_equal(first, second)
    assert np.array_equal(first, initial_centroids(values, 6, "forgy", 0))


def test_an_unknown_initialisation_is_refused() -> None:
    with pytest.raises(
        RecipeError, match="^initialisation 'plusplus', must be one of linear, density, forgy, aligned$"
    ):
        initial_centroids(np.arange(3.0), 2, "plusplus")


def test_clusters_that_start_empty_are_filled() -> None:
    values = np.concatenate([np.linspace(0, 0.1, 40), np.linspace(99.9, 100, 40)])  # linear: none between the ends
    start = initial_centroids(values, 8, "linear")
    assert len(np.unique(assign(values, start))) == 2
    centroids = fit_centroids(values, 8, "linear")
    assert len(centroids) == 8
    assert np.array_equal(np.unique(assign(values, centroids)), np.arange(8))
    assert squared_error(values, centroids) < 0.2 * squared_error(values, np.array([0.05, 99.95]))


def test_repeated_values_do_not_cost_clusters() -> None:
    values = np.repeat([0.0, 1.0, 10.0, 11.0, 30.0], [500, 3, 200, 1, 2])
    for seed in range(10):
        centroids = fit_centroids(values, 4, "forgy", seed)
        assert len(centroids) == 4
        assert squared_error(values, centroids) <= 3


def test_no_more_distinct_values_than_clusters_are_their_own_centroids() -> None:
    assert fit_centroids(np.array([[2.0, -1.0], [2.0, 0.5]]), 3).tolist() == [-1.0, 0.5, 2.0]
    assert fit_centroids(np.array([2.0]), 16, "density").tolist() == [2.0]


def test_one_cluster_is_the_mean() -> None:
    values = drawn(100, 9)
    assert fit_centroids(values, 1) == pytest.approx([values.mean()])


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_the_same_values_in_any_order_give_the_same_bits(initialisation: str) -> None:
    values = drawn(300, 10).astype(np.float32)
    shuffled = np.random.default_rng(0).permutation(values).reshape(10, 30)
    assert np.array_equal(fit_centroids(values, 8, initialisation), fit_centroids(shuffled, 8, initialisation))


def test_assign_takes_the_nearest_and_the_lower_on_a_tie() -> None:
    centroids = np.array([-1.0, 0.0, 2.0])
    assert assign(np.array([[-9.0, -0.5], [-0.49, 1.0], [1.01, 9.0]]), centroids).tolist() == [[0, 0], [1, 1], [2, 2]]
    values = drawn(1000, 11)
    assert np.array_equal(assign(values, centroids), np.abs(values[:, None] - centroids).argmin(1))


def test_the_squared_error_is_the_sum_over_the_nearest_centroids() -> None:
    assert squared_error(np.array([0.0, 1.0, 4.0]), np.array([0.5, 3.0])) == 0.25 + 0.25 + 1.0
