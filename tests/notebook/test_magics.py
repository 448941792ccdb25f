"""%modelbox in a shell."""

import shlex
import time
from typing import Literal

import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from modelbox.client.connection import ModelBox
from modelbox.client.discovery import Where
from modelbox.errors import InvalidQuery, InvalidRequest, NotFound
from modelbox.notebook.command import Command, Parser
from modelbox.notebook.commands import COMMANDS
from modelbox.notebook.views import ExperimentView, OpenView, StatusView
from modelbox_widgets.comparison import Comparison
from modelbox_widgets.testing import HOSTILE_NAMES


def run(shell: InteractiveShell, line: str) -> object:
    return shell.run_line_magic("modelbox", line)


def trained(box: ModelBox, name: str = "digits", **params: object) -> str:
    with box.start(name, namespace="équipe/vision", params=params, tags=["search"]) as experiment:
        for step in range(5):
            experiment.log({"val/loss @1": 1 / (step + 1), "accuracy": float("nan") if step == 2 else step / 5}, step=step)
    return experiment.id


def test_status_says_which_store_and_why(terminal: InteractiveShell) -> None:
    status = run(terminal, "status")
    assert isinstance(status, StatusView)
    assert "because     a test asked for it" in repr(status)
    assert "ephemeral" in status._repr_html_()


def test_runs_are_a_frame_that_can_be_filtered(terminal: InteractiveShell, box: ModelBox) -> None:
    trained(box, lr=0.1)
    box.start("elsewhere").finish()
    frame = run(terminal, "runs --namespace équipe")
    assert frame["name"].tolist() == ["digits"]
    assert len(run(terminal, "runs --limit 1")) == 1
    with pytest.raises(InvalidRequest, match="at least one run"):
        run(terminal, "runs --limit 0")


def test_show_finds_an_experiment_by_name_by_id_and_by_the_start_of_its_id(terminal: InteractiveShell, box: ModelBox) -> None:
    run_id = trained(box, "my run", lr=0.1)
    for words in ("'my run'", run_id, run_id[:8]):
        view = run(terminal, f"show {words}")
        assert isinstance(view, ExperimentView)
        assert view.record.id == run_id
    text = repr(view)
    assert "params.lr" in text
    assert "val/loss @1" in text


def test_show_displays_the_record_and_its_curves(terminal: InteractiveShell, box: ModelBox) -> None:
    trained(box)
    run(terminal, "show digits")._ipython_display_()  # type: ignore[attr-defined]
    record, chart = terminal.display_pub.outputs
    assert set(record["data"]) == {"text/html", "text/plain"}
    assert set(chart["data"]) == {"application/vnd.vegalite.v6+json", "image/png", "text/plain"}


def test_an_experiment_that_is_not_there_names_the_nearest(terminal: InteractiveShell, box: ModelBox) -> None:
    trained(box)
    with pytest.raises(NotFound, match="Did you mean 'digits'"):
        run(terminal, "show dijits")


def test_compare_takes_names_or_filters(terminal: InteractiveShell, box: ModelBox) -> None:
    first, second = trained(box, lr=0.1), trained(box, lr=0.2)
    by_id = run(terminal, f"compare {first} {second} --metric accuracy")
    assert isinstance(by_id, Comparison)
    assert by_id.metrics == ["accuracy"]
    by_filter = run(terminal, "compare --namespace équipe/vision")
    assert isinstance(by_filter, Comparison)
    assert list(by_filter.differences.columns) == ["params.lr"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_shown_literally(terminal: InteractiveShell, box: ModelBox, name: str) -> None:
    with box.start(name, params={name: name}) as experiment:
        experiment.log({name: 1.0})
    html = run(terminal, f"show {experiment.id}")._repr_html_()  # type: ignore[attr-defined]
    assert "<img" not in html
    assert "</script" not in html


def test_a_cell_of_sql_is_shown_or_kept(terminal: InteractiveShell, box: ModelBox, capsys: pytest.CaptureFixture[str]) -> None:
    trained(box, lr=0.1)
    trained(box, lr=0.2)
    statement = "select value as lr from params where name = 'lr' order by lr"
    shown = terminal.run_cell_magic("modelbox", "sql", statement)
    assert shown["lr"].tolist() == [0.1, 0.2]
    assert terminal.run_cell_magic("modelbox", "sql rates", statement) is None
    assert terminal.user_ns["rates"].equals(shown)
    assert capsys.readouterr().out == "rates: 2 rows, 1 columns\n"
    with pytest.raises(UsageError, match="no name of a variable"):
        terminal.run_cell_magic("modelbox", "sql a.b", statement)
    with pytest.raises(InvalidQuery, match="INSERT is not allowed"):
        terminal.run_cell_magic("modelbox", "sql", "insert into experiments values (1)")


def test_an_unknown_word_lists_the_commands_and_the_nearest(terminal: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'status'"):
        run(terminal, "statsu")
    terminal.run_cell("%modelbox statsu")
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    assert "There is: status, runs, show, compare, diff, query, watch, sync, open, help" in printed.err


@pytest.mark.parametrize("line", ["show 'never closed", "runs --limit many", "runs --colour", "show", "run x"])
def test_a_mistake_is_one_line_and_no_traceback(terminal: InteractiveShell, capsys: pytest.CaptureFixture[str], line: str) -> None:
    result = terminal.run_cell(f"%modelbox {line}")
    assert isinstance(result.error_in_exec, UsageError)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(terminal: InteractiveShell, capsys: pytest.CaptureFixture[str], command: str) -> None:
    kind = "run_cell_magic" if COMMANDS[command].takes_cell else "run_line_magic"
    arguments = ("modelbox", f"{command} --help", "pass")[: 3 if COMMANDS[command].takes_cell else 2]
    getattr(terminal, kind)(*arguments)
    printed = capsys.readouterr().out
    assert f"modelbox {command}" in printed
    assert COMMANDS[command].summary in printed
    assert f"modelbox {COMMANDS[command].example}\n" in printed


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_every_example_is_one(command: Command) -> None:
    name, *words = shlex.split(command.example)
    assert name == command.name
    assert Parser(command).parse(words) is not None


def test_help_explains_one_command_too(terminal: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    run(terminal, "help runs")
    run(terminal, "runs --help")
    first, second = capsys.readouterr().out.split("usage: ")[1:]
    assert first == second
    with pytest.raises(UsageError, match="Did you mean 'watch'"):
        run(terminal, "help wacth")


def test_a_misspelt_option_names_the_nearest(terminal: InteractiveShell) -> None:
    with pytest.raises(UsageError, match=r"has no option '--namspace'\. Did you mean '--namespace'\?"):
        run(terminal, "runs --namspace x")
    with pytest.raises(UsageError, match="does not know what to do with 'more'"):
        run(terminal, "show digits more")


def test_diff_lists_what_differs(terminal: InteractiveShell, box: ModelBox) -> None:
    first, second = trained(box, lr=0.1, depth=3), trained(box, lr=0.2, depth=3)
    frame = run(terminal, f"diff {first[:8]} {second[:8]}")
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["params.lr"]
    with pytest.raises(InvalidRequest, match="nothing to differ from"):
        run(terminal, f"diff {first}")


def test_query_shows_the_columns_that_it_speaks_of(terminal: InteractiveShell, box: ModelBox) -> None:
    trained(box, lr=0.1)
    trained(box, lr=0.2)
    frame = run(terminal, 'query params.lr < 0.15 order by metrics."val/loss @1".min')
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["experiment_id", "name", "status", "params.lr", "metrics.val/loss @1.min"]
    assert frame["params.lr"].tolist() == [0.1]
    assert list(run(terminal, "query show params.lr").columns) == ["experiment_id", "params.lr"]  # type: ignore[attr-defined]


def test_sync_says_what_was_sent(terminal: InteractiveShell) -> None:
    assert repr(run(terminal, "sync")) == "0 points sent from 0 journals."


@pytest.mark.parametrize(
    ("kind", "address", "text", "html"),
    [
        ("jupyter", "http://127.0.0.1:8888/modelbox", "ModelBox panel", 'data-commandlinker-command="modelbox:show-panel"'),
        ("server", "https://example.org/<b>", "https://example.org/<b>", 'href="https://example.org/&lt;b&gt;"'),
        ("local", "/home/me/<b>", "%modelbox runs", "/home/me/&lt;b&gt;"),
    ],
)
def test_open_leads_to_the_experiments(kind: Literal["jupyter", "server", "local"], address: str, text: str, html: str) -> None:
    view = OpenView(Where(kind, address, "a test says so"))
    assert text in repr(view)
    assert html in view._repr_html_()


def test_watch_draws_what_runs_until_it_is_over(shell: InteractiveShell, box: ModelBox) -> None:
    experiment = box.start("slow")
    shell.display_pub.outputs.clear()
    experiment.log(loss=0.5)
    shell.run_cell("%modelbox watch").raise_error()
    watched = shell.display_pub.outputs[0]["transient"]["display_id"]

    def shown(*words: str) -> bool:
        """Wait until the chart says so."""
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            outputs = [output["data"] for output in shell.display_pub.outputs if output["transient"]["display_id"] == watched]
            if all(word in outputs[-1]["text/plain"] for word in words):
                return True
            time.sleep(0.05)
        return False

    assert shown("slow: running")
    box.start("late").log(loss=0.25)
    assert shown("slow: running", "late: running")
    for run in box.experiments(status="running"):  # somebody else: the chart is not told
        run.finish()
    assert shown("slow: finished", "late: finished")


def test_watch_says_that_nothing_runs(terminal: InteractiveShell, box: ModelBox, capsys: pytest.CaptureFixture[str]) -> None:
    run(terminal, "watch")
    assert "there is none yet" in capsys.readouterr().out
    run_id = trained(box)
    run(terminal, "watch")
    assert f"%modelbox watch {run_id[:10]}" in capsys.readouterr().out


def test_show_has_the_exception_of_a_cell(terminal: InteractiveShell) -> None:
    terminal.run_cell("%%modelbox run bad\nraise ValueError('<b>' * 3)")
    view = run(terminal, "show bad")
    assert "ValueError: <b><b><b>" in repr(view)
    assert "ValueError: &lt;b&gt;" in view._repr_html_()  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", ["", "help", "--help"])
def test_help_lists_every_command(terminal: InteractiveShell, capsys: pytest.CaptureFixture[str], line: str) -> None:
    run(terminal, line)
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)


def test_names_may_hold_blanks_quotes_and_python_variables(terminal: InteractiveShell, box: ModelBox) -> None:
    trained(box, "it's here")
    terminal.user_ns["name"] = "it's here"
    assert run(terminal, 'show "it\'s here"').record.name == "it's here"  # type: ignore[attr-defined]
    result = terminal.run_cell('%modelbox show "{name}"')
    assert result.result.record.name == "it's here"
