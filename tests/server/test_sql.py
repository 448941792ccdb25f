"""SQL reads the views on every store, says the same there, and can do nothing else."""

import _thread
import json
import math
import signal
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from modelbox.entities.records import FileType, Json
from modelbox.errors import InvalidQuery, RateLimited, StorageUnavailable, TooLarge
from modelbox.wire.messages import (
    ChangesQuery,
    CheckpointCreate,
    EventCreate,
    ExperimentCreate,
    ExperimentUpdate,
    ModelCreate,
    ModelVersionCreate,
    SqlRequest,
    TrackArtifacts,
    TrackedFile,
)
from modelbox.wire.views import VIEWS
from modelbox_server.service import sql as sql_service
from modelbox_server.service.context import Caller
from modelbox_server.service.sql import SqlService
from modelbox_server.storage.views import database
from modelbox_server.testing.fixtures import ON_ALL_STORES
from modelbox_server.testing.samples import METRIC, NAMESPACE, float_block, text_block
from modelbox_server.wiring import Services, local_services

HOSTILE = ["a'b", 'a"b', "'; drop view experiments; --", "=cmd", "</script>", "日本語", "%_", "x" * 500]


def ask(services: Services, sql: str, parameters: list[Json] | dict[str, Json] | None = None) -> dict[str, list[Json]]:
    result = services.sql.run(Caller("Zoë", "embedded"), SqlRequest(sql=sql, parameters=parameters or []))
    return {column.name: column.values for column in result.columns}


def text_of(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


@ON_ALL_STORES
def test_each_view_shows_what_the_services_return(services: Services, caller: Caller) -> None:
    parent = services.experiments.create(caller, ExperimentCreate(name="parent")).item
    create = ExperimentCreate(
        name="child", namespace=NAMESPACE, owner="ann", group="grid", framework="torch", external_id="7", parent_id=parent.id
    )
    child = services.experiments.create(caller, create).item
    child = services.experiments.update(caller, child.id, ExperimentUpdate(status="finished"))  # type: ignore[arg-type]
    model = services.models.create(caller, ModelCreate(name="reader", namespace=NAMESPACE, task="ocr", description="reads")).item
    version = services.versions.create(
        caller, model.id, ModelVersionCreate(version="1", name="first", tags=("best", "a'b"), experiment_id=child.id)
    ).item
    checkpoint = services.checkpoints.create(caller, child.id, CheckpointCreate(epoch=3, metrics={"loss": 0.5})).item
    event = services.events.log(caller, child.id, EventCreate(name="epoch", source="trainer", metadata={"n": [1]}))
    files = TrackArtifacts(files=[TrackedFile(name="a/b.bin", uri="/nfs/b.bin", file_type=FileType.MODEL, size_bytes=7)])
    (artifact,) = services.artifacts.track(caller, model.id, files).items
    services.metrics.append(caller, [float_block(child.id, [2.0, 0.5], key=METRIC, steps=[4, -1])])

    for view, id_column, records, own in (
        ("experiments", "experiment_id", [parent, child], {"group_name": "group"}),
        ("models", "model_id", [model], {}),
        ("model_versions", "version_id", [version], {}),
        ("checkpoints", "checkpoint_id", [checkpoint], {}),
        ("events", "event_id", [event], {"object_id": "parent_id"}),
        ("artifacts", "artifact_id", [artifact], {"object_id": "parent_id"}),
    ):
        table = ask(services, f"select * from {view} order by created_at")
        assert list(table) == list(VIEWS[view].columns)
        assert table[id_column] == [record.id for record in records]
        for column in table.keys() - {id_column, "duration_s"}:
            for value, record in zip(table[column], records, strict=True):
                wanted = getattr(record, own.get(column, column))
                if isinstance(wanted, datetime):
                    wanted = text_of(wanted)
                shown = json.loads(value) if isinstance(wanted, dict | tuple) else value
                assert shown == (list(wanted) if isinstance(wanted, tuple) else wanted), f"{view}.{column}"
    assert child.finished_at is not None
    durations = ask(services, "select duration_s from experiments order by created_at")["duration_s"]
    assert durations == [None, (child.finished_at - child.started_at).total_seconds()]

    changes = services.changes.list(caller, ChangesQuery(limit=1000)).items
    table = ask(services, "select * from changes order by seq")
    assert list(table) == list(VIEWS["changes"].columns)
    assert table["seq"] == [change.seq for change in changes]
    assert table["at"] == [text_of(change.at) for change in changes]
    assert [json.loads(payload) for payload in table["payload"]] == [change.payload for change in changes]

    assert ask(services, "select * from metrics") == {
        "object_id": [child.id],
        "key": [METRIC],
        "kind": ["float"],
        "count": [2],
        "first": [0.5],
        "last": [2.0],
        "min": [0.5],
        "max": [2.0],
        "mean": [1.25],
        "first_step": [-1],
        "last_step": [4],
        "last_at": ask(services, "select last_at from metrics")["last_at"],
    }


@ON_ALL_STORES
def test_values_keep_their_types(services: Services, caller: Caller) -> None:
    values: dict[str, Json] = {
        "params.int": 2**63 - 1,
        "params.float": 0.1,
        "params.text": "é",
        "params.true": True,
        "params.none": None,
        "params.list": [1, "a"],
        "params.dict": {"a": 1},
        "params.nan": math.nan,
        "params.inf": -math.inf,
        "params.digits": "007",
        "tags.good": True,
        "tags.gone": False,
        "note": "x",
    }
    run = services.experiments.create(caller, ExperimentCreate(name="a", metadata=values)).item
    services.models.create(caller, ModelCreate(name="m", metadata={"params.lr": 1, "tags.t": True}))
    params = ask(services, "select experiment_id, name, value from params order by name")
    assert set(params["experiment_id"]) == {run.id}
    assert dict(zip(params["name"], params["value"], strict=True)) == {
        "int": 2**63 - 1,
        "float": 0.1,
        "text": "é",
        "true": 1,
        "none": None,
        "list": '[1,"a"]',
        "dict": '{"a":1}',
        "nan": None,
        "inf": -math.inf,
        "digits": "007",
    }
    assert ask(services, "select * from tags") == {"experiment_id": [run.id], "tag": ["good"]}
    assert ask(services, "select count(*) as n from metadata") == {"n": [len(values) + 2]}
    assert ask(services, "select value ->> 1 as second from params where name = 'list'") == {"second": ["a"]}


@ON_ALL_STORES
def test_series_are_summed_up(services: Services, caller: Caller) -> None:
    run = services.experiments.create(caller, ExperimentCreate(name="a")).item
    blocks = [
        float_block(run.id, [math.nan, 3.0, math.inf], key="loss", steps=[5, 1, 2]),
        text_block(run.id, ["b", "a"], key="phase"),
        text_block(run.id, ["printed"], key="console/stdout"),
    ]
    services.metrics.append(caller, blocks)
    table = ask(services, "select key, kind, count, first, last, min, max, first_step, last_step from metrics order by key")
    rows = list(zip(*table.values(), strict=True))
    assert rows == [
        ("loss", "float", 3, 3.0, None, 3.0, math.inf, 1, 5),
        ("phase", "text", 2, "b", "a", None, None, 0, 1),
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_come_back_as_they_are(services: Services, caller: Caller, name: str) -> None:
    run = services.experiments.create(caller, ExperimentCreate(name=name, metadata={f"params.{name}": name})).item
    assert ask(services, "select name, value from params where value = :value", {"value": name}) == {"name": [name], "value": [name]}
    assert ask(services, "select experiment_id from experiments where name = ?", [name]) == {"experiment_id": [run.id]}


REFUSED = {
    "insert into experiments values (1)": "INSERT is not allowed",
    "insert into records.experiments (id) values ('x')": "INSERT is not allowed",
    "update experiments set name = 'x'": "not allowed|cannot modify",
    "delete from records.experiments": "DELETE is not allowed",
    "drop view experiments": "a change of the database is not allowed",
    "drop table records.experiments": "a change of the database is not allowed",
    "create table x (a)": "a change of the database is not allowed",
    "create temp table x as select 1": "a change of the database is not allowed",
    "create virtual table x using fts5(a)": "a change of the database is not allowed",
    "create temp trigger t instead of insert on experiments begin select 1; end": "not allowed",
    "attach '/tmp/stolen.db' as stolen": "ATTACH is not allowed",
    "detach records": "DETACH is not allowed",
    "vacuum into '/tmp/stolen.db'": "ATTACH is not allowed",
    "pragma query_only = 0": "PRAGMA is not allowed",
    "pragma records.table_info(experiments)": "PRAGMA is not allowed",
    "begin immediate": "a transaction of its own is not allowed",
    "savepoint x": "a savepoint is not allowed",
    "analyze": "not allowed",
    "reindex": "not allowed",
    "select * from sqlite_master": "'sqlite_master' is not allowed",
    "select * from records.sqlite_master": "'sqlite_master' is not allowed",
    "select * from pragma_database_list": "not allowed",
    "select * from records.objects": "the table 'objects' is not allowed",
    "select content from records.artifacts": "the table 'artifacts' is not allowed",
    "select identity from records.models": "not allowed|no column",
    "with experiments as (select id from records.objects) select * from experiments": "the table 'objects' is not allowed",
    "with metrics as (select content from records.artifacts) select * from metrics": "the table 'artifacts' is not allowed",
    "select (select group_concat(type) from records.objects) from experiments": "the table 'objects' is not allowed",
    "select 1 from records.objects": "the table 'objects' is not allowed",
    "select load_extension('/tmp/x.so')": "the function 'load_extension' is not allowed",
    "select randomblob(1000000000)": "the function 'randomblob' is not allowed",
    "select zeroblob(1000000000)": "the function 'zeroblob' is not allowed",
    "select fts3_tokenizer('simple')": "the function 'fts3_tokenizer' is not allowed",
    "select readfile('/etc/passwd')": "no function 'readfile'",
    "select writefile('/tmp/x', 'x')": "no function 'writefile'",
    "select 1; drop view experiments": "one statement",
    "explain select * from experiments": "begins with SELECT",
    "": "begins with SELECT",
    "select x'00ff'": "has bytes: select hex",
    "select cast(x'ff' as text)": "SQLite does not take this statement",
    "select 'a' || char(0) || :x": "parameter|binding|number of bindings",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_whatever_does_more_than_read_the_views_is_refused(services: Services, caller: Caller, statement: str) -> None:
    services.experiments.create(caller, ExperimentCreate(name="kept"))
    with pytest.raises(InvalidQuery, match=REFUSED[statement]) as raised:
        ask(services, statement)
    assert len(raised.value.detail) < 400
    assert ask(services, "select name from experiments") == {"name": ["kept"]}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("select * from experimnts", "There is no view 'experimnts'. Did you mean 'experiments'?"),
        ("select * from points", "There is no view of points: read them with modelbox.metrics(runs, keys)"),
        ("select nmae from experiments", "There is no column 'nmae'. Did you mean 'name'?"),
        ("select zzz from tags", "There is no column 'zzz'. tags has experiment_id, tag."),
        ("selct 1", 'SQLite does not take this statement: near "selct": syntax error.'),
        ("select group from experiments", 'near "group": syntax error.'),
        ("select ?", "parameter|binding"),
    ],
)
def test_a_mistake_is_a_sentence(services: Services, statement: str, message: str) -> None:
    with pytest.raises(InvalidQuery) as raised:
        ask(services, statement)
    assert any(part in raised.value.detail for part in message.split("|")), raised.value.detail
    assert "\n" not in raised.value.detail


@ON_ALL_STORES
def test_parameters_are_numbers_text_and_null(services: Services) -> None:
    assert ask(services, "select ? as a, ? as b, ? as c", [1, "x", None]) == {"a": [1], "b": ["x"], "c": [None]}
    with pytest.raises(InvalidQuery, match="number, text or null"):
        ask(services, "select ?", [[1]])
    with pytest.raises(TooLarge):
        ask(services, "select 1", ["x"] * 20_000)


def test_a_statement_that_takes_too_long_is_ended(services: Services, caller: Caller) -> None:
    service = SqlService(services.stores.metadata, services.stores.metrics, time_limit_s=0.1)
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    with pytest.raises(InvalidQuery, match=r"longer than 0\.1 s"):
        service.run(caller, SqlRequest(sql=endless))
    with pytest.raises(InvalidQuery, match="too big"):
        ask(services, "select replace(hex(printf('%1000000d', 1)), '0', printf('%1000d', 1))")


def test_ctrl_c_ends_a_statement(services: Services) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    # A program that a shell put into the background ignores the signal from its start on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            ask(services, endless)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert ask(services, "select 1 as one") == {"one": [1]}


def test_an_answer_has_limits(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) select i, 'abc' as t from n"
    assert len(ask(services, numbers)["i"]) == 3000
    monkeypatch.setattr(sql_service, "MAX_ROWS", 2999)
    with pytest.raises(TooLarge, match="more than 2999 rows of 2 columns: add limit 2999"):
        ask(services, numbers)
    monkeypatch.setattr(sql_service, "MAX_ROWS", 3000)
    monkeypatch.setattr(sql_service, "MAX_CELLS", 5000)
    with pytest.raises(TooLarge, match="more than 2500 rows"):
        ask(services, numbers)
    monkeypatch.setattr(sql_service, "MAX_CELLS", 6000)
    monkeypatch.setattr(sql_service, "_MAX_TEXT_CHARS", 8999)
    with pytest.raises(TooLarge, match="of text"):
        ask(services, numbers)
    with pytest.raises(TooLarge, match="20001 characters"):
        ask(services, f"select {'1' * 19_994}")


def test_only_a_few_run_at_once(services: Services, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Semaphore(0), threading.Event()
    original: Callable[..., sqlite3.Cursor] = database.ViewDatabase.execute

    def slowly(self: database.ViewDatabase, statement: str, parameters: object) -> sqlite3.Cursor:
        inside.release()
        assert go_on.wait(60)
        return original(self, statement, parameters)

    monkeypatch.setattr(database.ViewDatabase, "execute", slowly)
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(services, "select 1 as one"))) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert inside.acquire(timeout=60)
    with pytest.raises(RateLimited) as raised:
        services.sql.run(caller, SqlRequest(sql="select 1"))
    assert raised.value.retry_after_s
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert answers == [{"one": [1]}, {"one": [1]}]
    assert ask(services, "select 1 as one") == {"one": [1]}


def test_a_writer_in_the_middle_of_a_transaction_holds_nothing_up(services: Services, caller: Caller) -> None:
    services.experiments.create(caller, ExperimentCreate(name="before"))
    run = services.experiments.create(caller, ExperimentCreate(name="gone")).item
    found: list[object] = []
    with services.stores.metadata.write() as tx:
        tx.put([run])
        reader = threading.Thread(target=lambda: found.append(ask(services, "select name from experiments order by name")))
        reader.start()
        if type(services.stores.metadata).__name__.startswith("Sqlite"):
            reader.join(60)
            assert found == [{"name": ["before", "gone"]}]
    reader.join(60)
    assert found == [{"name": ["before", "gone"]}]


@pytest.mark.parametrize("call", ["'x', 'y', 0, 0", "1, 2, 3, 4", "'x', 'y', 9, 0", "'x', 'y', 'z', null", "'x', 'y', 0, 1.5"])
def test_the_function_behind_a_view_takes_anything(services: Services, call: str) -> None:
    assert ask(services, f"select modelbox_first({call}) as value") == {"value": [None]}


def test_a_damaged_file_is_no_mistake_of_the_statement(tmp_path: Path, caller: Caller) -> None:
    services = local_services(tmp_path / "store")
    path = tmp_path / "store" / "modelbox.db"
    for number in range(200):
        services.experiments.create(caller, ExperimentCreate(name=f"run {number}"))
    with sqlite3.connect(path) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StorageUnavailable, match="cannot be read now"):
        ask(services, "select * from experiments")
    services.close()


def test_what_goes_wrong_in_a_store_is_said_as_it_is(services: Services, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    run = services.experiments.create(caller, ExperimentCreate(name="a")).item
    services.metrics.append(caller, [float_block(run.id)])

    def fails(*_args: object, **_options: object) -> None:
        raise TooLarge("The disk says no.")

    monkeypatch.setattr(services.stores.metrics, "read", fails)
    assert ask(services, "select count from metrics") == {"count": [8]}
    with pytest.raises(TooLarge, match="The disk says no"):
        ask(services, "select first from metrics")
