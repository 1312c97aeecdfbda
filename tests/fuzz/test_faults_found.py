"""Every kind of fault that fuzzing found, as the smallest input that shows it. Each was another exception before."""

from __future__ import annotations

import csv
import io
import json
import struct
import zipfile
from pathlib import Path

import pytest
from safetensors.torch import load, save

from piaa.errors import ClassifierError, ImageError, InputError, LabelError, ModelError, PiaaError
from piaa.files import csv_line, is_storable, parse_json
from piaa.inputs.sources import read_arguments

from .targets import TARGETS
from .targets.classifiers import OLD
from .targets.tag_folders import PART

MANIFEST = "/c.piaa.partial/manifest.json"
SHARD, ERRORS = "/t.jsonl.partial/shard-00000.jsonl", "/c.piaa.partial/errors.jsonl"
TAGS = "/_manifest.json"
DEEP = b"[" * 5000
BADLY_ENCODED = b'<?xml version="1.0" encoding="utf-9"?><annotations/>'
OUT_OF_RANGE = b'{"path": "a.jpg", "labels": [{"label": "cat", "score": 1%s}]}' % (b"0" * 400)


def _archive_without_directory() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/constants.pkl", "x")
    data = bytearray(stream.getvalue())
    data[data.index(b"PK\x01\x02")] = 0
    return bytes(data)


def _coco(change: str) -> bytes:
    good = {
        "no name": {"categories": [{"id": 1}], "images": [], "annotations": []},
        "list for a number": {"categories": [], "images": [{"id": [], "file_name": 3}], "annotations": []},
    }
    return json.dumps(good[change]).encode()


@pytest.mark.parametrize(
    ("target", "suffix", "data", "kind", "words"),
    [
        ("checkpoints", ".pt", _archive_without_directory(), ModelError, "cannot read weights|holds more than"),
        ("checkpoints", ".json", b'{"weight_map": 0.5}', ModelError, "weight_map must be"),
        ("checkpoints", ".json", b'{"weight_map": {"a": {}}}', ModelError, "weight_map must be"),
        ("checkpoints", ".json", b'{"weight_map": {"a": null, "b": "w"}}', ModelError, "weight_map must be"),
        ("checkpoints", ".json", b'{"weight_map": {"a": "%s"}}' % (b"w" * 300), ModelError, "no such file"),
        ("checkpoints", ".json", DEEP, ModelError, "brackets"),
        ("coco", "", _coco("no name"), LabelError, "not as COCO writes it"),
        ("coco", "", _coco("list for a number"), PiaaError, "instances_val2017"),
        ("coco", "", b"[]", InputError, "not a COCO annotation file"),
        ("coco", "", DEEP, InputError, "not a COCO annotation file"),
        ("nus-wide", ".list", b"actor\\\x00.jpg\n", InputError, "null bytes"),
        ("voc", ".txt", b"a\x00\n", InputError, "null bytes"),
        ("voc", ".xml", BADLY_ENCODED, LabelError, "broken XML"),
        ("truth", ".csv", b"path,labels\na\x00.jpg,cat\n", LabelError, "line 2: no file is called"),
        ("truth", ".jsonl", b'{"path": "\\ud800", "labels": []}', LabelError, "line 1: no file is called"),
        ("truth", ".jsonl", DEEP, LabelError, "line 1: not readable as JSON"),
        ("partial-runs", MANIFEST, b'{"version": 1, "settings": 3, "values": {}}', InputError, "manifest.json"),
        ("partial-runs", MANIFEST, DEEP, InputError, "brackets"),
        ("partial-runs", MANIFEST, b"\xff" * 100_000, InputError, "manifest.json: UnicodeDecodeError"),
        ("split-lists", "", b"a " + b"9" * 5000, LabelError, "line 1: class indices"),
        ("tag-tables", ".jsonl", DEEP, InputError, "line 1: too many brackets"),
        ("tag-tables", ".jsonl", OUT_OF_RANGE, InputError, "line 1: 10*.. is no score"),
        ("tag-tables", ".jsonl", b'{"path": "a", "labels": [{"label": "x", "score": 1.9}]}', InputError, "1.9 is no"),
        ("tag-tables", ".jsonl", b'{"path": "a", "labels": [], "scores": 3}', InputError, "scores must be an object"),
        ("tag-tables", ".jsonl", b'{"path": "\\ud800", "labels": []}', InputError, "line 1: no file is called"),
        ("tag-tables", ".jsonl", b'{"path": "a", "labels": [{"label": "\\ud800", "score": 1}]}', InputError, "no text"),
        ("corrections", ".tasks", b'[{"data": {"path": "a"}, "annotations": [3]}]', InputError, "task 1: its annotat"),
        ("corrections", ".tasks", b'[{"data": {"path": "a"}, "annotations": [{"result": [3]}]}]', InputError, "task 1"),
        ("corrections", ".xml", BADLY_ENCODED, InputError, "not readable as XML"),
        ("sidecars", "", BADLY_ENCODED, InputError, "not readable as XML"),
        ("partial-runs", SHARD, DEEP, InputError, "shard-00000.jsonl: too many brackets"),
        ("partial-runs", SHARD, b'{"covers": "4", "digest": 1}', InputError, "its first line is not the one"),
        ("partial-runs", SHARD, b"\xff", InputError, "shard-00000.jsonl: 'utf-8' codec"),
        ("partial-runs", ERRORS, b"[]\n" * 200, InputError, "a line that is no error|no JSON|damaged"),
        ("tag-folders", TAGS, DEEP, InputError, "too many brackets"),
        ("tag-folders", TAGS, b'{"format": "piaa-tags", "format_version": "1"}', InputError, "no manifest that"),
        (
            "tag-folders",
            TAGS,
            b'{"format": "piaa-tags", "format_version": 1, "parts": [3]}',
            InputError,
            "missing: run",
        ),
        ("tag-folders", PART, b"", InputError, "not the part that"),
        ("evidence-files", "", b"", InputError, "no evidence that 'piaa fit --keep-evidence' wrote"),
    ],
)
def test_a_fault_that_was_found(
    target: str, suffix: str, data: bytes, kind: type[PiaaError], words: str, tmp_path: Path
) -> None:
    TARGETS[target].seeds(tmp_path)
    with pytest.raises(kind, match=words) as caught:
        TARGETS[target].read(data, suffix, tmp_path)
    assert len(str(caught.value)) < 2000


def test_an_old_classifier_whose_list_of_tensors_is_none(tmp_path: Path) -> None:
    TARGETS["classifiers"].seeds(tmp_path)
    data = OLD.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    content = json.loads(header["__metadata__"]["piaa"])
    header["__metadata__"]["piaa"] = json.dumps({**content, "tensors": 0})
    written = json.dumps(header).encode()
    with pytest.raises(ClassifierError, match="its settings cannot be read"):
        TARGETS["classifiers"].read(struct.pack("<Q", len(written)) + written + data[8 + length :], "", tmp_path)


def test_a_lone_carriage_return_does_not_split_a_row() -> None:
    assert csv_line(["a\rb", "c", 1, "d;e,f"]) == '"a\rb",c,1,"d;e,f"\n'
    assert list(csv.reader(io.StringIO(csv_line(["a\r", "\n", '"', ""]), newline=""))) == [["a\r", "\n", '"', ""]]


def test_a_checkpoint_that_asks_for_all_memory(tmp_path: Path) -> None:
    good = {each.suffix: each.data for each in TARGETS["partial-runs"].seeds(tmp_path)}
    name = "/c.piaa.partial/checkpoint.safetensors"
    state = load(good[name])
    state["bank.shape"][0] = 2**59
    metadata = json.loads(good[name][8 : 8 + int.from_bytes(good[name][:8], "little")])["__metadata__"]
    with pytest.raises(InputError, match="the checkpoint does not fit or is damaged"):
        TARGETS["partial-runs"].read(save(state, metadata=metadata), name, tmp_path)


@pytest.mark.parametrize("job", ["t.jsonl", "parts"])
def test_one_changed_digit_in_a_shard_is_noticed(job: str, tmp_path: Path) -> None:
    """It would have been a wrong score in the output."""
    seeds = {each.suffix: each.data for each in TARGETS["partial-runs"].seeds(tmp_path)}
    for number in range(2):
        name = f"/{job}.partial/shard-0000{number}.jsonl"
        at = seeds[name].rindex(b'"score": 0.') + len(b'"score": 0.')
        digit = b"1" if seeds[name][at : at + 1] != b"1" else b"2"
        changed = seeds[name][:at] + digit + seeds[name][at + 1 :]
        with pytest.raises(InputError, match="its lines are not those that were written"):
            TARGETS["partial-runs"].read(changed, name, tmp_path)
        TARGETS["partial-runs"].read(seeds[name], name, tmp_path)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"share": True}, "wrong or missing: share"),
        ({"share": "1/9999999"}, "shards of different runs"),
        ({"index": float("inf")}, "wrong or missing: index"),
        ({"failed": None}, "wrong or missing: failed"),
        ({"tail": [["x", 3]]}, "tail or about"),
        ({"about": {"labels": []}}, "tail or about"),
    ],
)
def test_evidence_whose_metadata_are_of_another_kind(about: dict[str, object], words: str, tmp_path: Path) -> None:
    (seed,) = TARGETS["evidence-files"].seeds(tmp_path)
    length = int.from_bytes(seed.data[:8], "little")
    values = json.loads(json.loads(seed.data[8 : 8 + length])["__metadata__"]["piaa"])
    changed = save(load(seed.data), metadata={"piaa": json.dumps(values | about)})
    with pytest.raises(InputError, match=words):
        TARGETS["evidence-files"].read(changed, "", tmp_path)


def test_evidence_that_asks_for_all_memory(tmp_path: Path) -> None:
    (seed,) = TARGETS["evidence-files"].seeds(tmp_path)
    metadata = json.loads(seed.data[8 : 8 + int.from_bytes(seed.data[:8], "little")])["__metadata__"]
    for place in range(3):
        state = load(seed.data)
        state["main.bank.shape"][place] = 2**59
        with pytest.raises(InputError, match=r"no evidence that|do not fit together"):
            TARGETS["evidence-files"].read(save(state, metadata=metadata), "", tmp_path)


@pytest.mark.parametrize("line", [DEEP, b'{"path": "a", "image": 99999999999999999999}', b'{"image": 0.5}', b"3"])
def test_a_row_of_a_list_that_holds_no_image(line: bytes, tmp_path: Path) -> None:
    TARGETS["image-lists"].seeds(tmp_path)
    (tmp_path / "l.jsonl").write_bytes(line + b'\n"a.png"\n')
    bad, good = read_arguments([], tmp_path / "l.jsonl")
    assert good.load().size == (8, 8)
    with pytest.raises(ImageError, match=r"brackets|bytes of an image belong|wanted a path|names no image"):
        bad.load()


def test_a_name_too_long_for_a_file_is_an_image_that_is_not_there(tmp_path: Path) -> None:
    TARGETS["tag-tables"].read(b'{"path": "%s", "labels": []}' % (b"a" * 300), ".jsonl", tmp_path)


def test_text_that_can_be_stored() -> None:
    assert is_storable("häß\n\x1b=1")
    assert not is_storable("a\0")
    assert not is_storable("a\udcff")
    with pytest.raises(ValueError, match="brackets"):
        parse_json("[" * 100_000)
