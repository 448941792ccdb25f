"""Tokens on disk: one that lasts, for this user alone, and others of which nobody keeps more than a digest."""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelbox.errors import ConfigError
from modelbox_server.http.tokens import kept_token, read_holders


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "servers" / "8085.token"


def test_a_token_is_made_once_and_kept_for_this_user_alone(path: Path) -> None:
    token = kept_token(path)
    assert len(token) == 43
    assert kept_token(path) == token
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["8085.token"]


def test_two_homes_have_two_tokens(tmp_path: Path) -> None:
    assert kept_token(tmp_path / "a" / "t") != kept_token(tmp_path / "b" / "t")


def test_servers_that_start_at_once_agree(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(kept_token, [path] * 8))
    assert made == {kept_token(path)}


def spoil(path: Path, how: str) -> None:
    match how:
        case "readable":
            path.chmod(0o640)
        case "link":
            path.rename(path.with_suffix(".real"))
            path.symlink_to(path.with_suffix(".real"))
        case "folder":
            path.unlink()
            path.mkdir()
        case "empty":
            path.write_text("")
        case "another":
            path.write_text("hunter2\n")
        case "pipe":
            path.unlink()
            os.mkfifo(path, 0o600)
        case _:
            os.chown(path, 65534, 65534)


@pytest.mark.parametrize(
    "how",
    [
        *("readable", "link", "folder", "empty", "another", "pipe"),
        pytest.param("foreign", marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")),
    ],
)
def test_a_file_that_others_could_know_or_have_written_is_refused(path: Path, how: str) -> None:
    kept_token(path)
    spoil(path, how)
    with pytest.raises(ConfigError, match="remove it, and the next start makes a new one") as caught:
        kept_token(path)
    assert "hunter2" not in caught.value.detail


def test_a_folder_that_somebody_else_could_have_laid_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "servers").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is a link or belongs to another user"):
        kept_token(tmp_path / "servers" / "8085.token")


# --- tokens of others --------------------------------------------------------------------------------------------------------------------


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def test_holders_are_read_from_lines(tmp_path: Path) -> None:
    path = tmp_path / "holders"
    path.write_text(f"# the team\n\nana: {digest('a')}\nci-robot :{digest('b').upper()} # nightly\n")
    assert read_holders(path) == {hashlib.sha256(b"a").digest(): "ana", hashlib.sha256(b"b").digest(): "ci-robot"}


def test_wrong_lines_are_told_by_number_and_without_what_may_be_a_token(tmp_path: Path) -> None:
    path = tmp_path / "holders"
    path.write_text(f"ana: {digest('a')}\nsecret-token-itself\nben: secret-token-itself\nfoo bar: {digest('b')}\n")
    with pytest.raises(
        ConfigError, match=re.escape("line 2 (no colon), line 3 ('ben'), line 4 ('foo bar'): expected 'NAME: SHA256'")
    ) as caught:
        read_holders(path)
    assert "secret" not in caught.value.detail


def test_a_file_that_others_may_write_to_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "holders"
    path.write_text(f"ana: {digest('a')}\n")
    path.chmod(0o664)
    with pytest.raises(ConfigError, match="chmod go-w"):
        read_holders(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_holders(tmp_path / "none")
