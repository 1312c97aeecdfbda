"""A query over the rows of a table of tags."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Mapping
from dataclasses import replace

from piaa.errors import InputError
from piaa.exchange.tag_table import THRESHOLD, TagRow, TagTable
from piaa.search.found import Found, Result
from piaa.search.query import COMPARISONS, All, Compared, Name, Not, Query, Some, fault, parse_query


def search_tags(table: TagTable, query: str | Query) -> Result:
    """The images whose labels fit a query, those that fit surest first, ties in the order of the table.

    How sure a match is: the score of a label; the least of what `and` joins, the greatest of what `or` joins, 1 - x
    for `not`. A label that was not given counts 0 where the table does not say its score; a comparison counts 1.

    Args:
        table: see `piaa.exchange.read_tags`.
        query: text, or the tree that `parse_query` gave.

    Raises:
        InputError: for a query that cannot be read, a label that the table does not have (with those that are spelt
            alike), or a score that it does not hold; with the place in the query.
    """
    tree = parse_query(query) if isinstance(query, str) else query
    names = {_key(name): name for name in reversed(table.classes)}
    complete = bool(table.rows) and all(row.scores for row in table.rows)
    tree = _resolved(tree, table, names)
    if not complete:
        _check_answerable(tree)
    found = [Found(row.path, _sure(tree, row), row) for row in table.rows if _holds(tree, row)]
    found.sort(key=lambda one: -one.score)
    return Result(found, len(table.rows), table.classes if complete else [])


def _resolved(query: Query, table: TagTable, names: Mapping[str, str]) -> Query:
    """The same with every name as the table spells it."""
    match query:
        case Name():
            if query.name in table.classes:
                return query
            if _key(query.name) not in names:
                raise _unknown(query, table, names)
            return replace(query, name=names[_key(query.name)])
        case Compared():
            label = _resolved(query.label, table, names)
            assert isinstance(label, Name)
            return replace(query, label=label)
        case Not():
            return Not(_resolved(query.inner, table, names))
        case All() | Some():
            return type(query)(tuple(_resolved(part, table, names) for part in query.parts))


def _unknown(wanted: Name, table: TagTable, names: Mapping[str, str]) -> InputError:
    words = [names.get(_key(word)) for word in wanted.name.split()]
    near = difflib.get_close_matches(_key(wanted.name), names, n=3, cutoff=0.6)
    if len(words) > 1 and all(words):
        advice = f"are several labels meant? Put 'and' or 'or' between them: {' and '.join(filter(None, words))}"
    elif near:
        advice = f"did you mean {' or '.join(repr(names[key]) for key in near)}?"
    else:
        some = ", ".join(map(repr, table.classes[:5]))
        advice = f"it names {len(table.classes)}, such as {some}" if table.classes else "it names none at all"
    if not near and not (table.rows and table.rows[0].scores):
        advice += "; a label that no image has is named only where tags were written with --all-scores"
    return fault(wanted.at, wanted.name, f"{table.source.name} has no such label; {advice}")


def _check_answerable(query: Query) -> None:
    """Without the scores of all classes, nothing is known of a label that was not given but that it is below 0.5."""
    match query:
        case Compared() if query.bound < THRESHOLD:
            raise fault(
                query.label.at,
                f"{query.label.name} {query.sign} {query.bound:g}",
                f"this table holds no scores below {THRESHOLD}, the threshold; tag again with --all-scores",
            )
        case Not():
            _check_answerable(query.inner)
        case All() | Some():
            for part in query.parts:
                _check_answerable(part)


def _holds(query: Query, row: TagRow) -> bool:
    match query:
        case Name():
            return query.name in row.labels
        case Compared():
            score = _score(row, query.label.name)
            return COMPARISONS[query.sign](score, query.bound)
        case Not():
            return not _holds(query.inner, row)
        case All():
            return all(_holds(part, row) for part in query.parts)
        case Some():
            return any(_holds(part, row) for part in query.parts)


def _sure(query: Query, row: TagRow) -> float:
    match query:
        case Name():
            return _score(row, query.name)
        case Compared():
            return float(_holds(query, row))
        case Not():
            return 1 - _sure(query.inner, row)
        case All():
            return min(_sure(part, row) for part in query.parts)
        case Some():
            return max(_sure(part, row) for part in query.parts)


def _score(row: TagRow, name: str) -> float:
    return row.scores.get(name, row.labels.get(name, 0.0))


def _key(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
