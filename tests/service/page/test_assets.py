import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.page import ASSETS, CONTENT_SECURITY_POLICY
from tests.service.test_reference_page import Page

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "service" / "page"


def test_every_file_of_the_folder_is_on_the_list() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.suffix != ".py" and path.is_file()} == set(ASSETS)


def test_no_file_is_left_out_of_the_wheel() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["scikit-build"]["wheel"]
    assert "service" in wheel["packages"]
    assert [name for name in ASSETS for pattern in wheel["exclude"] if fnmatch(name, pattern)] == []


@pytest.mark.parametrize("name", sorted(ASSETS))
def test_a_file_is_sent_with_its_type_and_the_policy(steady_client: TestClient, name: str) -> None:
    answer = steady_client.get(f"/page/{name}")
    assert answer.status_code == 200
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["content-type"] == ASSETS[name].media_type
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = steady_client.get(f"/page/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_policy_allows_nothing_inline_and_nobody_else() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'; ")


@pytest.mark.parametrize(("path", "name"), [("/", "index.html"), ("/model", "model.html")])
def test_a_page_has_no_inline_script_or_style_and_its_links_lead_somewhere(
    steady_client: TestClient, path: str, name: str
) -> None:
    answer = steady_client.get(path)
    assert answer.content == ASSETS[name].content
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script[^>]*>[^<]", answer.text)
    page = Page(answer.text)
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert steady_client.get(f"/{link.removeprefix('./')}").status_code == 200, link
