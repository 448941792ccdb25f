"""From the text of a query to its nodes: recursive descent over a closed grammar. Nothing in it is ever evaluated as code."""

from collections.abc import Callable
from typing import Final, TypeAlias, cast
from unicodedata import normalize

from modelbox.errors import InvalidQuery
from modelbox.wire.query.ast import (
    All,
    Among,
    Between,
    Comparator,
    Compare,
    Expression,
    Field,
    Identity,
    Literal_,
    Matches,
    MetricField,
    Negation,
    OneOf,
    Present,
    Query,
    RecordField,
    Shown,
    Term,
    identity,
)
from modelbox.wire.query.fields import (
    MAX_PATH,
    TIMES,
    asks_for_step,
    duration_of,
    field_of,
    is_duration,
    is_text,
    label_of,
    number_of,
    status_of,
    step_of,
    time_of,
)
from modelbox.wire.query.lexer import Kind, Token
from modelbox.wire.query.mistakes import mistake
from modelbox.wire.query.patterns import Pattern, PatternError, glob, like
from modelbox.wire.query.reader import CLAUSES, TokenReader
from modelbox.wire.query.regex import regex

__all__ = ["MAX_QUERY_CHARS", "parse"]

MAX_QUERY_CHARS: Final = 10_000
"""How long a query may be."""

_MAX_DEPTH: Final = 50
_MAX_TESTS: Final = 200
_MAX_TERMS: Final = 10
_MAX_SHOWN: Final = 200
_MAX_LIMIT: Final = 2**53

_COMPARATORS: Final[dict[str, Comparator]] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_CONSTANTS: Final[dict[str, Literal_]] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nan": float("nan"),
    "inf": float("inf"),
    "infinity": float("inf"),
}
_ORDERED: TypeAlias = int | float | str


def parse(text: str) -> Query:
    """Return what a query says; an empty one means every experiment.

    Raises
    ------
    InvalidQuery
        It is not of this language; the message has the column and a caret line.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise InvalidQuery(
            f"The query has {len(text)} characters: at most {MAX_QUERY_CHARS} are read.", field="q", limit=f"{MAX_QUERY_CHARS} characters"
        )
    return _Parser(text).query()


class _Parser(TokenReader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._tests = 0

    # --- the grammar, from the whole to the parts ----------------------------------------------------------------------------------------

    def query(self) -> Query:
        ends = self.token.kind is Kind.END or self.token.is_word(*CLAUSES)
        where = None if ends else self._expression()
        order: tuple[Term, ...] = ()
        shown: tuple[Shown, ...] = ()
        limit: int | None = None
        before = ""
        open_clauses: list[str] = list(CLAUSES)
        while self.token.is_word(*open_clauses):
            before = self.token.text.lower()
            open_clauses.remove(before)
            self.advance()
            match before:
                case "show":
                    shown = self._show()
                case "order":
                    order = self._order()
                case _:
                    limit = self._limit()
        if self.token.kind is not Kind.END:
            raise self.unexpected(before, open_clauses)
        return Query(where, order, limit, shown)

    def _expression(self) -> Expression:
        return self._joined(self._conjunction, "or", OneOf)

    def _conjunction(self) -> Expression:
        return self._joined(self._negation, "and", All)

    def _joined(self, part: Callable[[], Expression], word: str, node: type[OneOf] | type[All]) -> Expression:
        parts = [part()]
        while self.takes_word(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else node(tuple(parts))

    def _negation(self) -> Expression:
        opens = self.token
        if not (opens.is_word("not") or opens.is_symbol("(")):
            return self._test()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise mistake(self.text, opens.at, f"the query nests deeper than {_MAX_DEPTH} levels: write it flatter.")
        self.advance()
        if opens.is_word("not"):
            expression: Expression = Negation(self._negation())
        else:
            expression = self._expression()
            if not self.token.is_symbol(")"):
                raise self.unexpected_within(opens)
            self.advance()
        self._depth -= 1
        return expression

    def _test(self) -> Expression:
        self._count_test()
        field = self._field()
        operator = self.token
        if operator.kind is Kind.SYMBOL and operator.text in _COMPARATORS:
            self.advance()
            return self._comparison(field, operator, _COMPARATORS[operator.text])
        if operator.is_symbol("~", "!~"):
            self.advance()
            return Matches(field, self._pattern(field, regex, "~"), operator.text == "!~")
        negated = operator.is_word("not")
        if negated:
            self.advance()
        if self.takes_word("in"):
            return self._among(field, negated=negated)
        if self.takes_word("between"):
            return self._between(field, negated=negated)
        if self.takes_word("like"):
            return Matches(field, self._pattern(field, like, "like"), negated)
        if negated:
            raise mistake(self.text, self.token.at, f"after 'not' comes in, between or like, not {self.shown()}.")
        self.bare_field_ends = self.token.at
        # A metric may be there without a last value that could be compared, such as bytes.
        return Present(MetricField(field.key, "count") if isinstance(field, MetricField) and field.statistic == "last" else field)

    def _show(self) -> tuple[Shown, ...]:
        shown: dict[str, Shown] = {}
        while True:
            field, parts = self._path()
            label = label_of(field, parts)
            shown[label] = Shown(label, field)
            if not self.takes_symbol(","):
                return tuple(shown.values())
            if len(shown) == _MAX_SHOWN:
                raise mistake(self.text, self.token.at, f"the query shows too many columns: choose at most {_MAX_SHOWN}.")

    def _order(self) -> tuple[Term, ...]:
        if not self.takes_word("by"):
            raise mistake(self.text, self.token.at, f"after 'order' comes 'by', not {self.shown()}.")
        terms = [self._term()]
        while self.takes_symbol(","):
            if len(terms) == _MAX_TERMS:
                raise mistake(self.text, self.token.at, f"the query sorts by too many fields: use at most {_MAX_TERMS}.")
            terms.append(self._term())
        return tuple(terms)

    def _term(self) -> Term:
        field = self._field()
        descending = self.token.is_word("desc")
        if descending or self.token.is_word("asc"):
            self.advance()
        return Term(field, descending)

    def _limit(self) -> int:
        token = self.token
        if token.kind is not Kind.NUMBER or not token.text.isdecimal() or not 1 <= number_of(self.text, token) <= _MAX_LIMIT:
            raise mistake(self.text, token.at, f"after 'limit' comes a whole number from 1, not {self.shown()}.")
        self.advance()
        return int(token.text)

    # --- fields and values ---------------------------------------------------------------------------------------------------------------

    def _field(self) -> Field:
        return self._path()[0]

    def _path(self) -> tuple[Field, list[Token]]:
        """Return a field, and the parts that it was written with."""
        head = self.token
        if head.kind is not Kind.WORD:
            raise mistake(self.text, head.at, f"here comes a field, such as params.lr, metrics.loss.min or status, not {self.shown()}.")
        self.advance()
        parts = [head]
        while self.takes_symbol("."):
            part = self.token
            if len(parts) == MAX_PATH:
                raise mistake(self.text, head.at, f"this path is too long: at most {MAX_PATH} parts are followed.")
            if part.kind not in {Kind.WORD, Kind.TEXT, Kind.NAME} or not part.text:
                raise mistake(self.text, part.at, f"after '.' comes a name, in quotes if it is no plain word, not {self.shown()}.")
            self.advance()
            parts.append(part)
        step = self._step() if asks_for_step(parts) else None
        return field_of(self.text, parts, step), parts

    def _step(self) -> int:
        if not self.takes_symbol("("):
            raise mistake(self.text, self.token.at, f"after 'at' comes a step in parentheses, as in at(100), not {self.shown()}.")
        step = step_of(self.text, self.token)
        self.advance()
        if not self.takes_symbol(")"):
            raise mistake(self.text, self.token.at, f"after the step comes ')', not {self.shown()}.")
        return step

    def _value(self, field: Field) -> tuple[Token, Literal_]:
        token = self.token
        match token.kind:
            case Kind.NUMBER:
                value: Literal_ = number_of(self.text, token)
            case Kind.TEXT:
                value = token.text
            case Kind.WORD if token.text.lower() in _CONSTANTS and not is_text(field):
                value = _CONSTANTS[token.text.lower()]
            case Kind.WORD if not token.is_word("and", "or", "not", "in", "like", "between", *CLAUSES):
                value = token.text
            case Kind.DURATION:
                value = token.text
                if not is_duration(field) and not is_text(field):
                    raise mistake(
                        self.text,
                        token.at,
                        f"only age and duration are compared with durations: put {token.text[:40]} into quotes for text.",
                    )
            case _:
                raise mistake(self.text, token.at, f"here comes a value, not {self.shown()}: text goes into quotes.")
        self.advance()
        if token.kind is Kind.WORD and self.token.is_symbol("."):
            raise mistake(self.text, token.at, "a field is compared with a value, not with another field: put text with dots into quotes.")
        return token, self._fitting(field, token, value)

    def _fitting(self, field: Field, token: Token, value: Literal_) -> Literal_:
        """Return a value as its field has it, or say what the field is compared with."""
        if not isinstance(field, RecordField) or field.name in TIMES:
            return value
        if field.name == "status":
            return status_of(self.text, token, value)
        if is_duration(field):
            number = value if token.kind is Kind.NUMBER and isinstance(value, int | float) else None
            return duration_of(self.text, token, field.name, number)
        if not isinstance(value, str) or token.kind is Kind.DURATION:
            raise mistake(self.text, token.at, f'{field.name} is text: write "{token.text[:40]}" in quotes.')
        return normalize("NFC", value)

    def _ordered(self, field: Field, operator: str) -> _ORDERED:
        token, value = self._value(field)
        if value is None or isinstance(value, bool):
            raise mistake(self.text, token.at, f"{token.text} is neither less nor greater than anything: use = or !=, not {operator}.")
        if field == RecordField("status"):
            raise mistake(self.text, token.at, f"a status is neither less nor greater than another: use = or in, not {operator}.")
        return value

    def _span(self, field: RecordField) -> tuple[int, int]:
        token = self.token
        span = time_of(self.text, token, field.name)
        self.advance()
        return span

    # --- tests ---------------------------------------------------------------------------------------------------------------------------

    def _comparison(self, field: Field, operator: Token, comparator: Comparator) -> Expression:
        if isinstance(field, RecordField) and field.name in TIMES:
            first, last = self._span(field)
            match comparator:
                case "=" | "!=":
                    return Between(field, first, last, negated=comparator == "!=")
                case "<" | ">=":
                    return Compare(field, comparator, first)
                case "<=" | ">":
                    return Compare(field, comparator, last)
        if comparator in {"=", "!="}:
            token, value = self._value(field)
            if globbed := self._globbed(field, token, value):
                return Matches(field, globbed, comparator == "!=")
            return Compare(field, comparator, value)
        return Compare(field, comparator, self._ordered(field, operator.text))

    def _between(self, field: Field, *, negated: bool) -> Expression:
        timed = field if isinstance(field, RecordField) and field.name in TIMES else None
        low = self._span(timed)[0] if timed else self._ordered(field, "between")
        if not self.takes_word("and"):
            raise mistake(
                self.text, self.token.at, f"between needs two values, as in between 1 and 2: here comes 'and', not {self.shown()}."
            )
        at = self.token.at
        high = self._span(timed)[1] if timed else self._ordered(field, "between")
        if isinstance(low, str) is not isinstance(high, str):
            raise mistake(self.text, at, "between needs two values of one type.")
        return Between(field, low, high, negated)

    def _among(self, field: Field, *, negated: bool) -> Expression:
        if not self.takes_symbol("("):
            raise mistake(self.text, self.token.at, f"after 'in' come values in parentheses, as in (1, 2), not {self.shown()}.")
        timed = isinstance(field, RecordField) and field.name in TIMES
        members: set[Identity] = set()
        others: list[Expression] = []
        while True:
            if timed:
                others.append(Between(field, *self._span(cast(RecordField, field)), negated))
                self._count_test()
            else:
                token, value = self._value(field)
                if globbed := self._globbed(field, token, value):
                    others.append(Matches(field, globbed, negated))
                    self._count_test()
                elif member := identity(value):
                    members.add(member)
            if not self.takes_symbol(","):
                break
        if not self.takes_symbol(")"):
            raise mistake(self.text, self.token.at, f"here comes ',' or ')', not {self.shown()}.")
        parts = ([Among(field, frozenset(members), negated)] if members else []) + others
        return parts[0] if len(parts) == 1 else (All if negated else OneOf)(tuple(parts))

    def _pattern(self, field: Field, make: Callable[[str], Pattern], operator: str) -> Pattern:
        token = self.token
        if token.kind is not Kind.TEXT:
            raise mistake(self.text, token.at, f"after '{operator}' comes text in quotes, not {self.shown()}.")
        if isinstance(field, RecordField) and not is_text(field):
            raise mistake(self.text, token.at, f"{field.name} is no text: compare it with = or <.")
        self.advance()
        return self._compiled(make, token, normalize("NFC", token.text) if is_text(field) else token.text)

    def _globbed(self, field: Field, token: Token, value: Literal_) -> Pattern | None:
        """Return the glob that a namespace is compared with, if it is one."""
        if field != RecordField("namespace") or not isinstance(value, str) or not ("*" in value or "?" in value):
            return None
        return self._compiled(glob, token, value)

    def _compiled(self, make: Callable[[str], Pattern], token: Token, source: str) -> Pattern:
        try:
            return make(source)
        except PatternError as error:
            # Escapes make the text of a token shorter than the query: then the place is that of the token.
            plain = token.end - token.at == len(token.text) + 2
            raise mistake(self.text, token.at + 1 + (error.at if plain else 0), str(error)) from error

    def _count_test(self) -> None:
        self._tests += 1
        if self._tests > _MAX_TESTS:
            raise mistake(self.text, self.token.at, f"the query has more than {_MAX_TESTS} tests: use in (…), or ask in parts.")
