"""Records as rows of integers, text and ``None``, and back: the same for every metadata store.

What a row cannot hold exactly is refused with a sentence here, before an engine could change it silently.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Generic, TypeAlias, TypeVar, cast

import msgspec

from modelbox.entities.records import Json, Record
from modelbox.entities.times import from_us, to_us
from modelbox.entities.values import json_from_wire, json_to_wire
from modelbox.errors import InvalidQuery, InvalidRequest, StorageError, shortened
from modelbox_server.storage.schema import TABLES, Column, Storage, Table, Unique

__all__ = ["Cell", "Row", "RowCodec", "codec", "document_from_text", "is_storable_text"]

R = TypeVar("R", bound=Record)

Cell: TypeAlias = int | str | None
"""One value of a row."""

Row: TypeAlias = tuple[Cell, ...]
"""The values of a record in the order of the table's columns, followed by the digests of its unique sets."""

_INT64 = range(-(2**63), 2**63)


class RowCodec(Generic[R]):
    """Turns the records of one class into rows and back.

    Parameters
    ----------
    table
        Where the records lie.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.kind = cast(type[R], table.kind)
        fields = {field.name: field.type for field in msgspec.structs.fields(table.kind)}
        self.names = tuple(column.field for column in table.columns)
        self.digests = tuple(unique for unique in table.uniques if unique.digest)
        self._encoders = tuple((column.field, _encoder(column)) for column in table.columns)
        self._make = _maker(table, [_decoder(column, fields[column.field]) for column in table.columns])
        self._key_at = tuple(self.names.index(field) for field in table.kind.KEY)

    def encode(self, record: R) -> Row:
        """Return the row of a record.

        Raises
        ------
        InvalidRequest
            A text has a lone surrogate or a NUL, or an integer has more than 64 bits: no database keeps those.
        """
        row = tuple([encode(getattr(record, field)) for field, encode in self._encoders])
        return row + tuple([self.digest(unique, record) for unique in self.digests]) if self.digests else row

    def decode(self, rows: Iterable[Sequence[Cell]]) -> list[R]:
        """Return the records of rows, which may lack the digests.

        Raises
        ------
        StorageError
            A row cannot be read: a newer program or another one wrote it.
        """
        try:
            return cast(list[R], [self._make(row) for row in rows])
        except (ValueError, LookupError, OverflowError, TypeError, msgspec.MsgspecError) as error:
            raise StorageError(f"A row of the table {self.table.name} cannot be read ({error}): did another program write it?") from error

    def key(self, row: Row) -> Row:
        """Return the primary key of a row."""
        return tuple([row[at] for at in self._key_at])

    def key_of(self, values: Sequence[object]) -> Row:
        """Return a primary key as it lies in rows.

        Raises
        ------
        InvalidQuery
            It has too many or too few parts, or a part of the wrong type.
        """
        key = self.kind.KEY
        if len(values) != len(key):
            raise InvalidQuery(f"The key of {self.kind.__name__} is ({', '.join(key)}), not {len(values)} values.")
        return tuple(self.cell(field, value) for field, value in zip(key, values, strict=True))

    def cell(self, field: str, value: object) -> Cell:
        """Return a value that `field` is compared with as it lies in rows.

        Raises
        ------
        InvalidQuery
            The field does not exist, cannot be compared, or never has values of this type.
        """
        return _comparable(self.table, self.table.column(field), value)

    def cells(self, field: str, values: Iterable[object]) -> list[Cell]:
        """Return values as :meth:`cell` does; the ids of thousands of objects are looked at once for all."""
        items = list(values)
        if self.table.column(field).storage is Storage.ID and set(map(type, items)) == {str}:
            texts = cast(list[str], items)
            if is_storable_text("".join(texts)):
                return [*texts]
        return [self.cell(field, item) for item in items]

    def digest(self, unique: Unique, record: R) -> str:
        """Return what stands for the values of a unique set in an index."""
        parts = [str(getattr(record, field)).encode() for field in unique.fields]
        # Length first, so that ("ab", "c") and ("a", "bc") differ.
        return hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in parts)).hexdigest()


def codec(kind: type[R]) -> RowCodec[R]:
    """Return the codec of a class of records."""
    return cast(RowCodec[R], _CODECS[kind])


def is_storable_text(text: str) -> bool:
    """Tell whether every engine keeps `text` as it is: no NUL, no lone surrogates."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encoder(column: Column) -> Callable[[object], Cell]:
    encode = _ENCODERS[column.storage]

    def checked(value: object) -> Cell:
        # None is a JSON value of its own, and is written as null.
        if value is None and column.storage is not Storage.JSON:
            if column.nullable:
                return None
            raise InvalidRequest(f"{column.field} is not set: give it a value.", field=column.field)
        try:
            return encode(value)
        except ValueError as error:
            raise InvalidRequest(f"{column.field} cannot be stored: {error}.", field=column.field) from error

    return checked


def _text(value: object) -> str:
    text = str(value)
    if not is_storable_text(text):
        raise ValueError(f"{shortened(text, 40)} contains a NUL or a lone surrogate")
    return text


def _integer(value: object) -> int:
    number = cast(int, value)
    if number not in _INT64:
        raise ValueError(f"{shortened(number, 40)} has more than 64 bits")
    return number


def _time(value: object) -> int:
    return to_us(cast(datetime, value))


def _json(value: object) -> str:
    try:
        return _text(msgspec.json.encode(json_to_wire(value)).decode())
    except (OverflowError, TypeError, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from error


_ENCODERS: dict[Storage, Callable[[object], Cell]] = {
    Storage.ID: _text,
    Storage.NAME: _text,
    Storage.LABEL: _text,
    Storage.TEXT: _text,
    Storage.INTEGER: _integer,
    Storage.SERIAL: _integer,
    Storage.TIME: _time,
    Storage.JSON: _json,
}


def _maker(table: Table, decoders: Sequence[Callable[[object], object] | None]) -> Callable[[Sequence[Cell]], Record]:
    """Return a function that makes a record of a row.

    Its source is generated, as the constructors of dataclasses are: naming the fields in a call is eight times faster than unpacking a
    dict into it, and a table of runs is made of tens of thousands of records.
    """
    arguments = [
        f"{column.field}=row[{at}]" if decode is None else f"{column.field}=decode_{at}(row[{at}])"
        for at, (column, decode) in enumerate(zip(table.columns, decoders, strict=True))
    ]
    names = {f"decode_{at}": decode for at, decode in enumerate(decoders)}
    source = f"lambda row: kind({', '.join(arguments)})"
    # Made of our own field names, never of data.
    return cast(Callable[[Sequence[Cell]], Record], eval(source, {"kind": table.kind, **names}))  # noqa: S307


def _decoder(column: Column, type_: object) -> Callable[[object], object] | None:
    if column.storage is Storage.TIME:
        return _optional_time if column.nullable else _time_of
    if column.storage is Storage.JSON:
        return _tuple_from_json if type_ is tuple or getattr(type_, "__origin__", None) is tuple else _from_json
    if isinstance(type_, type) and issubclass(type_, StrEnum):
        members: dict[object, StrEnum] = {member.value: member for member in type_}
        return members.__getitem__
    return None


@lru_cache(maxsize=8192)
def _time_of(value: object) -> datetime:
    """Return the time of so many microseconds; what was written together has one time, so most are seen before."""
    return from_us(cast(int, value))


def _optional_time(value: object) -> datetime | None:
    return None if value is None else _time_of(value)


def _from_json(value: object) -> Json:
    text = cast(str, value)
    plain = msgspec.json.decode(text)
    # Escapes are rare: most values need no second look.
    return json_from_wire(plain) if '"$' in text else plain


def document_from_text(text: str) -> dict[str, Json]:
    """Return the values of a JSON object whose values are written as in rows.

    Raises
    ------
    StorageError
        A value is no JSON: another program wrote it.
    """
    try:
        plain: dict[str, Json] = _DOCUMENTS.decode(text)
    except msgspec.MsgspecError as error:
        raise StorageError(f"Metadata in the database cannot be read ({error}): did another program write it?") from error
    return {key: json_from_wire(value) for key, value in plain.items()} if '"$' in text else plain


_DOCUMENTS = msgspec.json.Decoder(dict)


def _tuple_from_json(value: object) -> tuple[Json, ...]:
    return tuple(_from_json(value))


def _comparable(table: Table, column: Column, value: object) -> Cell:
    field = column.field
    match column.storage:
        case Storage.JSON:
            raise InvalidQuery(f"{field} of {table.kind.__name__} is JSON and cannot be compared: select by other fields.", field=field)
        case Storage.TIME if isinstance(value, datetime) and value.tzinfo is not None:
            return to_us(value)
        case Storage.INTEGER | Storage.SERIAL if isinstance(value, int) and not isinstance(value, bool):
            if value in _INT64:
                return value
            raise InvalidQuery(f"{field} is compared with {shortened(value, 40)}: use an integer of 64 bits.", field=field)
        case Storage.ID | Storage.NAME | Storage.LABEL | Storage.TEXT if isinstance(value, str):
            if is_storable_text(value):
                return str(value)
            raise InvalidQuery(f"{field} is compared with {shortened(value, 40)}, which has a NUL or a lone surrogate.", field=field)
        case _:
            raise InvalidQuery(f"{field} is compared with {shortened(value, 40)}, a {type(value).__name__}: use its own type.", field=field)


_CODECS: dict[type[Record], RowCodec[Record]] = {kind: RowCodec(table) for kind, table in TABLES.items()}
