"""A query over labels is read as it is meant, or refused with the place of the fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piaa.errors import InputError
from piaa.exchange import TagRow, TagTable
from piaa.search import parse_query, search_tags
from piaa.search.query import All, Compared, Name, Not, Some

CLASSES = ["umbrella", "person", "traffic light", "not", 'Say "hi"', "O'Hara", "傘"]


def table(rows: list[TagRow]) -> TagTable:
    from pathlib import Path

    return TagTable(rows, CLASSES, {}, Path("tags.jsonl"))


def labelled(path: str, **scores: float) -> TagRow:
    return TagRow(path, {name.replace("_", " "): score for name, score in scores.items()})


ROWS = [
    labelled("1", umbrella=0.9),
    labelled("2", umbrella=0.7, person=0.8),
    labelled("3", person=0.6, traffic_light=0.95),
    labelled("4"),
    TagRow("5", {"not": 0.6, 'Say "hi"': 0.7, "O'Hara": 0.8, "傘": 0.9}),
]


def paths(query: str) -> list[str]:
    return [one.path for one in search_tags(table(ROWS), query).found]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("umbrella", ["1", "2"]),
        ("umbrella and not person", ["1"]),
        ("UMBRELLA AND NOT Person", ["1"]),
        ("traffic light", ["3"]),
        ("umbrella or person and traffic light", ["1", "2", "3"]),  # `and` binds closer
        ("(umbrella or person) and traffic  light", ["3"]),
        ("not (umbrella or person)", ["4", "5"]),
        ("not not umbrella and person", ["2"]),
        ("umbrella > 0.8", ["1"]),
        ("umbrella>=0.7 and umbrella<0.9", ["2"]),
        ("umbrella < 0.6", ["3", "4", "5"]),
        ("'not'", ["5"]),
        ("not 'not' and not umbrella and not person", ["4"]),
        (r'"say \"hi\""', ["5"]),
        ("O'Hara and '傘'", ["5"]),
        (r"'o\'hara' > 0.75", ["5"]),
    ],
)  # fmt: skip
def test_what_fits(query: str, expected: list[str]) -> None:
    assert sorted(paths(query)) == expected


def test_the_surest_come_first() -> None:
    assert paths("umbrella or person or traffic light") == ["3", "1", "2"]  # 0.95, 0.9, 0.8
    assert [one.score for one in search_tags(table(ROWS), "umbrella and person").found] == [0.7]
    assert [one.score for one in search_tags(table(ROWS), "umbrella and not person").found] == [0.9]
    assert paths("not umbrella") == ["3", "4", "5"]  # all alike: the order of the table


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("umbrella and nto person", r"at character 14 \('nto person'\).*no such label"),
        ("umbrela", "did you mean 'umbrella'"),
        ("umbrella person", "umbrella and person"),
        ("zebra", "such as 'umbrella'.*--all-scores"),
        ("", "at its end: a label"),
        ("umbrella and", "at its end: a label"),
        ("and umbrella", r"at character 1 \('and'\).*stands in quotes"),
        ("(umbrella or person", r"at character 1 \('\('\): this bracket is never closed"),
        ("umbrella)", r"at character 9 \('\)'\): no '\(' belongs"),
        ("umbrella '", r"character 10 .*never closed"),
        ("''", "an empty name"),
        ("'umbrella' 'person'", r"at character 12 \('person'\): 'and' or 'or' is missing"),
        ("umbrella > 2", r"at character 12 \('2'\): a score between 0 and 1"),
        ("umbrella > nan", "a score between 0 and 1"),
        ("umbrella > ", "a score between 0 and 1"),
        ("umbrella = 0.5", "no comparison; write one of > >= < <="),
        ("umbrella > 0.3", r"at character 1 \('umbrella > 0.3'\).*--all-scores"),
        ("not (person and umbrella <= 0.49)", "at character 17.*--all-scores"),
        ("(" * 101 + "umbrella" + ")" * 101, "at character 101.*more than 100"),
        ("umbrella or " * 1000 + "umbrella", "at most 10000"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(query: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        search_tags(table(ROWS), query)


def test_a_table_with_all_scores_answers_any_comparison() -> None:
    rows = [
        TagRow("a", {"umbrella": 0.6}, {"umbrella": 0.6, "person": 0.2}),
        TagRow("b", {}, {"umbrella": 0.3, "person": 0.4}),
    ]
    result = search_tags(table(rows), "umbrella > 0.25 and person > 0.1")
    assert [one.path for one in result.found] == ["a", "b"]
    assert [one.score for one in search_tags(table(rows), "not umbrella").found] == [pytest.approx(0.7)]
    assert result.classes == CLASSES


names = st.sampled_from(CLASSES)
trees = st.recursive(
    names.map(lambda name: Name(name, 0)) | st.tuples(names, st.sampled_from([">", "<="])).map(
        lambda pair: Compared(Name(pair[0], 0), pair[1], 0.75)
    ),
    lambda inner: inner.map(Not) | st.lists(inner, min_size=2, max_size=3).map(tuple).flatmap(
        lambda parts: st.sampled_from([All(parts), Some(parts)])
    ),
    max_leaves=8,
)  # fmt: skip


def written(tree: object) -> str:
    match tree:
        case Name():
            return "'" + tree.name.replace("\\", "\\\\").replace("'", "\\'") + "'"
        case Compared():
            return f"{written(tree.label)} {tree.sign} {tree.bound}"
        case Not():
            return f"not ({written(tree.inner)})"
        case All():
            return " and ".join(f"({written(part)})" for part in tree.parts)
        case Some():
            return " or ".join(f"({written(part)})" for part in tree.parts)
    raise AssertionError


def expected_of(tree: object, row: TagRow) -> bool:
    """By Python's own operators."""
    match tree:
        case Name():
            return tree.name in row.labels
        case Compared():
            score = row.labels.get(tree.label.name, 0.0)
            return score > tree.bound if tree.sign == ">" else score <= tree.bound
        case Not():
            return not expected_of(tree.inner, row)
        case All():
            return all([expected_of(part, row) for part in tree.parts])
        case Some():
            return any([expected_of(part, row) for part in tree.parts])
    raise AssertionError


@given(trees)
def test_any_tree_written_out_means_the_same(tree: object) -> None:
    assert sorted(paths(written(tree))) == sorted(row.path for row in ROWS if expected_of(tree, row))


@given(st.text(alphabet="ab ()<>='\"\\!notandor0.5\n", max_size=40))
def test_any_text_is_a_query_or_an_error_of_ours(text: str) -> None:
    try:
        parse_query(text)
    except InputError as error:
        assert "the query, at" in str(error)
