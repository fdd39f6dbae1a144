"""The web page in a real browser."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from model_store.bundle import encode_bundle
from model_store.store import Store
from tests.service.browsers import CHROMIUM, DRIVER, Browser, chromium
from tests.service.bundles import residual_bundle
from tests.service.drawings import png
from tests.service.processes import serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]
ANSWERED = ".card .verdict"


@pytest.fixture(scope="module")
def shared_browser(tmp_path_factory: pytest.TempPathFactory, encoded_grey: bytes) -> Iterator[Browser]:
    root = tmp_path_factory.mktemp("two_models")
    stages = {"decoded": 0.91, "dense": 0.93, "prune": 0.9}  # a bundle's members are in the order of their names
    staged = replace(residual_bundle(), provenance={"accuracy": 0.9125, "stages": stages})
    Store(root).publish("colour", encode_bundle(staged), 1)
    Store(root).publish("grey", encoded_grey, 1)
    with serving(root, "--default-model", "colour") as service, chromium() as driver:
        yield Browser(driver, f"http://127.0.0.1:{service.port}/")


@pytest.fixture
def browser(shared_browser: Browser) -> Iterator[Browser]:
    """The browser; whatever a test does, no script fails and no other host is asked."""
    shared_browser.failures()
    shared_browser.requested()
    yield shared_browser
    assert shared_browser.complaints() == []
    outside = {url for url in shared_browser.requested() if not url.startswith((shared_browser.address, "blob:"))}
    assert {url for url in outside if url.startswith(("http", "ws"))} == set()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(png())
    return path


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser.driver).send_keys(*keys).perform()


def test_a_chosen_picture_is_answered_by_two_models_side_by_side(browser: Browser, picture: Path) -> None:
    browser.open()
    browser.choose(picture)
    verdicts = browser.wait(ANSWERED, 2)
    assert [name.split()[0] for name in browser.texts(".card h2")] == ["colour", "grey"]
    assert all("class " in verdict and "%" in verdict for verdict in verdicts)
    tops = browser.js("return [...document.querySelectorAll('.card')].map(e => e.getBoundingClientRect().top)")
    assert isinstance(tops, list)
    assert tops[0] == tops[1]
    for stage in ("read", "decode", "queue", "inference", "total"):
        assert browser.texts(".card tbody th").count(stage) == 2
    assert browser.failures() == []


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_that_is_dropped_or_pasted_is_answered(browser: Browser, picture: Path, event: str) -> None:
    browser.open()
    browser.hand_over(event, picture.read_bytes())
    browser.wait(ANSWERED, 2)
    assert browser.js("return document.getElementById('preview').hidden") is False


def test_an_example_is_drawn_and_answered_by_keyboard_alone(browser: Browser) -> None:
    browser.open()
    browser.wait(".example", 5)
    reached = ""
    for _ in range(12):
        press(browser, Keys.TAB)
        reached = str(browser.js("return document.activeElement.textContent"))
        if reached == "ship":
            break
    assert reached == "ship"
    assert browser.js("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(browser, Keys.ENTER)
    browser.wait(ANSWERED, 2)
    assert "class " in browser.texts("#status[role=status]")[0]
    assert browser.failures() == []


def test_the_file_button_is_reached_by_keyboard_and_has_a_name(browser: Browser) -> None:
    browser.open()
    for _ in range(6):
        press(browser, Keys.TAB)
        if browser.js("return document.activeElement.id") == "file":
            break
    assert browser.driver.switch_to.active_element.accessible_name == "Choose a picture"


def test_what_is_not_a_picture_is_refused_in_words(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a picture")
    browser.open()
    browser.choose(path)
    for text in browser.wait(".card .problem", 2):
        assert text.startswith("Unsupported Media TypeThe body is not a PNG, JPEG or WebP picture.Request ")
    assert browser.js("return document.getElementById('preview').hidden") is True


def test_a_model_has_a_page_with_its_charts_each_with_a_table(browser: Browser) -> None:
    browser.open()
    browser.wait(".card h2 a", 2)
    browser.driver.find_element("link text", "colour").click()
    titles = browser.wait("figure h2", 5)
    accuracy = "Accuracy, stage by stage"
    assert titles == ["Size", accuracy, "Bytes by kind", "Sparsity by layer", "Bits by layer"]
    assert len(browser.texts("figure svg[role=img][aria-label]")) == 5
    assert len(browser.texts("figure details table")) == 5
    for title in titles[3:]:
        assert "stem" in browser.texts(f"[aria-label='{title}'] tbody th")
    assert browser.texts(f"[aria-label='{accuracy}'] tbody tr") == ["dense93.0%", "prune90.0%", "decoded91.0%"]
    assert "91.25%accuracy on the test set" in browser.texts(".tile")
    assert browser.failures() == []


def test_a_models_page_times_predictions_and_shows_what_the_metrics_count(browser: Browser) -> None:
    browser.open("model?name=grey")
    browser.wait("#live .tile", 4)
    before = int(browser.texts("#live dd")[0])
    browser.driver.find_element("id", "measure").click()
    assert len(browser.wait("#runs tbody tr", 20)) == 20
    assert browser.texts("#measured")[0].startswith("20 predictions: the middle one took ")
    browser.driver.refresh()
    browser.wait("#live .tile", 4)
    assert int(browser.texts("#live dd")[0]) == before + 20


def test_a_model_that_is_not_there_is_told_in_words(browser: Browser) -> None:
    browser.open("model?name=<b>none</b>")
    assert browser.wait("#problems .problem")[0].startswith(("Not Found", "Unprocessable"))
    assert browser.texts("h1") == ["<b>none</b>"]


@pytest.mark.parametrize("path", ["", "model?name=colour"])
def test_a_telephone_needs_no_scrolling_sideways(browser: Browser, picture: Path, path: str) -> None:
    browser.open(path, width=360)
    if path:
        browser.wait("figure", 4)
    else:
        browser.choose(picture)
        browser.wait(ANSWERED, 2)
    assert browser.overflow() == 0


def test_the_page_is_dark_where_the_reader_wants_it_dark(browser: Browser) -> None:
    shades = []
    for dark in (False, True):
        browser.open(dark=dark)
        shades.append(browser.js("return getComputedStyle(document.body).backgroundColor"))
    assert shades == ["rgb(246, 247, 248)", "rgb(16, 19, 22)"]
