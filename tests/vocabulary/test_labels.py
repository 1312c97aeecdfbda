"""Label files and text prototypes."""

from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from piaa.errors import LabelError
from piaa.vocabulary.labels import Label, parse_labels, read_labels
from piaa.vocabulary.prototypes import DEFAULT_TEMPLATE, TEMPLATE_SETS, resolve_templates, text_prototypes


def write(tmp_path, content):
    path = tmp_path / "labels.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_names_synonyms_comments_and_blank_lines(tmp_path):
    path = write(
        tmp_path,
        "# my classes\n\nanchor\n  umbrella :  parasol,  sun  shade \r\n\n雪だるま: snowman\nمی‌روم\n",
    )
    assert read_labels(path) == [
        Label("anchor"),
        Label("umbrella", ("parasol", "sun shade")),
        Label("雪だるま", ("snowman",)),
        Label("می‌روم"),
    ]
    assert read_labels(path)[1].phrases == ("umbrella", "parasol", "sun shade")


def test_byte_order_mark(tmp_path):
    assert read_labels(write(tmp_path, b"\xef\xbb\xbfcat\ndog")) == [Label("cat"), Label("dog")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cat\n\nCAT\n", r"labels\.txt, line 3: duplicate class name 'CAT'; first at .*line 1"),
        ("cat\ndog: Cat\n", r"line 2: synonym 'Cat' is also a class name, at .*line 1"),
        ("dog: cat\ncat\n", r"line 1: synonym 'cat' is also a class name, at .*line 2"),
        ("cat: cat\n", r"line 1: synonym 'cat' is also a class name"),
        ("cat: kitty, KITTY\n", r"line 1: synonym 'KITTY' of 'cat' is there twice"),
        ("", r"labels\.txt: no class names"),
        ("# nothing\n \n", r"labels\.txt: no class names"),
        ("cat\ndog:\n", r"line 2: empty synonym of 'dog'"),
        ("cat: a,,b\n", r"line 1: empty synonym of 'cat'"),
        (": a\n", r"line 1: empty class name"),
        ("cat\n" + "x" * 201, r"line 2: class name of 201 characters; at most 200"),
        ("cat: " + "x" * 201, r"line 1: synonym of 'cat' of 201 characters"),
        ("cat\nd\x00g\n", r"line 2: class name 'd\\x00g' holds control characters"),
        (b"cat\n\xff\xfe\n", r"line 2: not UTF-8"),
    ],
)
def test_a_fault_names_file_and_line(tmp_path, content, message):
    with pytest.raises(LabelError, match=message):
        read_labels(write(tmp_path, content))


def test_a_name_of_200_characters_is_allowed(tmp_path):
    assert len(read_labels(write(tmp_path, "x" * 200))[0].name) == 200


def test_no_file_and_no_permission_are_label_errors(tmp_path):
    with pytest.raises(LabelError, match=r"gone\.txt: cannot read the label file"):
        read_labels(tmp_path / "gone.txt")
    with pytest.raises(LabelError, match="cannot read the label file"):
        read_labels(tmp_path)


def test_names_from_a_program():
    assert parse_labels(["cat", "dog: hound", Label("#1")]) == [
        Label("cat"),
        Label("dog", ("hound",)),
        Label("#1"),
    ]
    assert parse_labels(["crane, bird:", "crane, bird, large: stork"]) == [
        Label("crane, bird"),
        Label("crane, bird, large", ("stork",)),
    ]
    for bad, message in [
        (["cat", ""], "class name 2: empty"),
        ([], "no class names"),
        ("cat", "list of strings"),
        (["a", 3], "class name 2: must be a string, not int"),
        (["a", Label("A")], "class name 2: duplicate"),
    ]:
        with pytest.raises(LabelError, match=message):
            parse_labels(bad)


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20), min_size=1, max_size=9))
def test_written_names_are_read_back(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("\n".join(names), encoding="utf-8")
    try:
        assert [label.name for label in read_labels(path)] == names
    except LabelError as error:
        assert "duplicate" in str(error)


class Hashing:
    """A text encoder whose embedding is a random vector of the text, not of unit length."""

    def __init__(self):
        self.calls = []

    def encode_text(self, texts):
        self.calls.append(list(texts))
        rows = [
            torch.randn(8, generator=torch.Generator().manual_seed(sum(map(ord, text)) * 31 + len(text)))
            for text in texts
        ]
        return 3 * torch.stack(rows)


def test_prototypes_are_the_unit_mean_of_unit_embeddings():
    model = Hashing()
    labels = [Label("cat"), Label("dog", ("hound", "puppy"))]
    templates = ["a {}", "the {} here"]
    prototypes = text_prototypes(model, labels, templates)
    for row, label in enumerate(labels):
        prompts = [template.format(phrase) for phrase in label.phrases for template in templates]
        rows = Hashing().encode_text(prompts)
        mean = (rows / rows.norm(dim=1, keepdim=True)).mean(dim=0)
        torch.testing.assert_close(prototypes[row], mean / mean.norm())


def test_every_prompt_is_embedded_once_and_chunks_change_nothing():
    labels = [Label(f"thing {i}", (f"object {i}",)) for i in range(7)]
    whole, parts = Hashing(), Hashing()
    torch.testing.assert_close(
        text_prototypes(whole, labels, "ensemble"), text_prototypes(parts, labels, "ensemble", chunk=5)
    )
    prompts = list(chain(*whole.calls))
    assert prompts == list(chain(*parts.calls))
    assert len(prompts) == len(set(prompts)) == 7 * 2 * len(TEMPLATE_SETS["ensemble"])
    assert max(map(len, parts.calls)) == 5


def test_templates():
    assert resolve_templates() == (DEFAULT_TEMPLATE,) == ("a photo of a {}",)
    assert resolve_templates("ensemble") == TEMPLATE_SETS["ensemble"]
    assert resolve_templates("one {}") == ("one {}",)
    with pytest.raises(LabelError, match=r"'a photo' has no \{\}"):
        resolve_templates(["a {}", "a photo"])
    with pytest.raises(LabelError, match="no prompt template"):
        resolve_templates([])


def test_braces_in_a_name_are_kept():
    model = Hashing()
    text_prototypes(model, [Label("{x} {0}")])
    assert model.calls == [["a photo of a {x} {0}"]]
