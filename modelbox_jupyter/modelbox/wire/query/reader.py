"""The tokens of a query, one at a time, and what to say when another one comes than may."""

from typing import Final

from modelbox.errors import InvalidQuery, nearest, shortened
from modelbox.wire.query.lexer import Kind, Token, tokens_of
from modelbox.wire.query.mistakes import mistake

__all__ = ["CLAUSES", "TokenReader"]

CLAUSES: Final = ("show", "order", "limit")
"""What clauses begin with."""


class TokenReader:
    """Holds the token that is to be read next.

    Parameters
    ----------
    text
        The query.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokens_of(text)
        self.token = next(self._tokens)
        """What is to be read next."""
        self.bare_field_ends = -1
        """Where the token stands that follows a field without a comparison."""

    def advance(self) -> None:
        """Go on to the next token."""
        # The last token ends no rule, so nothing goes on behind it.
        self.token = next(self._tokens)

    def takes_word(self, word: str) -> bool:
        """Go on if this keyword is next, and tell whether it was."""
        taken = self.token.is_word(word)
        if taken:
            self.advance()
        return taken

    def takes_symbol(self, symbol: str) -> bool:
        """Go on if this symbol is next, and tell whether it was."""
        taken = self.token.is_symbol(symbol)
        if taken:
            self.advance()
        return taken

    def shown(self) -> str:
        """Return the next token as messages show it."""
        token = self.token
        return "the end" if token.kind is Kind.END else shortened(self.text[token.at : token.end], 40)

    def unexpected(self, before: str, open_clauses: list[str]) -> InvalidQuery:
        """Say what may stand where something else does, behind the clause `before`."""
        token = self.token
        if token.is_word(*CLAUSES):
            return mistake(self.text, token.at, f"{token.text.lower()!r} stands here for the second time: write one.")
        follow = ["order by" if clause == "order" else clause for clause in open_clauses]
        if not before:
            if token.is_word("select", "columns"):
                return mistake(self.text, token.at, "columns are chosen with show, as in: show name, params.lr, metrics.loss.min.")
            return self.misplaced("and", "or", *follow, "the end")
        words = {"show": ["','"], "order": ["asc", "desc", "','"], "limit": []}[before]
        return self._instead([*words, *follow, "the end"], self._hint(*words, *open_clauses))

    def unexpected_within(self, opens: Token) -> InvalidQuery:
        """Say what may stand within the parenthesis `opens` where something else does."""
        if self.token.kind is Kind.END:
            return mistake(self.text, opens.at, "this parenthesis is not closed.")
        return self.misplaced("and", "or", "')'")

    def misplaced(self, *may_come: str) -> InvalidQuery:
        """Say what may come behind a test."""
        after_field = self.token.at == self.bare_field_ends
        if after_field and self.token.kind in {Kind.NUMBER, Kind.TEXT, Kind.DURATION}:
            return mistake(self.text, self.token.at, f"an operator such as = or < is missing before {self.shown()}.")
        hint = self._hint("and", "or", "not", "in", "like", "between", *CLAUSES)
        return self._instead(["a comparison", *may_come] if after_field else list(may_come), hint)

    def _instead(self, may_come: list[str], hint: str) -> InvalidQuery:
        *others, last = may_come
        listed = f"{', '.join(others)} or {last}" if others else last
        return mistake(self.text, self.token.at, f"here comes {listed}, not {self.shown()}.{hint}")

    def _hint(self, *words: str) -> str:
        token = self.token
        hint = nearest(token.text.lower(), words) if token.kind is Kind.WORD and len(token.text) < 20 else ""
        return f" {hint}" if hint else ""
