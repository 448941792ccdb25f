"""From the text of a query to its nodes: recursive descent over a closed grammar. Nothing in it is ever evaluated as code."""

from collections.abc import Callable
from typing import Final, TypeAlias, cast
from unicodedata import normalize

from modelbox.errors import InvalidQuery, nearest, shortened
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
from modelbox.wire.query.lexer import Kind, Token, tokens_of
from modelbox.wire.query.mistakes import mistake
from modelbox.wire.query.patterns import Pattern, PatternError, glob, like
from modelbox.wire.query.regex import regex

__all__ = ["MAX_QUERY_CHARS", "parse", "unlimited"]

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
_CLAUSES: Final = ("show", "order", "limit")


def parse(text: str) -> Query:
    """Return what a query says; an empty one means every experiment.

    Raises
    ------
    InvalidQuery
        It is not of this language; the message has the column and a caret line.
    """
    return _parser(text).query()


def unlimited(text: str) -> tuple[str, int | None]:
    """Return the query without its limit, and the limit: for those who choose among what it finds.

    Raises
    ------
    InvalidQuery
        As :func:`parse` does.
    """
    parser = _parser(text)
    limit = parser.query().limit
    if parser.limit_span is None:
        return text, None
    begins, ends = parser.limit_span
    return f"{text[:begins]} {text[ends:]}", limit


def _parser(text: str) -> "_Parser":
    if len(text) > MAX_QUERY_CHARS:
        raise InvalidQuery(
            f"The query has {len(text)} characters: at most {MAX_QUERY_CHARS} are read.", field="q", limit=f"{MAX_QUERY_CHARS} characters"
        )
    return _Parser(text)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._token = next(self._tokens)
        self._depth = 0
        self._tests = 0
        self._bare_field_ends = -1
        self.limit_span: tuple[int, int] | None = None
        """Where the limit stands."""

    # --- the grammar, from the whole to the parts ----------------------------------------------------------------------------------------

    def query(self) -> Query:
        ends = self._token.kind is Kind.END or self._token.is_word(*_CLAUSES)
        where = None if ends else self._expression()
        order: tuple[Term, ...] = ()
        shown: tuple[Shown, ...] = ()
        limit: int | None = None
        before = ""
        open_clauses: list[str] = list(_CLAUSES)
        while self._token.is_word(*open_clauses):
            before = self._token.text.lower()
            open_clauses.remove(before)
            begins = self._token.at
            self._advance()
            match before:
                case "show":
                    shown = self._show()
                case "order":
                    order = self._order()
                case _:
                    self.limit_span = (begins, self._token.end)
                    limit = self._limit()
        if self._token.kind is not Kind.END:
            raise self._unexpected(before, open_clauses)
        return Query(where, order, limit, shown)

    def _expression(self) -> Expression:
        return self._joined(self._conjunction, "or", OneOf)

    def _conjunction(self) -> Expression:
        return self._joined(self._negation, "and", All)

    def _joined(self, part: Callable[[], Expression], word: str, node: type[OneOf] | type[All]) -> Expression:
        parts = [part()]
        while self._takes_word(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else node(tuple(parts))

    def _negation(self) -> Expression:
        opens = self._token
        if not (opens.is_word("not") or opens.is_symbol("(")):
            return self._test()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise mistake(self._text, opens.at, f"the query nests deeper than {_MAX_DEPTH} levels: write it flatter.")
        self._advance()
        if opens.is_word("not"):
            expression: Expression = Negation(self._negation())
        else:
            expression = self._expression()
            if not self._token.is_symbol(")"):
                raise self._unexpected_within(opens)
            self._advance()
        self._depth -= 1
        return expression

    def _test(self) -> Expression:
        self._count_test()
        field = self._field()
        operator = self._token
        if operator.kind is Kind.SYMBOL and operator.text in _COMPARATORS:
            self._advance()
            return self._comparison(field, operator, _COMPARATORS[operator.text])
        if operator.is_symbol("~", "!~"):
            self._advance()
            return Matches(field, self._pattern(field, regex, "~"), operator.text == "!~")
        negated = operator.is_word("not")
        if negated:
            self._advance()
        if self._takes_word("in"):
            return self._among(field, negated=negated)
        if self._takes_word("between"):
            return self._between(field, negated=negated)
        if self._takes_word("like"):
            return Matches(field, self._pattern(field, like, "like"), negated)
        if negated:
            raise mistake(self._text, self._token.at, f"after 'not' comes in, between or like, not {self._shown()}.")
        self._bare_field_ends = self._token.at
        # A metric may be there without a last value that could be compared, such as bytes.
        return Present(MetricField(field.key, "count") if isinstance(field, MetricField) and field.statistic == "last" else field)

    def _show(self) -> tuple[Shown, ...]:
        shown: dict[str, Shown] = {}
        while True:
            field, parts = self._path()
            label = label_of(field, parts)
            shown[label] = Shown(label, field)
            if not self._takes_symbol(","):
                return tuple(shown.values())
            if len(shown) == _MAX_SHOWN:
                raise mistake(self._text, self._token.at, f"the query shows too many columns: choose at most {_MAX_SHOWN}.")

    def _order(self) -> tuple[Term, ...]:
        if not self._takes_word("by"):
            raise mistake(self._text, self._token.at, f"after 'order' comes 'by', not {self._shown()}.")
        terms = [self._term()]
        while self._takes_symbol(","):
            if len(terms) == _MAX_TERMS:
                raise mistake(self._text, self._token.at, f"the query sorts by too many fields: use at most {_MAX_TERMS}.")
            terms.append(self._term())
        return tuple(terms)

    def _term(self) -> Term:
        field = self._field()
        descending = self._token.is_word("desc")
        if descending or self._token.is_word("asc"):
            self._advance()
        return Term(field, descending)

    def _limit(self) -> int:
        token = self._token
        if token.kind is not Kind.NUMBER or not token.text.isdecimal() or not 1 <= number_of(self._text, token) <= _MAX_LIMIT:
            raise mistake(self._text, token.at, f"after 'limit' comes a whole number from 1, not {self._shown()}.")
        self._advance()
        return int(token.text)

    # --- fields and values ---------------------------------------------------------------------------------------------------------------

    def _field(self) -> Field:
        return self._path()[0]

    def _path(self) -> tuple[Field, list[Token]]:
        """Return a field, and the parts that it was written with."""
        head = self._token
        if head.kind is not Kind.WORD:
            raise mistake(self._text, head.at, f"here comes a field, such as params.lr, metrics.loss.min or status, not {self._shown()}.")
        self._advance()
        parts = [head]
        while self._takes_symbol("."):
            part = self._token
            if len(parts) == MAX_PATH:
                raise mistake(self._text, head.at, f"this path is too long: at most {MAX_PATH} parts are followed.")
            if part.kind not in {Kind.WORD, Kind.TEXT, Kind.NAME} or not part.text:
                raise mistake(self._text, part.at, f"after '.' comes a name, in quotes if it is no plain word, not {self._shown()}.")
            self._advance()
            parts.append(part)
        step = self._step() if asks_for_step(parts) else None
        return field_of(self._text, parts, step), parts

    def _step(self) -> int:
        if not self._takes_symbol("("):
            raise mistake(self._text, self._token.at, f"after 'at' comes a step in parentheses, as in at(100), not {self._shown()}.")
        step = step_of(self._text, self._token)
        self._advance()
        if not self._takes_symbol(")"):
            raise mistake(self._text, self._token.at, f"after the step comes ')', not {self._shown()}.")
        return step

    def _value(self, field: Field) -> tuple[Token, Literal_]:
        token = self._token
        match token.kind:
            case Kind.NUMBER:
                value: Literal_ = number_of(self._text, token)
            case Kind.TEXT:
                value = token.text
            case Kind.WORD if token.text.lower() in _CONSTANTS and not is_text(field):
                value = _CONSTANTS[token.text.lower()]
            case Kind.WORD if not token.is_word("and", "or", "not", "in", "like", "between", *_CLAUSES):
                value = token.text
            case Kind.DURATION:
                value = token.text
                if not is_duration(field) and not is_text(field):
                    raise mistake(
                        self._text,
                        token.at,
                        f"only age and duration are compared with durations: put {token.text[:40]} into quotes for text.",
                    )
            case _:
                raise mistake(self._text, token.at, f"here comes a value, not {self._shown()}: text goes into quotes.")
        self._advance()
        if token.kind is Kind.WORD and self._token.is_symbol("."):
            raise mistake(self._text, token.at, "a field is compared with a value, not with another field: put text with dots into quotes.")
        return token, self._fitting(field, token, value)

    def _fitting(self, field: Field, token: Token, value: Literal_) -> Literal_:
        """Return a value as its field has it, or say what the field is compared with."""
        if not isinstance(field, RecordField) or field.name in TIMES:
            return value
        if field.name == "status":
            return status_of(self._text, token, value)
        if is_duration(field):
            number = value if token.kind is Kind.NUMBER and isinstance(value, int | float) else None
            return duration_of(self._text, token, field.name, number)
        if not isinstance(value, str) or token.kind is Kind.DURATION:
            raise mistake(self._text, token.at, f'{field.name} is text: write "{token.text[:40]}" in quotes.')
        return normalize("NFC", value)

    def _ordered(self, field: Field, operator: str) -> _ORDERED:
        token, value = self._value(field)
        if value is None or isinstance(value, bool):
            raise mistake(self._text, token.at, f"{token.text} is neither less nor greater than anything: use = or !=, not {operator}.")
        if field == RecordField("status"):
            raise mistake(self._text, token.at, f"a status is neither less nor greater than another: use = or in, not {operator}.")
        return value

    def _span(self, field: RecordField) -> tuple[int, int]:
        token = self._token
        span = time_of(self._text, token, field.name)
        self._advance()
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
        if not self._takes_word("and"):
            raise mistake(
                self._text, self._token.at, f"between needs two values, as in between 1 and 2: here comes 'and', not {self._shown()}."
            )
        at = self._token.at
        high = self._span(timed)[1] if timed else self._ordered(field, "between")
        if isinstance(low, str) is not isinstance(high, str):
            raise mistake(self._text, at, "between needs two values of one type.")
        return Between(field, low, high, negated)

    def _among(self, field: Field, *, negated: bool) -> Expression:
        if not self._takes_symbol("("):
            raise mistake(self._text, self._token.at, f"after 'in' come values in parentheses, as in (1, 2), not {self._shown()}.")
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
            if not self._takes_symbol(","):
                break
        if not self._takes_symbol(")"):
            raise mistake(self._text, self._token.at, f"here comes ',' or ')', not {self._shown()}.")
        parts = ([Among(field, frozenset(members), negated)] if members else []) + others
        return parts[0] if len(parts) == 1 else (All if negated else OneOf)(tuple(parts))

    def _pattern(self, field: Field, make: Callable[[str], Pattern], operator: str) -> Pattern:
        token = self._token
        if token.kind is not Kind.TEXT:
            raise mistake(self._text, token.at, f"after '{operator}' comes text in quotes, not {self._shown()}.")
        if isinstance(field, RecordField) and not is_text(field):
            raise mistake(self._text, token.at, f"{field.name} is no text: compare it with = or <.")
        self._advance()
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
            raise mistake(self._text, token.at + 1 + (error.at if plain else 0), str(error)) from error

    def _count_test(self) -> None:
        self._tests += 1
        if self._tests > _MAX_TESTS:
            raise mistake(self._text, self._token.at, f"the query has more than {_MAX_TESTS} tests: use in (…), or ask in parts.")

    # --- tokens --------------------------------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        # The last token ends no rule, so nothing goes on behind it.
        self._token = next(self._tokens)

    def _takes_word(self, word: str) -> bool:
        taken = self._token.is_word(word)
        if taken:
            self._advance()
        return taken

    def _takes_symbol(self, symbol: str) -> bool:
        taken = self._token.is_symbol(symbol)
        if taken:
            self._advance()
        return taken

    def _shown(self) -> str:
        token = self._token
        return "the end" if token.kind is Kind.END else shortened(self._text[token.at : token.end], 40)

    def _unexpected(self, before: str, open_clauses: list[str]) -> InvalidQuery:
        """Say what may stand where something else does, behind the clause `before`."""
        token = self._token
        if token.is_word(*_CLAUSES):
            return mistake(self._text, token.at, f"{token.text.lower()!r} stands here for the second time: write one.")
        follow = ["order by" if clause == "order" else clause for clause in open_clauses]
        if not before:
            if token.is_word("select", "columns"):
                return mistake(self._text, token.at, "columns are chosen with show, as in: show name, params.lr, metrics.loss.min.")
            return self._misplaced("and", "or", *follow, "the end")
        words = {"show": ["','"], "order": ["asc", "desc", "','"], "limit": []}[before]
        may_come = [*words, *follow, "the end"]
        hint = self._hint(*words, *open_clauses)
        where = "here" if len(may_come) > 1 else "at this place"
        listed = f"{', '.join(may_come[:-1])} or {may_come[-1]}" if len(may_come) > 1 else may_come[0]
        return mistake(self._text, token.at, f"{where} comes {listed}, not {self._shown()}.{hint}")

    def _unexpected_within(self, opens: Token) -> InvalidQuery:
        if self._token.kind is Kind.END:
            return mistake(self._text, opens.at, "this parenthesis is not closed.")
        return self._misplaced("and", "or", "')'")

    def _misplaced(self, *may_come: str) -> InvalidQuery:
        after_field = self._token.at == self._bare_field_ends
        if after_field and self._token.kind in {Kind.NUMBER, Kind.TEXT, Kind.DURATION}:
            return mistake(self._text, self._token.at, f"an operator such as = or < is missing before {self._shown()}.")
        may_come = ("a comparison", *may_come) if after_field else may_come
        hint = self._hint("and", "or", "not", "in", "like", "between", *_CLAUSES)
        return mistake(self._text, self._token.at, f"here comes {', '.join(may_come[:-1])} or {may_come[-1]}, not {self._shown()}.{hint}")

    def _hint(self, *words: str) -> str:
        token = self._token
        hint = nearest(token.text.lower(), words) if token.kind is Kind.WORD and len(token.text) < 20 else ""
        return f" {hint}" if hint else ""
