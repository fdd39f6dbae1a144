from pathlib import Path

import pytest

from compressor.plots.canvas import new_figure, rendered, save_figure


@pytest.mark.parametrize(("kind", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_figure_is_written_in_the_format_of_its_suffix_and_always_the_same(
    kind: str, begins: bytes, tmp_path: Path
) -> None:
    def drawn() -> bytes:
        figure = new_figure(2, 1)
        figure.subplots().plot([0, 1], [1, 0], label="text")
        save_figure(figure, tmp_path / f"plot.{kind}")
        return rendered(figure, kind)

    first = drawn()
    assert first.startswith(begins)
    assert drawn() == first == (tmp_path / f"plot.{kind}").read_bytes()
