"""The declaration of the tables fits the records, and fits into what every engine can index."""

from itertools import chain
from types import NoneType
from typing import get_args

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from modelbox.entities import records
from modelbox.entities.records import MetadataEntry, Record
from modelbox.errors import InvalidQuery, InvalidRequest, StorageError
from modelbox_server.storage.metadata.tables import METADATA
from modelbox_server.storage.rows import codec
from modelbox_server.storage.schema import TABLES, Storage, Table
from modelbox_server.testing.metadata_samples import DAY, entry

_UTF8_BYTES = {Storage.ID: 64, Storage.NAME: 512 * 4, Storage.INTEGER: 8, Storage.TIME: 8, Storage.SERIAL: 8}
_POSTGRES_KEY_BYTES = 2704

each_table = pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)


def test_every_kind_of_record_has_a_table() -> None:
    kinds = {kind for kind in vars(records).values() if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record}
    assert set(TABLES) == kinds


@each_table
def test_every_field_has_a_column(table: Table) -> None:
    """In the order of the record, and nullable exactly where the record allows ``None``."""
    fields = msgspec.structs.fields(table.kind)
    assert [column.field for column in table.columns] == [field.name for field in fields]
    for column, field in zip(table.columns, fields, strict=True):
        if column.storage is not Storage.JSON:
            assert column.nullable == (NoneType in get_args(field.type)), field.name


@each_table
def test_every_key_fits_into_an_index_of_every_engine(table: Table) -> None:
    """512 code points of four bytes each must not make an insert fail, on any engine."""
    storages = {column.field: column.storage for column in table.columns}
    unique = [table.kind.KEY, *(unique.fields for unique in table.uniques if unique.digest is None)]
    for fields in chain(unique, (index.fields for index in table.indexes)):
        lengths = [_UTF8_BYTES.get(storages[field], 1024) for field in fields]  # labels in indexes are paths of at most 1,024 bytes
        assert sum(lengths) <= _POSTGRES_KEY_BYTES, (table.name, fields)


@pytest.mark.parametrize("engine_name", ["sqlite", "postgresql+psycopg2", "mysql+pymysql"])
def test_every_engine_compares_text_by_code_point(engine_name: str) -> None:
    """SQLite does so by itself; the others need a collation on every single text column."""
    dialect = sa.make_url(f"{engine_name}://").get_dialect()()
    for table in METADATA.sorted_tables:
        ddl = str(CreateTable(table).compile(dialect=dialect)) + "".join(
            str(CreateIndex(i).compile(dialect=dialect)) for i in table.indexes
        )
        texts = ddl.count("VARCHAR") + ddl.count("TEXT")
        assert texts > 0
        if dialect.name != "sqlite":
            assert ddl.count("COLLATE") == texts, ddl


def test_a_field_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(InvalidQuery, match=r"no field 'loss'.*object_id, key, value"):
        TABLES[MetadataEntry].column("loss")


def test_what_a_row_cannot_hold_is_refused_with_its_field() -> None:
    for broken, field in [
        (entry("o", "k", {"x": object()}), "value"),
        (entry("o", "k", ["\ud800"]), "value"),
        (entry("o", "\ud800"), "key"),
    ]:
        with pytest.raises(InvalidRequest) as caught:
            codec(MetadataEntry).encode(broken)
        assert caught.value.field == field


def test_a_row_that_cannot_be_read_is_an_error_of_the_store() -> None:
    for row in [("o", "k", "{", 0), ("o", "k", "1", 2**62), ("o", "k", None, 0), ("o", "k")]:
        with pytest.raises(StorageError, match="table metadata"):
            codec(MetadataEntry).decode([row])


def test_rows_hold_microseconds_and_json_text() -> None:
    assert codec(MetadataEntry).encode(entry("o", "k", float("nan"))) == ("o", "k", '{"$float":"NaN"}', 1792891800123457)
    assert codec(MetadataEntry).decode([("o", "k", "1.0", 1792891800123457)])[0].updated_at == DAY
