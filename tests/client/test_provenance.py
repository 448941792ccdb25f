"""Provenance: what code, on what machine, with which packages; found beside the training, without secrets."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modelbox.client import companions, provenance
from modelbox.client.companions import Wanted
from modelbox.client.masking import masked_arguments, masked_text, without_credentials
from modelbox.client.notices import Notices
from modelbox.client.provenance import MAX_DIFF_BYTES, command_line, git_state, installed_packages
from modelbox.errors import ServerUnreachable
from modelbox.testing import FaultyTransport, memory_connection

WANTED = Wanted(provenance=True)


class Repository:
    """A git work tree of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self("init", "-q", "-b", "équipe/main")

    def __call__(self, *words: str) -> str:
        git = ["git", "-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run([*git, *words], cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def commit(self, name: str, text: str) -> None:
        self.write(name, text)
        self("add", name)
        self("commit", "-q", "-m", "a change")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository(tmp_path / "dépôt with blanks")
    monkeypatch.chdir(made.folder)
    monkeypatch.setattr(provenance, "_git", {})
    return made


# --- git ----------------------------------------------------------------------------------------------------------------------------------


def test_a_clean_work_tree_is_a_commit_and_a_branch(repository: Repository) -> None:
    repository.commit("train.py", "lr = 0.1\n")
    repository.write("untracked.txt", "x")
    head = repository("rev-parse", "HEAD").strip()
    assert git_state(repository.folder) == {"commit": head, "branch": "équipe/main", "dirty": False}


def test_a_changed_file_is_kept_as_a_patch_that_can_be_applied(repository: Repository) -> None:
    repository.commit("train.py", "lr = 0.1\n")
    repository.write("train.py", "lr = 0.2  # schneller é\n")
    state = git_state(repository.folder)
    assert state["dirty"] is True
    repository("checkout", "-q", "train.py")
    (repository.folder / "change.patch").write_text(str(state["diff"]))
    repository("apply", "change.patch")
    assert (repository.folder / "train.py").read_text() == "lr = 0.2  # schneller é\n"


def test_what_is_staged_belongs_to_the_patch(repository: Repository) -> None:
    repository.commit("train.py", "lr = 0.1\n")
    repository.write("new.py", "x = 1\n")
    repository("add", "new.py")
    assert "+x = 1" in str(git_state(repository.folder)["diff"])


def test_a_patch_is_cut_where_it_grows_too_long(repository: Repository) -> None:
    repository.commit("data.txt", "a\n")
    repository.write("data.txt", "0123456789\n" * 500_000)
    diff = str(git_state(repository.folder)["diff"])
    assert MAX_DIFF_BYTES < len(diff) < MAX_DIFF_BYTES + 200
    assert diff.endswith("[cut by ModelBox: only the first 256 KiB are kept]\n")


def test_a_repository_without_a_commit_has_none(repository: Repository) -> None:
    assert git_state(repository.folder) == {"branch": "équipe/main", "dirty": False}


def test_a_detached_head_has_no_branch(repository: Repository) -> None:
    repository.commit("a", "1")
    repository("checkout", "-q", "--detach")
    assert "branch" not in git_state(repository.folder)


def test_the_address_of_the_remote_has_no_credentials(repository: Repository) -> None:
    repository("remote", "add", "origin", "https://ci:hunter2@example.org/team/a.git")
    assert git_state(repository.folder)["remote"] == "https://example.org/team/a.git"


def test_outside_of_a_work_tree_there_is_no_git_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git_state(tmp_path) == {}
    assert git_state(tmp_path / "missing") == {}
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert git_state(tmp_path) == {}


def test_looking_changes_nothing_in_the_repository(repository: Repository) -> None:
    repository.commit("a", "1")
    os.utime(repository.folder / "a", (1e9, 1e9))  # git would refresh its index now
    before = (repository.folder / ".git" / "index").read_bytes()
    git_state(repository.folder)
    assert (repository.folder / ".git" / "index").read_bytes() == before


def test_programs_that_a_repository_names_are_not_started(repository: Repository, tmp_path: Path) -> None:
    repository.commit("a", "1\n")
    program = tmp_path / "evil"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\ncat\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "diff.external", "diff.evil.textconv", "diff.evil.command"):
        repository("config", key, str(program))
    repository.write(".gitattributes", "* diff=evil\n")
    repository.write("a", "2\n")
    assert git_state(repository.folder)["dirty"] is True
    assert not (tmp_path / "started").exists()


def test_a_git_that_hangs_is_given_up_and_not_asked_again(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\necho >> {tmp_path}/calls\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    monkeypatch.setattr(provenance, "_GIT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(provenance, "_GIT_FRESH_S", 0.0)
    assert "git.commit" not in provenance.provenance([repository.folder])
    assert "environment.python" in provenance.provenance([repository.folder])
    assert (tmp_path / "calls").read_text() == "\n"


def test_the_first_folder_with_a_work_tree_counts(repository: Repository, tmp_path: Path) -> None:
    repository.commit("a", "1")
    assert "git.commit" in provenance.provenance([tmp_path, repository.folder])


def test_an_edit_is_seen_after_ten_seconds_and_a_loop_of_runs_asks_once(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit("a", "1")
    assert provenance.provenance([repository.folder])["git.dirty"] is False
    repository.write("a", "2")
    assert provenance.provenance([repository.folder])["git.dirty"] is False
    monkeypatch.setattr(provenance, "_GIT_FRESH_S", 0.0)
    assert provenance.provenance([repository.folder])["git.dirty"] is True


# --- packages and machine -----------------------------------------------------------------------------------------------------------------


def test_packages_are_those_that_importlib_finds() -> None:
    from importlib.metadata import distributions

    found = installed_packages()
    assert found["numpy"]
    expected = {name.lower().replace("_", "-").replace(".", "-") for d in distributions() if (name := d.metadata["Name"])}
    assert found.keys() == expected


def test_packages_are_listed_once_per_search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "Py_YAML.extra-6.0.dist-info").mkdir(parents=True)
    (second / "py.yaml_extra-5.0-py3.11.egg-info").mkdir(parents=True)
    (second / "no_version.egg-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(first), str(tmp_path / "missing.zip"), str(second)])
    assert installed_packages() == {"py-yaml-extra": "6.0"}
    (first / "later-1.0.dist-info").mkdir()
    assert installed_packages() == {"py-yaml-extra": "6.0"}


def test_a_folder_that_was_deleted_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with memory_connection(wanted=WANTED) as box:
        with box.start("demo") as run:
            pass
        assert run.metadata()["environment.pid"] == os.getpid()


# --- secrets ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--hf-token", "abc", "--lr", "0.1"], ["--hf-token", "[masked]", "--lr", "0.1"]),
        (["--password=abc", "API_KEY=xyz", "db.password=p"], ["--password=[masked]", "API_KEY=[masked]", "db.password=[masked]"]),
        (["--token", "--next", "value"], ["--token", "--next", "value"]),
        (["--tokenizer", "bert", "--max-tokens=512"], ["--tokenizer", "bert", "--max-tokens=512"]),
        (["postgres://me:pw@host/db", "--url=https://tok@host/x"], ["postgres://host/db", "--url=https://host/x"]),
        (["-c", "api_key = 'abc'; train()"], ["-c", "api_key = [masked]; train()"]),
    ],
)
def test_secrets_of_a_command_line_are_masked(given: list[str], kept: list[str]) -> None:
    assert masked_arguments(given) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('+HF_TOKEN = "hf_abc"', "+HF_TOKEN = [masked]"),
        ("+  password: 'a b'", "+  password: [masked]"),
        ('{"secret_key": "k"}', '{"secret_key": [masked]}'),
        ("export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI7MDENGbPxRfiCY", "export AWS_SECRET_ACCESS_KEY=[masked]"),
        ("token = next_token_of_the_stream()", "token = next_token_of_the_stream()"),
        ("max_tokens = 1024", "max_tokens = 1024"),
        ('def f(token: str = "")', 'def f(token: str = "")'),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
    ],
)
def test_secrets_of_a_patch_are_masked_and_code_is_not(given: str, kept: str) -> None:
    assert masked_text(given) == kept


def test_the_user_of_an_ssh_address_is_no_secret_but_a_password_is() -> None:
    assert without_credentials("ssh://git@example.org/a") == "ssh://git@example.org/a"
    assert without_credentials("ssh://git:pw@example.org/a") == "ssh://example.org/a"


def test_a_command_line_is_text_that_every_store_keeps() -> None:
    assert command_line(["train.py", "a b", "\udcff", "x" * 10_000]) == f"train.py 'a b' '?' {'x' * 10_000}"[:4000] + " …"
    assert command_line([]) is None


# --- with experiments ---------------------------------------------------------------------------------------------------------------------


def test_a_started_experiment_keeps_code_machine_and_packages(repository: Repository) -> None:
    repository.commit("train.py", "lr = 0.1\n")
    repository.write("train.py", 'lr = 0.2\napi_key = "abc"\n')
    with memory_connection(wanted=WANTED) as box:
        with box.start("demo", params={"lr": 0.2}) as run:
            pass
        kept = run.metadata()
    assert kept["params.lr"] == 0.2
    assert kept["git.dirty"] is True
    assert kept["git.commit"] == repository("rev-parse", "HEAD").strip()
    assert "api_key = [masked]" in str(kept["git.diff"])
    assert kept["environment.packages"]["numpy"]
    assert kept["environment.python"] == ".".join(map(str, sys.version_info[:3]))
    assert kept["environment.pid"] == os.getpid()
    assert kept.keys() >= {"environment.host", "environment.platform"}


def test_what_the_caller_gave_is_not_replaced(repository: Repository) -> None:
    repository.commit("a", "1")
    with memory_connection(wanted=WANTED) as box:
        with box.start("demo", metadata={"git.commit": "mine"}) as run:
            pass
        assert run.metadata()["git.commit"] == "mine"
        assert run.metadata()["git.branch"] == "équipe/main"


def test_nothing_is_kept_where_nothing_is_wanted_and_for_continued_experiments() -> None:
    with memory_connection() as box:
        with box.start("demo") as run:
            pass
        assert run.metadata() == {}
    with memory_connection(wanted=WANTED) as box:
        assert box.new_experiment("demo").metadata() == {}


def test_start_does_not_wait_for_git(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    monkeypatch.setattr(provenance, "provenance", lambda folders: {"git.commit": "abc"} if hold.wait(30) else {})
    with memory_connection(wanted=WANTED) as box:
        run = box.start("demo")
        assert run.metadata() == {}
        hold.set()
        run.finish()
        assert run.metadata() == {"git.commit": "abc"}


def test_the_end_waits_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    monkeypatch.setattr(provenance, "provenance", lambda folders: {"git.dirty": hold.wait(30)})
    monkeypatch.setattr(companions, "_LONGEST_WAIT_S", 0.2)
    with memory_connection(wanted=WANTED) as box:
        begin_s = time.monotonic()
        box.start("demo").finish()
        assert time.monotonic() - begin_s < 10
        hold.set()


@pytest.mark.parametrize("error", [ServerUnreachable("The server is away."), ZeroDivisionError("a fault of ours")])
def test_whatever_goes_wrong_is_one_line_in_the_log(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(folders: object) -> dict[str, object]:
        raise error

    monkeypatch.setattr(provenance, "provenance", fail)
    monkeypatch.setattr(companions, "_notices", Notices())
    with memory_connection(wanted=WANTED) as box:
        for _ in range(3):
            with box.start("demo") as run:
                run.log(loss=1)
    assert len(caplog.records) == 1


def test_an_experiment_that_is_deleted_at_once_leaves_no_complaint(caplog: pytest.LogCaptureFixture) -> None:
    with memory_connection(wanted=WANTED) as box:
        for _ in range(5):
            box.start("demo").delete()
    assert caplog.records == []


def test_an_outage_after_the_start_does_not_reach_training(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty: list[FaultyTransport] = []

    def wrap(transport: object) -> FaultyTransport:
        faulty.append(FaultyTransport(transport))  # type: ignore[arg-type]
        return faulty[0]

    hold = threading.Event()
    found = provenance.provenance
    monkeypatch.setattr(provenance, "provenance", lambda folders: found(folders) if hold.wait(30) else {})
    monkeypatch.setattr(companions, "_notices", Notices())
    with memory_connection(wanted=WANTED, wrap=wrap) as box:
        run = box.start("demo")
        faulty[0].away = ServerUnreachable("The server is away.")
        hold.set()
        assert run._companions is not None
        run._companions.end()
        assert not run.flush(0.5)
        assert "The server is away." in caplog.text
        faulty[0].away = None
        assert run.flush(10)
        assert run.metadata()
