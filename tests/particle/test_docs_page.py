from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from gluon.particle.docs_page import docs_page
from particle.made import EVERYTHING, compiled, everything, upstream

SERVER = "http://127.0.0.1:2705"
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Reader(HTMLParser):
    """Reads a page: balance of tags, ids, links, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("service", ["net-l3vpn", "ietf-sfc", "test"])
def test_the_page_tells_everything_about_the_service(service: str) -> None:
    model = upstream(service)
    page = read(docs_page(model, SERVER))
    for api_object in model.objects.values():
        assert api_object.name in page.ids
        assert f"/proton/{service}/v1.0/{api_object.plural}/{{{api_object.key}}}" in page.text
        assert f"protonclient --api {service} {api_object.api_name}-create" in page.text
        for attribute in api_object.attributes.values():
            assert attribute.name in page.text
            assert " ".join(attribute.description.split()) in page.text


def test_links_within_the_page_lead_somewhere() -> None:
    page = read(docs_page(everything(), SERVER))
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = docs_page(everything(), SERVER)
    page = read(text)
    assert [link for link in page.links if not link.startswith("#")] == [
        f"{SERVER}/proton/everything/v1.0/openapi.json"
    ]
    assert not page.tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"@import|url\(", text)


def test_text_of_the_model_is_no_markup() -> None:
    evil = "</td><script>alert(1)</script>"
    text = docs_page(compiled(EVERYTHING.replace("Key of the thing", evil)), SERVER)
    page = read(text)
    assert "<script>" not in text
    assert evil in page.text
    assert "Every type <there> & is" in page.text
