"""Roles, tokens and the audit log from a shell, as two people use them."""

import json
from pathlib import Path

import pytest

from modelbox.cli.main import main
from modelbox_server.testing.live_server import live_server


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "object":
    monkeypatch.setenv("MODELBOX_STATE_DIR", str(tmp_path))
    with live_server() as server:
        monkeypatch.setenv("MODELBOX_API_ADDR", server.url)
        monkeypatch.setenv("MODELBOX_API_TOKEN", server.token)
        yield server


@pytest.mark.usefixtures("address")
def test_an_operator_gives_roles_and_tokens_and_sees_what_was_done_with_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str, code: int = 0) -> str:
        assert main(list(words)) == code, capsys.readouterr().err
        return capsys.readouterr().out

    run("client", "experiments", "create", "--name", "digits", "--namespace", "team/vision")
    assert run("server", "grant", "team", "user:eve", "reader") == "user:eve is reader of team.\n"
    assert "user:eve" in run("server", "who", "team/vision") or "user:eve" in run("server", "who")
    secret = run("client", "tokens", "create", "nightly", "--user", "eve", "--days", "1").strip()
    listed = json.loads(run("client", "tokens", "list", "--json"))
    assert [(token["name"], token["user"]) for token in listed] == [("nightly", "eve")]
    assert secret not in json.dumps(listed)

    with monkeypatch.context() as patch:
        patch.setenv("MODELBOX_API_TOKEN", secret)
        assert {row["namespace"]: row["role"] for row in json.loads(run("client", "whoami", "--json"))} == {
            "public": "reader", "team": "reader", "~eve": "admin",
        }  # fmt: skip
        assert "digits" in run("client", "experiments", "list")
        run("client", "experiments", "create", "--name", "mine")
        assert main(["client", "experiments", "create", "--name", "x", "--namespace", "team"]) == 4
        assert "You may not write in 'team'" in capsys.readouterr().err
        assert main(["server", "grant", "team", "user:eve", "admin"]) == 4
        capsys.readouterr()

    assert [member["mode"] for member in json.loads(run("client", "cluster-members", "--json"))] == ["all"]
    rows = json.loads(run("client", "audit", "--actor", "eve", "--since", "1h", "--json"))
    assert {(row["actor"], row["token"], row["face"], row["namespace"]) for row in rows} == {("eve", "nightly", "http", "~eve")}
    assert json.loads(run("client", "audit", "--namespace", "team", "--json"))[-1]["object_type"] == "grant"
    assert json.loads(run("client", "audit", "--namespace", "team", "--json"))[-1]["payload"]["new"]["role"]
    assert run("server", "revoke", "team", "user:eve").startswith("user:eve has no role of its own on team any more")
    assert run("client", "tokens", "revoke", "nightly") == "The token opens nothing any more.\n"
    run("client", "tokens", "revoke", "nightly", code=5)


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["server", "grant", "team", "eve", "reader"], "write user:NAME, group:NAME or everyone"),
        (["server", "grant", "team", "user:eve", "owner"], "reader"),
        (["client", "audit", "--since", "yesterday"], "7d"),
    ],
)
def test_what_is_meant_wrongly_is_said(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.usefixtures("address")
def test_an_operator_limits_people_and_namespaces_and_sees_what_they_have(capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str, code: int = 0) -> str:
        assert main(list(words)) == code, capsys.readouterr().err
        return capsys.readouterr().out

    run("client", "experiments", "create", "--name", "digits", "--namespace", "team/vision")
    run("server", "limit", "namespace:team", "--bytes", "2TB", "--experiments", "1")
    (row,) = json.loads(run("server", "limit", "namespace:team", "--json"))
    assert (row["bytes_limit"], row["experiments"], row["experiments_limit"], row["points_limit"]) == (2 * 10**12, 1, 1, None)
    assert main(["client", "experiments", "create", "--name", "letters", "--namespace", "team/nlp"]) == 3
    assert "The namespace 'team' may have 1 experiment and has 1" in capsys.readouterr().err
    run("server", "limit", "namespace:team", "--clear")
    run("client", "experiments", "create", "--name", "letters", "--namespace", "team/nlp")
    for words, sentence in (
        (("--points", "5"), "Whose limits? Write user:NAME or namespace:PATH before them."),
        (("alice", "--points", "5"), "write user:NAME or namespace:PATH"),
        (("user:alice", "--bytes", "5 apples"), "'5 apples' is no number of bytes: write 500000, 500MB, 10GB or 2TB."),
    ):
        assert main(["server", "limit", *words]) == 2
        assert sentence in capsys.readouterr().err
