import pytest

from compressor.plots.accuracy_and_bytes import plot_accuracy_and_bytes
from compressor.report.published import PUBLISHED


@pytest.mark.parametrize("published", [True, False])
def test_our_bundles_are_drawn_with_or_without_the_published_points(published: bool) -> None:
    (axes,) = plot_accuracy_and_bytes([("ours", 64_000, 0.921)], published=published).axes
    points = [tuple(point) for collection in axes.collections for point in collection.get_offsets()]
    others = [(p.size_bytes / 1000, p.accuracy) for p in PUBLISHED] if published else []
    assert sorted(points) == sorted([*others, (64.0, 0.921)])
    assert "ours, 64.0 kB, 92.10%" in [text.get_text() for text in axes.texts]


def test_every_published_point_names_its_source_and_is_a_coded_size() -> None:
    for point in PUBLISHED:
        assert 0.85 < point.accuracy < 1
        assert point.size_bytes > 10_000
        assert any(year in point.source for year in ("2017", "2019", "2020", "2023"))
