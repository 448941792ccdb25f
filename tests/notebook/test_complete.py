"""The Tab key in lines with %modelbox."""

import threading
from collections.abc import Iterator

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from modelbox.client import shared
from modelbox.client.connection import ModelBox
from modelbox.notebook import complete, known
from modelbox.notebook.commands import COMMANDS
from modelbox.notebook.complete import candidates
from modelbox.notebook.known import Knowledge, Known
from modelbox_widgets.testing import HOSTILE_NAMES

KNOWN = Known(
    names=("digits", "my run", "it's"),
    ids=("4f2a91c0" * 5,),
    namespaces=("équipe/vision", "team"),
    groups=("seeds",),
    params=("lr", "opt.beta"),
    tags=("baseline", "a b"),
    metrics=("loss", "val/loss", "val/loss @1"),
)


def after(line: str) -> tuple[str, list[str]]:
    found = candidates(line, lambda: KNOWN)
    assert found is not None
    assert line.endswith(found.fragment)
    return found.fragment, found.words


@pytest.mark.parametrize("line", ["x = 1", "modelbox.", "%time modelbox", "print('%modelbox ')", "# modelbox ru", "%modelboxes r"])
def test_other_lines_are_none_of_ours(line: str) -> None:
    assert candidates(line, lambda: pytest.fail("the store was asked")) is None


@pytest.mark.parametrize("line", ["%modelbox ", "  %modelbox ", "frame = %modelbox "])
def test_subcommands(line: str) -> None:
    assert after(line)[1] == [name for name, command in COMMANDS.items() if not command.takes_cell]
    assert after(f"{line}s")[1] == ["status", "show", "sync"]


def test_subcommands_of_a_cell() -> None:
    assert "run" in after("%%modelbox ")[1]
    assert "runs" not in after("%%modelbox ")[1]


def test_options_and_their_values() -> None:
    assert after("%modelbox runs --na")[1] == ["--namespace", "--name"]
    assert after("%modelbox runs --namespace éq") == ("éq", ["équipe/vision"])
    assert after("%modelbox runs --namespace=te") == ("te", ["team"])
    assert after("%modelbox runs -g ")[1] == ["seeds"]
    assert after("%modelbox runs --status f")[1] == ["finished", "failed"]
    assert after("%modelbox compare --metric val")[1] == ["val/loss", "'val/loss @1'"]
    assert after("%%modelbox run x --param l")[1] == ["lr="]
    assert after("%%modelbox run x --tags baseline,a") == ("a", ["'a b'"])
    assert after("%modelbox help wa")[1] == ["watch"]


def test_experiments_by_name_and_by_the_start_of_their_id() -> None:
    assert after("%modelbox show ")[1] == ["digits", "'my run'", "'it'\"'\"'s'"]
    assert after("%modelbox show 'my") == ("'my", ["'my run'"])
    assert after('%modelbox show "it') == ('"it', ['"it\'s"'])
    assert after("%modelbox show 4f2")[1] == ["4f2a91c04f"]
    assert after("%modelbox compare digits my")[1] == ["'my run'"]
    assert after("%modelbox show digits ")[1] == []


def test_fields_keys_statistics_and_values_of_a_query() -> None:
    assert "metrics." in after("%modelbox runs me")[1]
    assert after("%modelbox runs params.")[1] == ["params.lr", 'params."opt.beta"']
    assert after("%modelbox runs params.lr < 0.1 and metrics.val") == (
        "metrics.val",
        ["metrics.val/loss", 'metrics."val/loss @1"'],
    )
    assert after("%modelbox runs metrics.loss.m")[1] == ["metrics.loss.min", "metrics.loss.max", "metrics.loss.mean"]
    assert after('%modelbox query metrics."val/loss @1".l')[1] == ['metrics."val/loss @1".last']
    assert after("%modelbox runs status = fi") == ("fi", ["finished"])
    assert after('%modelbox runs name = "my') == ('"my', ['"my run"'])
    assert after("%modelbox runs status in (failed, r") == ("r", ["running"])
    assert "order by" in after("%modelbox runs params.lr < 0.1 o")[1]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_never_break_a_line(name: str) -> None:
    hostile = Known(names=(name,), namespaces=(name,), groups=(name,), params=(name,), tags=(name,), metrics=(name,))
    for line in ("%modelbox show ", "%modelbox runs -n ", "%modelbox runs metrics.", "%modelbox runs name = ", "%%modelbox run x -p "):
        found = candidates(line, lambda: hostile)
        assert found is not None
        assert all("\n" not in word for word in found.words)


# --- in a shell --------------------------------------------------------------------------------------------------------------------------


def completed(shell: InteractiveShell, text: str) -> list[str]:
    assert shell.Completer is not None
    with provisionalcompleter():
        return [text[: found.start] + found.text for found in shell.Completer.completions(text, len(text))]


def test_a_shell_completes_what_the_store_has(terminal: InteractiveShell, box: ModelBox) -> None:
    with box.start("digits", namespace="équipe/vision", params={"lr": 0.1}) as run:
        run.log(loss=1)
    assert completed(terminal, "x = 1\n%modelbox show di") == ["x = 1\n%modelbox show digits"]
    assert completed(terminal, "%modelbox runs params.") == ["%modelbox runs params.lr"]
    assert completed(terminal, "%modelbox runs -n é") == ["%modelbox runs -n équipe/vision"]
    assert "%modelbox runs --status" in completed(terminal, "%modelbox runs --")


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A store that does not answer until the event is set."""
    answer = threading.Event()

    def wait() -> ModelBox:
        assert answer.wait(60)
        raise OSError("no route to host")

    monkeypatch.setattr(known, "default_connection", wait)
    yield answer
    answer.set()


def test_a_store_that_is_away_is_silence(
    terminal: InteractiveShell, away: threading.Event, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(known, "_PATIENCE_S", 0.01)
    assert "%modelbox status" in completed(terminal, "%modelbox st")
    assert completed(terminal, "%modelbox show di") == ["%modelbox show di"]
    assert "Traceback" not in "".join(capsys.readouterr())


def test_the_store_is_asked_once_in_a_while(box: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ModelBox] = []
    real = Known.of
    monkeypatch.setattr(known.Known, "of", lambda connection: (asked.append(connection), real(connection))[1])
    knowledge = Knowledge()
    box.start("digits").finish()
    for _ in range(5):
        knowledge.now()
    while knowledge.now().names != ("digits",):  # the first answer may have come late
        pass
    assert len(asked) == 1
    knowledge.forget()
    shared.default_connection().start("other").finish()
    while "other" not in knowledge.now().names:
        pass
    assert len(asked) == 2


def test_a_mistake_of_ours_prints_nothing(
    terminal: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(complete, "candidates", broken)
    completed(terminal, "%modelbox show d")
    assert "".join(capsys.readouterr()) == ""
