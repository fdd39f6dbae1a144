"""Accuracy against a cost: which points have a name."""

from compressor.plots.costs import Axes, Point, plot_costs, worth_naming

POINTS = [
    Point("best", 60.0, 0.918, "weights", network="resnet20"),
    Point("as accurate, larger", 63.0, 0.918, "weights", network="resnet20"),
    Point("smaller", 59.0, 0.912, "weights", network="resnet20"),
    Point("other method", 62.0, 0.9, "pq", network="resnet20"),
    Point("other network", 520.0, 0.908, "weights", network="resnet18"),
    Point("published, beaten", 80.0, 0.8, "weights", published=True),
]


def test_those_that_no_other_of_their_method_and_network_beats_have_a_name() -> None:
    named = [point.name for point in worth_naming(POINTS)]
    assert named == ["best", "smaller", "other method", "other network", "published, beaten"]


def test_of_equal_points_all_have_a_name() -> None:
    twins = [Point(name, 1.0, 0.5, "pq", network="lenet5") for name in ("first", "second")]
    assert worth_naming(twins) == twins


def test_a_published_point_takes_no_name_away() -> None:
    ours, theirs = Point("ours", 2.0, 0.5, "pq"), Point("theirs", 1.0, 0.6, "pq", published=True)
    assert worth_naming([ours, theirs]) == [ours, theirs]


def test_every_point_is_drawn_whether_it_has_a_name_or_not() -> None:
    figure = plot_costs(POINTS, Axes("kB", "accuracy", "a title", logarithmic=True), ["weights", "pq"])
    (axes,) = figure.axes
    assert sum(len(drawn.get_offsets()) for drawn in axes.collections) == len(POINTS)
    assert {text.get_text() for text in axes.texts} == {point.name for point in worth_naming(POINTS)}
