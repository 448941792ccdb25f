"""``modelbox client``: everything that a notebook does can be done from a shell, and its output is for people or for programs."""

import csv
import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest

import modelbox
from modelbox.cli.commands import COMMANDS
from modelbox.cli.main import main
from modelbox.testing.fixtures import clean_modelbox_environment
from modelbox_server.testing.jupyter_process import free_port

__all__ = ["clean_modelbox_environment"]

HOSTILE = ["a.b", "a[0]", "a'b", "</script>", "=cmd|' /C calc'!A0", "🚀 émoji", "x" * 500]


@pytest.fixture(autouse=True)
def _own_home(clean_modelbox_environment: object) -> None:
    """Use the clean environment everywhere."""


class Shell:
    """Calls the command on a store of the test."""

    def __init__(self, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = store
        self._capsys = capsys

    def run(self, *words: str, code: int = 0) -> str:
        assert main(["client", "--address", str(self.store), *words]) == code
        captured = self._capsys.readouterr()
        return captured.out if code == 0 else captured.err

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def csv(self, *words: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.run(*words, "--csv"))))


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "store", capsys)


CLIENT_COMMANDS = [entry.words.split()[1:] for entry in COMMANDS if entry.home and entry.words.startswith("client ")]


@pytest.mark.parametrize("words", CLIENT_COMMANDS, ids=" ".join)
def test_every_command_has_help_and_an_example(shell: Shell, words: list[str]) -> None:
    text = shell.run(*words, "--help")
    assert "Usage: modelbox client" in text
    assert f" {' '.join(words)}" in text.partition("Example:")[2]


def test_an_experiment_is_created_once_listed_shown_and_deleted(shell: Shell) -> None:
    (made,) = shell.json("experiments", "create", "--name", "demo", "--namespace", "team/x", "--owner", "ann", "--framework", "jax")
    (again,) = shell.json("experiments", "create", "--name", "demo", "--namespace", "team/x")
    assert again["experiment_id"] == made["experiment_id"]
    assert [(one["name"], one["owner"]) for one in shell.json("experiments", "list", "--namespace", "team")] == [("demo", "ann")]
    assert shell.json("experiments", "show", made["experiment_id"])["framework"] == "jax"
    assert "deleted" in shell.run("experiments", "delete", made["experiment_id"], "--yes")
    assert shell.json("experiments", "list") == []


def test_without_an_answer_nothing_is_deleted(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run("experiments", "create", "--name", "demo")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "say --yes" in shell.run("experiments", "delete", "demo", code=2)
    assert len(shell.json("experiments", "list")) == 1


def test_a_name_that_several_have_deletes_none_of_them(shell: Shell) -> None:
    with modelbox.ModelBox(shell.store) as box:
        for _ in range(2):
            box.start("twice").finish()
    assert "say by its id" in shell.run("experiments", "delete", "twice", "--yes", code=6)
    newest, _ = shell.json("experiments", "list")
    shell.run("experiments", "delete", newest["experiment_id"][:12], "--yes")
    assert newest["experiment_id"] not in str(shell.json("experiments", "list"))
    shell.run("experiments", "delete", "twice", "--yes")
    assert shell.json("experiments", "list") == []


def test_a_table_is_for_people(shell: Shell) -> None:
    shell.run("experiments", "create", "--name", "demo")
    head, row = shell.run("experiments", "list").splitlines()
    assert head.split()[:2] == ["experiment_id", "name"]
    assert row.index("demo") == head.index("name")


def test_two_runs_are_compared_by_what_differs(shell: Shell) -> None:
    ids = []
    with modelbox.ModelBox(shell.store) as box:
        for lr in (0.1, 0.2):
            with box.start("demo", params={"lr": lr, "depth": 3}, tags=["same"]) as run:
                run.log(loss=lr * 2)
            ids.append(run.id)
    rows = {row.pop("key"): list(row.values()) for row in shell.json("experiments", "compare", *ids)}
    assert rows == {"params.lr": [0.1, 0.2], "metrics.loss": [0.2, 0.4]}
    everything = {row["key"] for row in shell.json("experiments", "compare", *ids, "--all")}
    assert {"params.depth", "tags.same", "name"} <= everything
    assert "two or more" in shell.run("experiments", "compare", ids[0], code=2)


def test_metrics_are_summarised_and_read_in_full(shell: Shell) -> None:
    with modelbox.ModelBox(shell.store) as box, box.start("demo") as run:
        for step in range(5):
            run.log(loss=float(step), step=step)
        run.log(loss=float("nan"), step=5)
        run.log_metrics({"text": "héllo", "raw": b"\x00\xff"}, step=1)
    summary = {row["key"]: row for row in shell.json("metrics", run.id)}
    assert (summary["loss"]["count"], summary["loss"]["max"], summary["loss"]["last"]) == (6, 4.0, "NaN")
    points = shell.csv("metrics", run.id, "--key", "loss")
    assert [row["step"] for row in points] == ["0", "1", "2", "3", "4", "5"]
    assert shell.json("metrics", run.id, "--key", "text")[0]["value"] == "héllo"
    assert shell.json("metrics", run.id, "--key", "raw")[0]["value"] == "00ff"
    assert "Did you mean 'loss'?" in shell.run("metrics", run.id, "--key", "los", code=5)


def test_files_go_up_and_come_back_whole(shell: Shell, tmp_path: Path) -> None:
    (made,) = shell.json("experiments", "create", "--name", "files")
    parent = made["experiment_id"]
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"w" * 100_000)
    (folder / "note.txt").write_text("é")
    uploaded = shell.json("artifacts", "upload", "--parent-id", parent, "--path", str(folder), "--type", "model")
    assert sorted(one["name"] for one in uploaded) == ["model/note.txt", "model/weights.bin"]
    shell.run("artifacts", "track", "--parent-id", parent, "--path", "s3://bucket/x.bin")
    assert [one["storage"] for one in shell.json("artifacts", "list", "--parent-id", parent)] == ["uploaded", "uploaded", "tracked"]
    target = tmp_path / "copy.bin"
    shell.run("artifacts", "download", "--parent-id", parent, "--name", "model/weights.bin", "--path", str(target))
    assert target.read_bytes() == b"w" * 100_000
    assert "exists" in shell.run(
        "artifacts", "download", "--parent-id", parent, "--name", "model/weights.bin", "--path", str(target), code=6
    )
    assert "weights.bin" in shell.run("artifacts", "download", "--parent-id", parent, "--name", "model/wieghts.bin", code=5)


def test_checkpoints_models_and_versions(shell: Shell, tmp_path: Path) -> None:
    (made,) = shell.json("experiments", "create", "--name", "parent")
    (tmp_path / "c.pt").write_bytes(b"state")
    words = ("--experiment-id", made["experiment_id"], "--epoch", "3", "--path", str(tmp_path / "c.pt"), "--upload")
    (checkpoint,) = shell.json("checkpoints", "create", *words)
    assert len(checkpoint["checksum"]) == 32
    (listed,) = shell.json("checkpoints", "list", "--experiment-id", made["experiment_id"])
    assert (listed["checkpoint_id"], listed["epoch"], listed["files"]) == (checkpoint["checkpoint_id"], 3, "c.pt")
    shell.run("models", "create", "--name", "digits", "--task", "classification")
    with modelbox.ModelBox(shell.store) as box:
        box.model("digits").new_model_version("1", unique_tags=["prod"])
    assert [one["name"] for one in shell.json("models", "list")] == ["digits"]
    assert [(one["version"], one["tags"]) for one in shell.json("versions", "digits")] == [("1", "prod")]


def test_what_did_not_arrive_is_a_failure(shell: Shell, tmp_path: Path) -> None:
    """A training script goes on while its store is away; whoever reads an exit code wants to know."""
    with modelbox.ModelBox(shell.store) as box:
        run = box.start("demo")
        run.finish()
    file = tmp_path / "model.pt"
    file.write_bytes(b"weights")
    nobody = f"127.0.0.1:{free_port()}"
    for command in (
        ("experiments", "create", "--name", "x"),
        ("checkpoints", "create", "--experiment-id", run.id),
        ("artifacts", "upload", "--parent-id", run.id, "--path", str(file)),
        ("artifacts", "track", "--parent-id", run.id, "--path", str(file)),
    ):
        assert nobody in shell.run(*command, "--address", nobody, code=3)


def test_the_query_language_is_that_of_the_notebook(shell: Shell) -> None:
    with modelbox.ModelBox(shell.store) as box:
        for lr in (0.1, 0.2):
            box.start("demo", params={"lr": lr}).finish()
    (found,) = shell.json("query", "params.lr < 0.15")
    assert found["params.lr"] == 0.1
    assert len(shell.json("experiments", "list", "--query", "params.lr > 0.15")) == 1
    error = shell.run("query", "params.lr <", code=2)
    assert "^" in error
    assert shell.run("query", "params.lr > 9", code=5) == "modelbox: The query finds no experiment.\n"


def test_a_query_chooses_columns_and_sql_selects(shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with modelbox.ModelBox(shell.store) as box:
        for lr in (0.1, 0.2):
            with box.start("=demo", params={"lr": lr}) as run:
                run.log(loss=lr if lr < 0.15 else float("inf"))
    shown = shell.csv("query", "order by params.lr show name, metrics.loss.first")
    assert [list(row) for row in shown] == [["experiment_id", "name", "metrics.loss.first"]] * 2
    assert [row["name"] for row in shown] == ["'=demo", "'=demo"]
    statement = "select name, max from experiments join metrics on object_id = experiment_id order by max"
    assert shell.json("sql", statement) == [{"name": "=demo", "max": 0.1}, {"name": "=demo", "max": "Infinity"}]
    assert "Did you mean 'experiments'?" in shell.run("sql", "select * from experimints", code=2)
    monkeypatch.setenv("MODELBOX_API_ADDR", str(shell.store))
    for words in (["sql", "select count(*) as n from experiments"], ["query", "params.lr = 0.1 show name"]):
        assert main([*words, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)) == 1


def test_changes_are_watched_as_they_happen(shell: Shell) -> None:
    shell.run("experiments", "create", "--name", "before", "--namespace", "w")
    with modelbox.ModelBox(shell.store) as box:
        timer = threading.Timer(0.5, lambda: box.new_experiment("after", namespace="w"))
        timer.start()
        lines = shell.run("watch", "--namespace", "w", "--since-start", "--limit", "2", "--json").splitlines()
        timer.join()
    assert [(json.loads(line)["kind"], json.loads(line)["object_type"]) for line in lines] == [("created", "experiment")] * 2


def test_events_and_members(shell: Shell) -> None:
    with modelbox.ModelBox(shell.store) as box, box.start("demo") as run:
        run.log_event("checkpoint written", source="trainer", metadata={"n": 1})
    (event,) = shell.json("events", run.id)
    assert (event["name"], event["source"], event["metadata"]) == ("checkpoint written", "trainer", {"n": 1})
    assert shell.json("cluster-members") == []  # a store in a folder has no server


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_printed_as_they_are(shell: Shell, name: str) -> None:
    shell.run("experiments", "create", "--name", name)
    assert shell.json("experiments", "list")[0]["name"] == name
    (row,) = shell.csv("experiments", "list")
    assert row["name"] == (f"'{name}" if name.startswith("=") else name)
    assert (name[:50]) in shell.run("experiments", "list")


def test_what_a_terminal_would_act_on_is_written_out(shell: Shell) -> None:
    with modelbox.ModelBox(shell.store) as box, box.start("demo", metadata={"evil": "\x1b[31mred\x07"}) as run:
        pass
    shown = shell.run("experiments", "show", run.id)
    assert "\x1b" not in shown
    assert "\\x1b[31mred" in shown


def test_mistakes_are_one_sentence_and_a_code(shell: Shell) -> None:
    assert shell.run("experiments", "show", "0" * 40, code=5).count("\n") == 1
    assert "There is no command 'experimnts'. Did you mean 'experiments'?" in shell.run("experimnts", code=2)
    assert "--name" in shell.run("experiments", "create", code=2)


def test_init_config_is_what_clients_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["client", "init-config"]) == 0
    assert (tmp_path / "modelbox_client.toml").read_text().splitlines()[-1] == 'server_addr = ":8085"'
    assert modelbox.ModelBox().where.address == "http://localhost:8085"
    assert main(["client", "init-config"]) == 6
    assert "--force" in capsys.readouterr().err
