"""``%modelbox runs QUERY`` and ``modelbox.experiments(QUERY)`` speak the query language, quotes and all."""

from collections.abc import Iterator

import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from modelbox import frames
from modelbox.client import shared
from modelbox.client.connection import ModelBox
from modelbox.errors import InvalidQuery
from modelbox.notebook.magics import ModelBoxMagics
from modelbox.testing import memory_connection


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelBox]:
    """Five runs of hostile names in the shared connection."""
    with memory_connection() as connection:
        monkeypatch.setattr(shared, "_default", connection)
        for number in range(5):
            with connection.start(f"it's run {number}", namespace="équipe/vision", params={"lr": number / 10}) as run:
                run.log({"val/loss @1": number}, step=1)
        connection.flush()
        yield connection


@pytest.fixture
def magics(box: ModelBox) -> ModelBoxMagics:
    return ModelBoxMagics(InteractiveShell(config=Config({"HistoryManager": {"enabled": False}})))


def rows(table: object) -> list[str]:
    assert isinstance(table, pd.DataFrame)
    return [name[-1] for name in table["name"]] if len(table) else []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("runs", "43210"),
        ("runs params.lr < 0.2", "10"),
        ('runs name = "it\'s run 3"', "3"),
        ("runs name = 'it\\'s run 3' or name like \"%run 0\"", "30"),
        ('runs metrics."val/loss @1".max > 1  and  params.lr <= 0.3', "32"),
        ("runs metrics.`val/loss @1` > 1 --limit 2", "43"),
        ("runs order by params.lr limit 3", "012"),
        ("runs order by params.lr limit 3 -l 2", "01"),
        ('runs name != "--limit 1" -n équipe', "43210"),
        ("runs --limit 2 params.lr > 0", "43"),
        ("runs params.lr > 0 --limit 3 and params.lr < 0.3", "21"),
        ("runs namespace = 'équipe/*' and params.lr > -inf order by metrics.`val/loss @1`.last desc limit 1", "4"),
    ],
)
def test_the_magic_takes_a_query_as_it_stands(magics: ModelBoxMagics, line: str, expected: str) -> None:
    assert "".join(rows(magics.modelbox(line))) == expected


def test_a_mistake_in_a_query_is_shown_with_its_place(magics: ModelBoxMagics) -> None:
    with pytest.raises(InvalidQuery, match=r"Column 1: there is no field 'stats'. Did you mean 'status'\?"):
        magics.modelbox("runs stats = failed")
    with pytest.raises(InvalidQuery, match="quote"):
        magics.modelbox('runs name = "a')


def test_help_is_still_help(magics: ModelBoxMagics, capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("runs --help", "help runs", "runs params.lr < 1 -h"):
        assert magics.modelbox(line) is None
        assert "--limit" in capsys.readouterr().out


def test_an_unknown_option_is_named(magics: ModelBoxMagics) -> None:
    with pytest.raises(UsageError, match="--limits"):
        magics.modelbox("runs params.lr < 1 --limits 3")


def test_the_function_takes_a_query_beside_the_filters(box: ModelBox) -> None:
    assert rows(frames.experiments("params.lr >= 0.1 order by params.lr", namespace="équipe", limit=3)) == ["1", "2", "3"]
    assert rows(frames.experiments("name ~ 'nothing'")) == []
    assert [run.name[-1] for run in box.experiments(q="metrics.`val/loss @1`.min < 2")] == ["1", "0"]
    with pytest.raises(InvalidQuery, match="Column 13"):
        frames.experiments("params.lr < 10k")
