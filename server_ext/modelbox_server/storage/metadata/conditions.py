"""What a metadata store is asked for, checked and in terms of rows, so that every store understands a question alike.

Three rules that engines disagree on are settled here: a field that is not set is unequal to every value and neither less nor greater than
any; it sorts before every value; and text, prefixes included, compares by code point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from modelbox.entities.records import Record
from modelbox.errors import InvalidQuery, shortened
from modelbox_server.storage.interfaces import Condition, Operator, Order
from modelbox_server.storage.rows import Cell, RowCodec
from modelbox_server.storage.schema import Storage

__all__ = ["Clause", "Page", "above", "clauses", "page"]


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition on one column; `value` is as in rows, a tuple of such for ``in`` and ``within``."""

    field: str
    operator: Operator
    value: Cell | tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Sort by `fields`, all in one direction, and begin behind the row that has the values `after` in them."""

    fields: tuple[str, ...]
    descending: bool
    after: tuple[Cell, ...] | None


def clauses(codec: RowCodec[Record], where: Sequence[Condition]) -> list[Clause]:
    """Return the conditions in terms of rows.

    Raises
    ------
    InvalidQuery
        A field does not exist or cannot be compared in this way.
    """
    return [_clause(codec, condition) for condition in where]


def page(codec: RowCodec[Record], order: Order | None, after: Sequence[object] | None) -> Page:
    """Return in which order rows come and behind which of them.

    Raises
    ------
    InvalidQuery
        The order field does not exist or cannot be sorted by, or `after` does not fit the order.
    """
    key = codec.kind.KEY
    if order is None:
        return Page(key, False, None if after is None else codec.key_of(after))
    if codec.table.column(order.field).storage is Storage.JSON:
        raise InvalidQuery(f"{order.field} of {codec.kind.__name__} is JSON: sort by another field.", field=order.field)
    # A key field that leads the order already decides nothing the second time.
    rest = [(at, field) for at, field in enumerate(key) if field != order.field]
    fields = (order.field, *(field for _, field in rest))
    if after is None:
        return Page(fields, order.descending, None)
    if len(after) != 1 + len(key):
        raise InvalidQuery(f"A list by {order.field} goes on after ({order.field}, {', '.join(key)}), not after {len(after)} values.")
    first = None if after[0] is None and codec.table.column(order.field).nullable else codec.cell(order.field, after[0])
    behind = codec.key_of(after[1:])
    return Page(fields, order.descending, (first, *(behind[at] for at, _ in rest)))


def above(prefix: str) -> str | None:
    """Return the least text above everything that begins with `prefix`; ``None`` when nothing is above."""
    for at in reversed(range(len(prefix))):
        code = ord(prefix[at]) + 1
        if code <= 0x10FFFF:
            # Surrogates are no characters: the one after U+D7FF is U+E000.
            return prefix[:at] + chr(0xE000 if 0xD800 <= code <= 0xDFFF else code)
    return None


def _clause(codec: RowCodec[Record], condition: Condition) -> Clause:
    field, operator, value = condition.field, condition.operator, condition.value
    column = codec.table.column(field)
    match operator:
        case "eq" | "ne" if value is None:
            return Clause(field, operator, None)
        case "eq" | "ne" | "lt" | "le" | "gt" | "ge":
            return Clause(field, operator, codec.cell(field, value))
        case "in" | "within" if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
            return Clause(field, operator, tuple(dict.fromkeys(codec.cells(field, value))))
        case "prefix" | "under" if column.storage not in {Storage.INTEGER, Storage.SERIAL, Storage.TIME} and isinstance(value, str):
            return Clause(field, operator, codec.cell(field, value))
        case _:
            raise InvalidQuery(f"{field} cannot be compared with {shortened(value, 40)} by {operator!r}.", field=field)
