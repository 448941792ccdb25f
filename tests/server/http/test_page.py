"""The web page as files: what is served, to whom, and what it may do."""

import gzip
import re
from pathlib import Path

import pytest

from modelbox_server.http.page import page_files
from modelbox_server.testing.api_client import Answer, ApiClient


def stranger(client: ApiClient) -> ApiClient:
    return ApiClient(client.url)


def assets(page: Answer) -> list[str]:
    return re.findall(r'(?:src|href)="\./(assets/[^"]+)"', page.body.decode())


def test_the_page_is_there_for_whoever_comes_and_may_do_nothing_but_ask_this_server(client: ApiClient) -> None:
    page = stranger(client).request("GET", "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    rules = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert page.headers["cache-control"] == "no-cache"
    assert "style=" not in page.body.decode()
    assert "<script>" not in page.body.decode()


def test_every_address_of_the_page_is_relative(client: ApiClient) -> None:
    page = stranger(client).request("GET", "/").body.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) == 3
    assert all(address.startswith("./assets/") for address in addresses)


def test_scripts_and_styles_may_be_kept_for_ever_and_travel_packed(client: ApiClient) -> None:
    for path in assets(stranger(client).request("GET", "/")):
        plain = stranger(client).request("GET", f"/{path}")
        assert (plain.status, plain.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        assert plain.headers["x-content-type-options"] == "nosniff"
        assert plain.body == page_files().joinpath(path).read_bytes()
        packed = stranger(client).request("GET", f"/{path}", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert stranger(client).request("HEAD", f"/{path}").body == b""


@pytest.mark.parametrize("name", ["none.js", "..%2findex.html", "%2e%2e%2f%2e%2e%2f__init__.py", "index.html", "x", ".js", "a%00.js"])
def test_nothing_else_can_be_read_that_way(client: ApiClient, name: str) -> None:
    answer = stranger(client).request("GET", f"/assets/{name}")
    assert answer.status == 404
    assert answer.headers["cache-control"] == "no-store"


def test_the_first_scripts_are_small_and_vega_comes_later(client: ApiClient) -> None:
    """A slow line should show experiments within a second or two."""
    first = sum(
        len(stranger(client).request("GET", f"/{path}", headers={"Accept-Encoding": "gzip"}).body)
        for path in assets(stranger(client).request("GET", "/"))
    )
    assert first < 150_000


def test_jupyter_leads_to_the_page_from_its_address_without_a_slash(jupyter: ApiClient) -> None:
    answer = stranger(jupyter).request("GET", "")
    assert (answer.status, answer.headers["location"]) == (302, "modelbox/")


def test_a_page_that_was_not_built_says_so_in_a_sentence(standalone: ApiClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("modelbox_server.http.page.page_files", lambda: tmp_path)
    answer = stranger(standalone).request("GET", "/")
    assert (answer.status, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert "was not built: run 'jlpm build:prod'" in answer.body.decode()
