"""%%modelbox run: a cell becomes an experiment and behaves as if it were none."""

import json

import nbformat
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from modelbox.client import shared
from modelbox.client.companions import Wanted
from modelbox.client.connection import ModelBox
from modelbox.client.experiment import Experiment
from modelbox.testing import memory_connection


def newest(box: ModelBox) -> Experiment:
    return box.experiments()[0]


def kept_cell(experiment: Experiment) -> dict[str, object]:
    """Return the cell that was kept, which is a valid notebook of one cell."""
    notebook = json.loads(experiment.artifact("cell.ipynb").read_bytes())
    nbformat.validate(notebook)
    (cell,) = notebook["cells"]
    return cell


def test_a_cell_is_kept_with_its_source_and_settings(terminal: InteractiveShell, box: ModelBox) -> None:
    source = "import modelbox\nx = 20\nmodelbox.log(loss=0.5)\nx + 1"
    line = "run 'my cell' --param lr=1e-3 -p kind=adam -p deep=true --tag a -t b --namespace équipe/vision --group g"
    result = terminal.run_cell(f"%%modelbox {line}\n{source}")
    experiment = newest(box)
    assert (experiment.name, experiment.namespace, experiment.group) == ("my cell", "équipe/vision", "g")
    assert experiment.status == "finished"
    assert experiment.params == {"lr": 0.001, "kind": "adam", "deep": True}
    assert experiment.tags == ["a", "b"]
    assert experiment.metadata()["cell.source"].strip() == source
    assert experiment.metadata()["cell.duration_s"] > 0
    assert experiment.all_metrics()["loss"][0].value == 0.5
    assert terminal.user_ns["x"] == 20
    assert result.success


def test_the_last_expression_is_shown(terminal: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.run_cell("%%modelbox run shows\n'pine' + 'apple'")
    assert "pineapple" in capsys.readouterr().out


def test_magics_inside_of_the_cell_work(terminal: InteractiveShell, box: ModelBox) -> None:
    terminal.run_cell("%%modelbox run inner\nnames = %who_ls\n!true")
    assert "names" in terminal.user_ns
    assert newest(box).status == "finished"


def test_an_exception_fails_the_run_and_passes_unchanged(terminal: InteractiveShell, box: ModelBox) -> None:
    result = terminal.run_cell("%%modelbox run bad\ndef f():\n    return 1 / 0\nf()")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    experiment = newest(box)
    assert experiment.status == "failed"
    kept = experiment.metadata()["cell.error"]
    assert (kept["type"], kept["message"]) == ("ZeroDivisionError", "division by zero")
    assert "return 1 / 0" in kept["traceback"]
    assert "modelbox" not in kept["traceback"].replace("get_ipython().run_line_magic('modelbox', 'run bad')", "")
    assert "\x1b" not in kept["traceback"]


def test_the_traceback_is_that_of_the_cell_alone(terminal: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    body = "def f():\n    return 1 / 0\nf()"
    terminal.run_cell(body)
    plain = capsys.readouterr().out
    terminal.run_cell(f"%%modelbox run bad\n{body}")
    printed = capsys.readouterr().out
    assert printed.count("ZeroDivisionError") == plain.count("ZeroDivisionError")
    assert "cell.py" not in printed
    assert "run_cell_magic" not in printed
    assert "return" in printed


def test_an_interrupt_is_told_apart_from_a_failure(terminal: InteractiveShell, box: ModelBox) -> None:
    result = terminal.run_cell("%%modelbox run stopped\nraise KeyboardInterrupt")
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    assert newest(box).status == "interrupted"


def test_a_typo_is_no_experiment(terminal: InteractiveShell, box: ModelBox, capsys: pytest.CaptureFixture[str]) -> None:
    result = terminal.run_cell("%%modelbox run typo\nx = = 3")
    assert isinstance(result.error_before_exec, SyntaxError)
    assert box.experiments() == []
    printed = capsys.readouterr().out
    assert "x = = 3" in printed
    assert "File" not in printed


def test_a_parameter_without_a_value_is_marked(terminal: InteractiveShell, box: ModelBox, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.run_cell("%%modelbox run p --param lr\npass")
    assert "--param 'lr' is not KEY=VALUE" in capsys.readouterr().err
    assert box.experiments() == []


def test_a_cell_of_comments_is_an_experiment_of_nothing(terminal: InteractiveShell, box: ModelBox) -> None:
    terminal.run_cell_magic("modelbox", "run empty", "# nothing\n")
    assert newest(box).status == "finished"


def test_code_and_packages_are_kept_with_it_as_with_every_run(terminal: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    with memory_connection(wanted=Wanted(provenance=True)) as box:
        monkeypatch.setattr(shared, "_default", box)
        terminal.run_cell("%%modelbox run kept\npass").raise_error()
        assert newest(box).metadata()["environment.packages"]["pandas"]


def test_what_a_cell_prints_shows_and_returns_is_kept_in_order(shell: InteractiveShell, box: ModelBox) -> None:
    body = """
import sys
from IPython.display import display, HTML
print("first")
display(HTML("<b>bold</b>"))
print("10 %\\r100 %")
print("aside", file=sys.stderr)
handle = display("old", display_id=True)
handle.update("new")
6 * 7
"""
    shell.run_cell(f"%%modelbox run outputs{body}", store_history=True).raise_error()
    experiment = newest(box)
    cell = kept_cell(experiment)
    assert cell["source"] == f"%%modelbox run outputs{body}"
    shown = [output.get("text") or output["data"] for output in cell["outputs"]]
    assert shown[0] == "first\n"
    assert shown[1]["text/html"] == "<b>bold</b>"
    assert shown[2:4] == ["100 %\n", "aside\n"]
    assert shown[4]["text/plain"] == "'new'"
    assert shown[-1]["text/plain"] == "42"
    assert cell["outputs"][-1]["execution_count"] == cell["execution_count"] == shell.execution_count - 1
    assert experiment.console().startswith("first\n100 %\naside\n")


def test_an_exception_is_the_last_output_of_the_kept_cell(shell: InteractiveShell, box: ModelBox) -> None:
    shell.run_cell("%%modelbox run bad\nprint('before')\nraise ValueError('<b>no</b>')")
    outputs = kept_cell(newest(box))["outputs"]
    assert [output["output_type"] for output in outputs][:: len(outputs) - 1] == ["stream", "error"]
    assert (outputs[-1]["ename"], outputs[-1]["evalue"]) == ("ValueError", "<b>no</b>")


def test_large_outputs_give_way_to_a_line(shell: InteractiveShell, box: ModelBox) -> None:
    shell.run_cell("%%modelbox run large\nfrom IPython.display import HTML, display\ndisplay(HTML('x' * 2_000_000))\n'y' * 3_000_000")
    content = newest(box).artifact("cell.ipynb").read_bytes()
    assert len(content) < 100_000
    assert b"ModelBox kept the first 1000 of 3000002 characters" in content


def test_endless_printing_is_kept_up_to_its_limit(shell: InteractiveShell, box: ModelBox) -> None:
    shell.run_cell("%%modelbox run chatty\nfor _ in range(100): print('z' * 100_000)")
    content = newest(box).artifact("cell.ipynb").read_bytes()
    assert len(content) < 9_000_000
    assert b"keeps no more of what this cell shows" in content


def test_outputs_are_left_out_on_request_and_secrets_always(shell: InteractiveShell, box: ModelBox) -> None:
    shell.run_cell("%%modelbox run quiet --no-outputs\nprint('hello')\napi_key = 'sk-0123456789abcdef'")
    experiment = newest(box)
    assert experiment.artifacts == []
    assert experiment.console() == ""
    assert "sk-0123" not in experiment.metadata()["cell.source"]


def test_the_shell_is_as_it_was_afterwards(shell: InteractiveShell, box: ModelBox) -> None:
    before = [dict(vars(owner)) for owner in (shell.display_pub, shell.displayhook)]
    shell.run_cell("%%modelbox run once\n1 / 0")
    names = [sorted(set(vars(owner)) - set(known)) for owner, known in zip((shell.display_pub, shell.displayhook), before, strict=True)]
    assert names == [[], []]


def test_await_works_at_the_top_of_the_cell(terminal: InteractiveShell, box: ModelBox) -> None:
    result = terminal.run_cell(
        "%%modelbox run waits\nimport asyncio\nawait asyncio.sleep(0)\nexp.log(loss=1)\nawait asyncio.sleep(0, 'slept')"
    )
    assert result.result == "slept"
    assert newest(box).status == "finished"
    assert newest(box).all_metrics()["loss"][0].value == 1


def test_running_a_cell_again_makes_one_more_run_of_its_group(terminal: InteractiveShell, box: ModelBox) -> None:
    for _ in range(2):
        terminal.run_cell("%%modelbox run again\nseed = 1")
    assert [(run.name, run.group) for run in box.experiments()] == [("again", "again")] * 2
    assert len({run.id for run in box.experiments()}) == 2


def test_the_experiment_has_a_name_in_the_cell_that_takes_no_other_away(terminal: InteractiveShell, box: ModelBox) -> None:
    terminal.run_cell("%%modelbox run named\nexp.tag('seen')")
    terminal.run_cell("from math import exp")
    terminal.run_cell("%%modelbox run other --as run\nrun.tag('own')\nassert exp(0) == 1").raise_error()
    terminal.run_cell("%%modelbox run third\nassert exp(0) == 1").raise_error()
    assert {run.name: run.tags for run in box.experiments()} == {"named": ["seen"], "other": ["own"], "third": []}


def test_variables_become_params_and_metrics(terminal: InteractiveShell, box: ModelBox) -> None:
    terminal.run_cell("lr = 0.5")
    terminal.run_cell("%%modelbox run plain -p lr --tags a,b --metric accuracy\naccuracy = lr + 0.25").raise_error()
    experiment = newest(box)
    assert experiment.params == {"lr": 0.5}
    assert experiment.tags == ["a", "b"]
    terminal.user_ns["settings"] = {"lr": 0.1, "opt": {"name": "sgd"}}
    terminal.run_cell("%%modelbox run dict --params settings --param lr=0.2\nx = 1").raise_error()
    assert newest(box).params == {"lr": 0.2, "opt.name": "sgd"}
    assert experiment.all_metrics()["accuracy"][0].value == 0.75


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--param lrr", "'lrr' is not KEY=VALUE, and there is no variable of that name. Did you mean 'lr'?"),
        ("--params lr", "--params lr is float: give a dict, or a single value with --param lr."),
        ("--params sttings", "--params 'sttings' names no variable."),
        ("--as 1x", "--as '1x' is no name of a variable"),
        ("--parent nobody", "There is no experiment 'nobody'."),
    ],
)
def test_a_mistake_in_the_line_is_one_sentence_and_runs_nothing(
    terminal: InteractiveShell, box: ModelBox, capsys: pytest.CaptureFixture[str], options: str, sentence: str
) -> None:
    terminal.user_ns["lr"] = 0.5
    terminal.run_cell(f"%%modelbox run x {options}\nran = True")
    printed = "".join(capsys.readouterr())
    assert sentence in printed
    assert "Traceback" not in printed
    assert "ran" not in terminal.user_ns
    assert box.experiments() == []


def test_a_cell_may_belong_to_an_experiment(terminal: InteractiveShell, box: ModelBox) -> None:
    terminal.run_cell("%%modelbox run search\nx = 1")
    terminal.run_cell("%%modelbox run trial --parent search\nx = 2")
    parent = newest(box).parent()
    assert parent is not None
    assert parent.name == "search"


def test_other_cell_magics_may_stand_around_it(terminal: InteractiveShell, box: ModelBox) -> None:
    terminal.run_cell("%%capture out\n%%modelbox run captured\nprint('inside')").raise_error()
    assert terminal.user_ns["out"].stdout == "inside\n"
    assert newest(box).console() == "inside\n"
    terminal.run_cell("%%time\n%%modelbox run timed\nx = 1").raise_error()
    assert [(run.name, str(run.status)) for run in box.experiments()] == [("timed", "finished"), ("captured", "finished")]


def test_cells_that_the_cell_runs_do_not_end_it(terminal: InteractiveShell, box: ModelBox) -> None:
    terminal.run_cell("%%modelbox run outer\nget_ipython().run_cell('%%modelbox run inner\\nx = 1')\nexp_outer_status = exp.status")
    assert [(run.name, str(run.status)) for run in box.experiments()] == [("inner", "finished"), ("outer", "finished")]
    terminal.run_cell("%%modelbox run outer\nget_ipython().run_cell('1 + 1')\nmarker = exp.refresh().status")
    assert terminal.user_ns["marker"] == "running"


def test_a_program_may_hand_the_text_of_the_cell_over(terminal: InteractiveShell, box: ModelBox) -> None:
    """What exports of notebooks do: ``get_ipython().run_cell_magic("modelbox", "run x", "…")``."""
    with pytest.raises(ZeroDivisionError):
        terminal.run_cell_magic("modelbox", "run exported", "y = 3\n1 / 0")
    assert terminal.user_ns["y"] == 3
    assert (newest(box).name, newest(box).status) == ("exported", "failed")


@pytest.mark.parametrize("cell", ["%modelbox run alone", "x = 1\n%modelbox run alone"])
def test_a_line_that_nothing_follows_is_no_experiment(terminal: InteractiveShell, box: ModelBox, cell: str) -> None:
    assert isinstance(terminal.run_cell(cell).error_in_exec, UsageError)
    assert box.experiments() == []


def test_help_runs_nothing(terminal: InteractiveShell, box: ModelBox, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.run_cell("%%modelbox run --help\nran = True")
    assert "ran" not in terminal.user_ns
    assert "example:" in capsys.readouterr().out


def test_a_terminal_waits_for_the_empty_line_at_the_end_of_the_cell(terminal: InteractiveShell) -> None:
    assert terminal.check_complete("%%modelbox run x\ny = 1")[0] == "incomplete"
    assert terminal.check_complete("%%modelbox run x\ny = 1\n\n")[0] == "complete"


def test_a_cell_runs_though_no_store_answers(
    terminal: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ModelBox("127.0.0.1:9") as away:  # nothing listens there
        monkeypatch.setattr(shared, "_default", away)
        terminal.run_cell("%%modelbox run offline --metric loss\nloss = 0.5\nprint('trained')").raise_error()
    printed = capsys.readouterr()
    assert printed.out == "trained\n"
    assert "Traceback" not in printed.err
