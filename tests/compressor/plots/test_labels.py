"""Labels beside points: none covers another, nor a point, while there is room."""

import pytest

from compressor.plots.canvas import new_figure
from compressor.plots.labels import Label, place_labels

Text = pytest.importorskip("matplotlib.text").Text


def _boxes(points, nameless=()):
    figure = new_figure(8, 5)
    axes = figure.subplots()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    place_labels(
        figure, axes, [Label(x, y, f"network-{number}", "black") for number, (x, y) in enumerate(points)], nameless
    )
    figure.draw_without_rendering()
    return axes, [Text.get_window_extent(text) for text in axes.texts]  # without the lines


def _overlap(one, other):
    return min(one.x1, other.x1) - max(one.x0, other.x0) > 1 and min(one.y1, other.y1) - max(one.y0, other.y0) > 1


@pytest.mark.parametrize("points", [[(5 + 0.08 * step, 5 + 0.05 * (step % 3)) for step in range(9)], [(5, 5)] * 6])
def test_crowded_labels_lie_apart(points):
    _, boxes = _boxes(points)
    assert len(boxes) == len(points)
    assert not any(_overlap(one, other) for at, one in enumerate(boxes) for other in boxes[:at])


def test_labels_stay_inside_and_off_points():
    points = [(0, 0), (10, 0), (0, 10), (10, 10), (5, 5), (5.3, 5)]
    axes, boxes = _boxes(points)
    frame = axes.get_window_extent()
    for box in boxes:
        assert box.x0 >= frame.x0 - 1
        assert box.x1 <= frame.x1 + 1
        assert box.y0 >= frame.y0 - 1
        assert box.y1 <= frame.y1 + 1
        for x, y in axes.transData.transform(points):
            assert not (box.x0 < x < box.x1 and box.y0 < y < box.y1)


def test_labels_keep_off_points_without_one():
    nameless = [(5.3, 5.2), (5.3, 4.8), (5.3, 5), (4.6, 5.2)]
    axes, (box,) = _boxes([(5, 5)], nameless)
    for x, y in axes.transData.transform(nameless):
        assert not (box.x0 < x < box.x1 and box.y0 < y < box.y1)
    assert axes.texts[0].xyann != pytest.approx((6, 6))


def test_a_lone_label_lies_beside_its_point_without_a_line():
    axes, _ = _boxes([(5, 5)])
    (text,) = axes.texts
    assert text.arrow_patch is None
    assert text.xyann == pytest.approx((6, 6))


def test_a_label_away_from_its_point_has_a_line_to_it():
    points = [(5 + 0.3 * step, 5) for step in range(6)]
    axes, boxes = _boxes(points)
    dots = axes.figure.dpi / 72
    away = []
    for (x, y), box, text in zip(axes.transData.transform(points), boxes, axes.texts, strict=True):
        across, up = max(box.x0 - x, x - box.x1, 0.0), max(box.y0 - y, y - box.y1, 0.0)
        away.append(max(across, up) > 8 * dots)
        assert (text.arrow_patch is not None) == away[-1]
    assert any(away)
    assert not all(away)


def test_lines_cross_no_names_while_there_is_room():
    points = [(5 + 0.12 * step, 5 + 0.1 * (step % 2)) for step in range(7)]
    axes, boxes = _boxes(points)
    assert any(text.arrow_patch for text in axes.texts)
    for at, ((x, y), box, text) in enumerate(zip(axes.transData.transform(points), boxes, axes.texts, strict=True)):
        if text.arrow_patch is None:
            continue
        middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        for other in (*boxes[:at], *boxes[at + 1 :]):
            for share in (step / 100 for step in range(101)):
                crossed = (x + share * (middle[0] - x), y + share * (middle[1] - y))
                assert not (other.x0 + 2 < crossed[0] < other.x1 - 2 and other.y0 + 2 < crossed[1] < other.y1 - 2)
