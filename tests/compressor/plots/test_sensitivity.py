from compressor.plots.sensitivity import plot_sensitivity
from compressor.pruning.sensitivity import Measurement


def test_every_layer_has_a_line_from_dense_to_its_sparsest() -> None:
    found = [
        Measurement("a", 1.0, 1.0, 0.6, 0.7),
        Measurement("a", 0.5, 0.5, 0.3, 0.85),
        Measurement("b", 1.0, 1.0, 0.5, 0.4),
    ]
    axes = plot_sensitivity("title", found, 0.9, 0.01).axes[0]
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
    assert lines["a"] == ([1.0, 0.7, 0.4], [0.9, 0.85, 0.7])
    assert lines["b"] == ([1.0, 0.5], [0.9, 0.4])
    assert [text.get_text() for text in axes.texts] == ["b", "a", "dense 90.00% less 1.00%"]
