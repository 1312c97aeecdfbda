"""A boolean query over labels, from text to a tree. Nothing of it is ever run as code.

    query    = both { "or" both }
    both     = single { "and" single }
    single   = "not" single | "(" query ")" | name [ ">" | ">=" | "<" | "<=" number ]
    name     = word { word } | "'" ... "'" | '"' ... '"'

`and`, `or` and `not` are words in any case; a label of such a name stands in quotes. Inside quotes a backslash takes
the next sign as it is. Words that follow each other are one name: `traffic light and not person`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from piaa.errors import InputError

MOST_CHARACTERS, MOST_NESTED = 10_000, 100
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda score, bound: score > bound,
    ">=": lambda score, bound: score >= bound,
    "<": lambda score, bound: score < bound,
    "<=": lambda score, bound: score <= bound,
}
_WORDS = ("and", "or", "not")
_TOKEN = re.compile(r"""\s*(?:(?P<bracket>[()])|(?P<sign>[<>=!]+)|(?P<quote>["'])|(?P<word>[^\s()<>=!]+))""")


@dataclass(frozen=True)
class Name:
    """A label that an image must have.

    Attributes:
        name: as written.
        at: where it stands in the query, from 1.
    """

    name: str
    at: int


@dataclass(frozen=True)
class Compared:
    """A label whose score must be above or below a number.

    Attributes:
        label: which.
        sign: a key of `COMPARISONS`.
        bound: 0 to 1.
    """

    label: Name
    sign: str
    bound: float


@dataclass(frozen=True)
class Not:
    """What must not hold."""

    inner: Query


@dataclass(frozen=True)
class All:
    """What must hold together."""

    parts: tuple[Query, ...]


@dataclass(frozen=True)
class Some:
    """Of which one at least must hold."""

    parts: tuple[Query, ...]


Query = Name | Compared | Not | All | Some


def parse_query(text: str) -> Query:
    """The tree of a query.

    Raises:
        InputError: saying what is wrong and at which character, counted from 1.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"a query of {len(text)} characters; at most {MOST_CHARACTERS} are allowed")
    return _Parser(text).query()


def fault(at: int, shown: str, reason: str) -> InputError:
    """The error at a place of the query."""
    where = f"at character {at} ({shown!r})" if shown else "at its end"
    return InputError(f"the query, {where}: {reason}")


@dataclass(frozen=True)
class _Token:
    kind: str  # bracket, sign, word, quoted, end
    text: str
    at: int

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text.lower() == word

    def is_bracket(self, bracket: str) -> bool:
        return self.kind == "bracket" and self.text == bracket

    def starts_name(self) -> bool:
        return self.kind == "quoted" or (self.kind == "word" and self.text.lower() not in _WORDS)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._nested = 0

    def query(self) -> Query:
        found = self._some()
        token = self._peek()
        if token.is_bracket(")"):
            raise fault(token.at, ")", "no '(' belongs to this bracket")
        if token.kind != "end":
            raise fault(token.at, token.text, "'and' or 'or' is missing before this")
        return found

    def _some(self) -> Query:
        parts = [self._all()]
        while self._peek().is_word("or"):
            self._take()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _all(self) -> Query:
        parts = [self._single()]
        while self._peek().is_word("and"):
            self._take()
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _single(self) -> Query:
        token = self._take()
        if token.is_word("not") or token.is_bracket("("):
            self._nested += 1
            if self._nested > MOST_NESTED:
                raise fault(token.at, token.text, f"more than {MOST_NESTED} brackets or 'not' within each other")
            inner = Not(self._single()) if token.kind == "word" else self._bracketed(token)
            self._nested -= 1
            return inner
        if not token.starts_name():
            wanted = "a label, 'not' or '(' is wanted here"
            if token.is_word("and") or token.is_word("or"):
                wanted += f"; a label that is called {token.text!r} stands in quotes"
            raise fault(token.at, token.text, wanted)
        name = self._name(token)
        return self._compared(name) if self._peek().kind == "sign" else name

    def _bracketed(self, opening: _Token) -> Query:
        inner = self._some()
        token = self._take()
        if token.kind == "end":
            raise fault(opening.at, "(", "this bracket is never closed")
        if not token.is_bracket(")"):
            raise fault(token.at, token.text, "'and', 'or' or ')' is missing before this")
        return inner

    def _name(self, token: _Token) -> Name:
        if token.kind == "quoted":
            return Name(token.text, token.at)
        words = [token.text]
        while self._peek().kind == "word" and self._peek().starts_name():
            words.append(self._take().text)
        return Name(" ".join(words), token.at)

    def _compared(self, name: Name) -> Compared:
        sign, number = self._take(), self._take()
        if sign.text not in COMPARISONS:
            raise fault(sign.at, sign.text, f"no comparison; write one of {' '.join(COMPARISONS)}")
        try:
            bound = float(number.text) if number.kind == "word" else math.nan
        except ValueError:
            bound = math.nan
        if not 0 <= bound <= 1:
            raise fault(number.at, number.text, "a score between 0 and 1 is wanted here, such as 0.8")
        return Compared(name, sign.text, bound)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)  # the end stays
        return token


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        assert found is not None and found.lastgroup is not None  # the groups hold every sign that is no blank
        kind, at = found.lastgroup, found.start(found.lastgroup)
        position = found.end()
        if kind == "quote":
            inner, position = _quoted(text, at)
            yield _Token("quoted", inner, at + 1)
        else:
            yield _Token(kind, found[kind], at + 1)
    yield _Token("end", "", len(text) + 1)


def _quoted(text: str, start: int) -> tuple[str, int]:
    """What stands in the quotes that begin at `start`, and where the text goes on."""
    kept: list[str] = []
    position = start + 1
    while position < len(text):
        sign = text[position]
        if sign == text[start]:
            if not "".join(kept).strip():
                raise fault(start + 1, text[start : position + 1], "an empty name")
            return "".join(kept), position + 1
        if sign == "\\" and position + 1 < len(text):
            position += 1
            sign = text[position]
        kept.append(sign)
        position += 1
    raise fault(start + 1, text[start:][:20], "these quotes are never closed")
