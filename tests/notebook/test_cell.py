"""%%modelbox run: a cell becomes an experiment and behaves as if it were none."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

from modelbox.client import shared
from modelbox.client.companions import Wanted
from modelbox.client.connection import ModelBox
from modelbox.client.experiment import Experiment
from modelbox.testing import memory_connection


def newest(box: ModelBox) -> Experiment:
    return box.experiments()[0]


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
    assert experiment.metadata()["cell.error"] == {"type": "ZeroDivisionError", "message": "division by zero"}


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


def test_a_typo_is_no_experiment(terminal: InteractiveShell, box: ModelBox) -> None:
    result = terminal.run_cell("%%modelbox run typo\nx = = 3")
    assert isinstance(result.error_in_exec, SyntaxError)
    assert box.experiments() == []


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
