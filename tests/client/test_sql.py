"""What SQL selects is a DataFrame with typed columns."""

import math

import pandas as pd
import pytest

import modelbox
from modelbox.client.connection import ModelBox
from modelbox.errors import InvalidQuery
from modelbox.wire.views import VIEWS


def test_columns_have_the_types_of_their_values(box: ModelBox) -> None:
    with box.start("first", params={"lr": 0.5, "n": 1, "mixed": "x"}) as run:
        run.log(loss=math.inf)
    box.start("second", params={"lr": 0.25, "mixed": 1})
    table = modelbox.sql(
        """
        select e.name, e.created_at, e.finished_at, lr.value as lr, n.value as n, mixed.value as mixed, m.last as loss, null as missing
        from experiments e
        left join params lr on lr.experiment_id = e.experiment_id and lr.name = 'lr'
        left join params n on n.experiment_id = e.experiment_id and n.name = 'n'
        left join params mixed on mixed.experiment_id = e.experiment_id and mixed.name = 'mixed'
        left join metrics m on m.object_id = e.experiment_id and m.key = 'loss'
        order by e.name
        """,
        connection=box,
    )
    assert {column: str(dtype) for column, dtype in table.dtypes.items()} == {
        "name": "str",
        "created_at": "datetime64[us, UTC]",
        "finished_at": "datetime64[us, UTC]",
        "lr": "float64",
        "n": "Int64",
        "mixed": "object",
        "loss": "float64",
        "missing": "object",
    }
    assert table["created_at"][0] == run.record.created_at
    assert table["finished_at"].isna().tolist() == [False, True]
    assert table["loss"][0] == math.inf
    assert math.isnan(table["loss"][1])
    assert table.attrs["modelbox"]["kind"] == "memory"


def test_a_reader_sees_what_was_logged_before(box: ModelBox) -> None:
    run = box.start("a")
    for step in range(100):
        run.log(loss=float(step), step=step)
    assert modelbox.sql("select count from metrics", connection=box)["count"].tolist() == [100]


def test_columns_of_one_name_are_numbered(box: ModelBox) -> None:
    table = modelbox.sql("select 1 as a, 2 as a, 3 as a, 4 as a_2", connection=box)
    assert table.columns.tolist() == ["a", "a_2", "a_3", "a_2_2"]
    assert table.iloc[0].tolist() == [1, 2, 3, 4]


def test_no_rows_are_a_table_with_columns(box: ModelBox) -> None:
    table = modelbox.sql("select name, created_at from experiments", connection=box)
    assert (list(table.columns), len(table)) == (["name", "created_at"], 0)


def test_text_that_merely_looks_like_a_time_stays_text(box: ModelBox) -> None:
    table = modelbox.sql("select '2026-07-01' as day union all select '2026-07-01T12:00:00Z'", connection=box)
    assert str(table["day"].dtype) == "str"


def test_a_table_with_ids_has_the_accessor(box: ModelBox) -> None:
    with box.start("a", params={"lr": 1}) as run:
        run.log(loss=1.0)
    runs = modelbox.sql("select experiment_id from experiments", connection=box)
    assert modelbox.metrics(runs, connection=box)["value"].tolist() == [1.0]
    assert modelbox.experiments(ids=runs["experiment_id"], connection=box)["params.lr"].tolist() == [1]


def test_the_views_are_listed(box: ModelBox) -> None:
    listed = modelbox.views()
    assert list(dict.fromkeys(listed["view"])) == list(VIEWS)
    for view, columns in listed.groupby("view")["column"]:
        assert list(modelbox.sql(f"select * from {view}", connection=box).columns) == list(columns)


def test_only_reading_is_possible(box: ModelBox) -> None:
    with pytest.raises(InvalidQuery, match="cannot modify experiments"):
        modelbox.sql("delete from experiments", connection=box)
    assert isinstance(modelbox.sql("select 1", connection=box), pd.DataFrame)
