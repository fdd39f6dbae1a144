import re
from html.parser import HTMLParser

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.testclient import TestClient

from service.reference_page import render_reference

VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: its text, its links, and whether every element is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attributes if name in {"href", "src"}]
        self.ids += [value or "" for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(steady_client: TestClient) -> Page:
    return Page(steady_client.get("/docs").text)


def test_every_operation_parameter_and_schema_is_on_the_page(steady_client: TestClient, page: Page) -> None:
    openapi = steady_client.get("/openapi.json").json()
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in page.text
            for parameter in operation.get("parameters", []):
                assert parameter["name"] in page.text
    for name, schema in openapi["components"]["schemas"].items():
        assert name in page.ids
        for member in schema["properties"]:
            assert member in page.text
    assert "image/webp" in page.text
    assert "application/problem+json" in page.text


def test_the_page_is_whole_and_its_links_lead_somewhere(page: Page) -> None:
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    for link in page.links:
        assert link in {"openapi.json", "./"} or link.removeprefix("#") in page.ids, link


def test_the_page_needs_no_network_and_runs_no_script(steady_client: TestClient, page: Page) -> None:
    answer = steady_client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"//|@import|url\(", answer.text.replace("<!doctype", ""))


class Strange(BaseModel):
    """<script>alert(1)</script>"""

    member: dict[str, int] | None = Field(default=None, description='"<b>" & `code`')


def test_what_descriptions_hold_is_text() -> None:
    app = FastAPI(title="<i>")

    @app.get("/x", summary="<u>")
    async def route(value: str = "<a>") -> Strange:
        return Strange()

    source = render_reference(app.openapi())
    page = Page(source)
    assert not page.tags & {"script", "b", "i", "u"}
    assert '"<b>" & code' in page.text
    assert "object of integer or null" in page.text
    assert 'default "<a>"' in page.text
