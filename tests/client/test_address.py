"""Addresses: every form that is meant to work, and a sentence for each that is not."""

from pathlib import Path

import pytest

from modelbox.client.address import AddressError, ServerAddress, parse_address
from modelbox.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("localhost:8085", "http://localhost:8085"),
        (":8085", "http://localhost:8085"),
        ("[::1]:8085", "http://[::1]:8085"),
        ("http://host", "http://host"),
        ("https://host/", "https://host"),
        ("https://host:443/x", "https://host/x"),
        ("http://127.0.0.1:8888/user/a b/modelbox", "http://127.0.0.1:8888/user/a%20b/modelbox"),
        ("http://127.0.0.1:8888/user/a%20b/modelbox/", "http://127.0.0.1:8888/user/a%20b/modelbox"),
        ("  gpu-7.example:80 ", "http://gpu-7.example"),
    ],
)
def test_a_server_may_be_written_in_many_ways(written: str, url: str) -> None:
    address = parse_address(written)
    assert isinstance(address, ServerAddress)
    assert str(address) == url
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("written", ["./runs", "/data/runs", "~/runs", "../runs", ".", "file:///data/runs"])
def test_a_folder_is_a_local_store(written: str) -> None:
    folder = parse_address(written)
    assert isinstance(folder, Path)
    assert folder.is_absolute()


def test_a_path_object_is_a_local_store_whatever_its_name(tmp_path: Path) -> None:
    assert parse_address(tmp_path / "host:80") == tmp_path / "host:80"


@pytest.mark.parametrize(
    "written",
    [
        "http//x",
        "x:y",
        "gopher://host",
        "localhost",
        "",
        ":",
        ":99999",
        "host:0",
        "http://",
        "http://host:99999",
        "http://user:pw@host",
        "http://host/?token=x",
        "ho st:1",
    ],
)
def test_anything_else_is_refused_with_the_forms_that_work(written: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(written, source="MODELBOX_API_ADDR")
    assert "MODELBOX_API_ADDR" in caught.value.detail
    assert "http" in caught.value.detail or "token=" in caught.value.detail
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ConfigError)


def test_a_password_in_an_address_is_not_repeated_in_the_message() -> None:
    with pytest.raises(AddressError) as caught:
        parse_address("ftp://me:hunter2@host")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(AddressError) as caught:
        parse_address("http://me:hunter2@host:port")
    assert "hunter2" not in str(caught.value)
