"""The page: what is in it, and that nothing is outside of it."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

from compressor.report.page import overview, page_of, pictures_of
from compressor.report.published import PUBLISHED
from compressor.report.subject import subject_of
from tests.compressor.report.test_subject import STAGES, run_folder, tiny_data

PNG = b"\x89PNG\r\n"
VOID = {"meta", "img"}


class Balanced(HTMLParser):
    """Refuses tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_with_every_picture_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    subject = subject_of("tiny", tiny_data(accuracy=0.71, stages=STAGES), run_folder(tmp_path / "run"))
    pictures = {"": overview([subject]), "tiny": pictures_of(subject)}
    names = [picture.name for group in pictures.values() for picture in group]
    assert names == [
        "accuracy-and-bytes.png",
        "accuracy-and-sparsity.png",
        "stages.png",
        *(f"tiny-{what}.png" for what in PARTS),
    ]
    page = page_of([subject], pictures)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    embedded = [base64.b64decode(text) for text in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]
    assert embedded == [picture.png for group in pictures.values() for picture in group]
    assert all(png.startswith(PNG) for png in embedded)
    assert not re.search(r'(src|href)="(?!data:)|https?://|url\(', page)
    assert all(point.source in page for point in PUBLISHED)
    assert f"<td>{len(subject.data):,}</td>" in page


PARTS = ("bytes", "bits", "centroids", "weights")


def test_what_is_not_recorded_is_not_drawn() -> None:
    subject = subject_of("tiny", tiny_data())
    assert overview([subject]) == []
    assert [picture.name for picture in pictures_of(subject)] == ["tiny-bytes.png", "tiny-bits.png", "tiny-weights.png"]
    assert "not recorded" in page_of([subject], {"": [], "tiny": []})


def test_names_are_escaped() -> None:
    subject = subject_of("<b>&", tiny_data())
    page = page_of([subject], {"": [], "<b>&": []})
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page


def test_the_same_bundle_gives_the_same_page(tmp_path: Path) -> None:
    data = tiny_data(accuracy=0.71, stages=STAGES)
    pages = []
    for _ in range(2):
        subject = subject_of("tiny", data)
        pages.append(page_of([subject], {"": overview([subject]), "tiny": pictures_of(subject)}))
    assert pages[0] == pages[1]
