import pytest

from compressor.plots.accuracy_and_sparsity import plot_accuracy_and_sparsity
from compressor.report.published import PUBLISHED_SPARSE


@pytest.mark.parametrize("published", [True, False])
def test_our_bundles_are_drawn_over_the_weights_left_with_or_without_the_published_ones(published: bool) -> None:
    (axes,) = plot_accuracy_and_sparsity([("ours", 0.75, 0.921)], published=published).axes
    points = [tuple(point) for collection in axes.collections for point in collection.get_offsets()]
    others = [(1 - p.sparsity, p.accuracy) for p in PUBLISHED_SPARSE] if published else []
    assert sorted(points) == sorted([*others, (0.25, 0.921)])
    assert "ours, 75.0%, 92.10%" in [text.get_text() for text in axes.texts]
    left, right = axes.get_xlim()
    assert left > right, "sparser is further to the right"


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9995])
def test_every_sparsity_is_within_the_axis(sparsity: float) -> None:
    (axes,) = plot_accuracy_and_sparsity([("ours", sparsity, 0.921)], published=False).axes
    left, right = axes.get_xlim()
    assert left > 1 - sparsity > right


def test_every_published_sparsity_names_its_source() -> None:
    for point in PUBLISHED_SPARSE:
        assert 0.85 < point.accuracy < 1
        assert 0.5 < point.sparsity < 1
        assert any(year in point.source for year in ("2020", "2023", "2026"))
