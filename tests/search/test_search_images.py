"""`piaa search` as a user runs it: free text over images with the embedded model, and its index."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.errors import InputError
from piaa.inputs.items import iterate
from piaa.scenes import object_names, render, sample_scene
from piaa.search.index import SearchIndex, update_index
from piaa.search.pieces import pieces_of
from piaa.search.rank import rank
from piaa.search.setup import setup_for
from piaa.search.words import check_words, text_of
from piaa.vocabulary.unknown import unknown_words

COUNT = 24


def run(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["search", *[str(argument) for argument in arguments]])
    assert result.exit_code == code, result.output
    return result.stdout, " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes with one large object each; the name says which."""
    folder = tmp_path_factory.mktemp("search") / "photos"
    (folder / "nested").mkdir(parents=True)
    for number in range(COUNT):
        scene = sample_scene(31, "test", number, "single-large")
        name = object_names()[scene.labels[0]].replace(" ", "_")
        render(scene, (120, 120)).save(folder / ("nested" if number % 2 else "") / f"{name}-{number}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_the_nearest_images_show_what_was_asked_for(photos: Path) -> None:
    names = [path.stem.partition("-")[0] for path in photos.rglob("*.png") if path.stem != "broken"]
    most = max(sorted(set(names)), key=names.count)
    out, told = run(photos, f"a {most.replace('_', ' ')}", "--limit", names.count(most))
    found = [Path(line).name.partition("-")[0] for line in out.splitlines()]
    assert len(found) == names.count(most) and found.count(most) >= len(found) - 1
    assert all(Path(line).is_file() for line in out.splitlines())
    assert f"{COUNT} images encoded, 0 known" in told and "1 images could not be read" in told
    index = photos.with_name("photos.search.safetensors")
    assert f"{len(found)} of {COUNT} images nearest" in told and index.is_file()
    log = index.with_name(index.name + ".errors.jsonl")
    assert [Path(json.loads(line)["path"]).name for line in log.read_text().splitlines()] == ["broken.png"]
    again, told = run(photos, f"a {most.replace('_', ' ')}", "--limit", names.count(most))
    assert again == out and "encoded" not in told


def test_only_new_and_changed_images_are_encoded_and_the_ranking_is_that_of_a_new_index(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "photos"
    shutil.copytree(photos, moved)  # copies keep their times
    paths = sorted(path for path in moved.rglob("*.png") if path.stem != "broken")
    for path in paths[:7]:
        path.rename(tmp_path / path.name)
    run(moved, "a red star", "--index", tmp_path / "i.safetensors")
    for path in paths[:7]:
        (tmp_path / path.name).rename(path)
    paths[-1].unlink()
    shutil.copyfile(paths[1], paths[-2])
    os.utime(paths[-2], ns=(1, 1))
    out, told = run(moved, "a red star", "--index", tmp_path / "i.safetensors", "--json", "--limit", 0)
    assert f"8 images encoded, {COUNT - 9} known, 1 gone" in told
    new, _ = run(moved, "a red star", "--index", tmp_path / "new.safetensors", "--json", "--limit", 0)
    assert out == new
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == COUNT - 1
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    old, grown = SearchIndex.load(tmp_path / "new.safetensors"), SearchIndex.load(tmp_path / "i.safetensors")
    assert old.names == grown.names and torch.equal(old.pieces, grown.pieces) and torch.equal(old.cls, grown.cls)


def test_words_that_the_model_has_never_met(photos: Path, tmp_path: Path) -> None:
    index = ("--index", tmp_path / "never.safetensors")
    _, told = run(photos, "a photo of the unicorns", *index, code=1)
    assert "has never met 'unicorns', so" in told
    assert not (tmp_path / "never.safetensors").exists()
    model = setup_for(None, None, None, "cpu", "eager").model
    assert unknown_words(model, "A red Umbrella, unicorn") == ["unicorn"]
    assert "goes by the other words alone" in check_words(model, "red unicorn")[0]
    assert check_words(model, "a red umbrella") == []
    with pytest.raises(InputError, match="without a word"):
        text_of(model, " ?! ")


def test_an_index_of_another_model_or_of_something_else_is_not_used(photos: Path, tmp_path: Path) -> None:
    place = tmp_path / "i.safetensors"
    one = next(iterate(photos))
    setup = setup_for(None, None, None, "cpu", "eager")
    update_index(None, [("a", one)], setup, save=lambda it: it.save(place), on_error=lambda error: None)
    index = SearchIndex.load(place)
    index.setup["model_fingerprint"] = "0" * 16
    index.save(place)
    _, told = run(photos, "a star", "--index", place, code=1)
    assert "model_fingerprint '0000000000000000' and not" in told
    index.setup.pop("front_end")
    index.save(place)
    assert "does not say its set-up" in run(photos, "a star", "--index", place, code=1)[1]
    for content in (b"", b"something", place.read_bytes()[:-7]):
        place.write_bytes(content)
        assert "no search index of piaa" in run(photos, "a star", "--index", place, code=1)[1]
        assert place.read_bytes() == content
    assert "--index FILE" in run(next(photos.rglob("*.png")), "a star", code=1)[1]


def test_what_was_encoded_before_a_stop_is_kept(photos: Path) -> None:
    saved: list[SearchIndex] = []

    def stop(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    setup = setup_for(None, None, None, "cpu", "eager")
    items = [(item.id, item) for item in iterate(photos)]
    with pytest.raises(KeyboardInterrupt):
        update_index(None, items, setup, save=saved.append, on_error=lambda error: None, progress=stop)
    assert len(saved) == 1 and 0 < len(saved[0]) < COUNT
    updated = update_index(saved[0], items, setup, save=saved.append, on_error=lambda error: None)
    assert updated.kept == len(saved[0]) and updated.kept + updated.encoded == COUNT


def test_pieces_are_those_farthest_apart_and_each_image_by_itself() -> None:
    torch.manual_seed(0)
    patches = torch.randn(3, 30, 8)
    pieces = pieces_of(patches, (5, 6), 4)
    assert pieces.shape == (3, 4, 8)
    torch.testing.assert_close(pieces.norm(dim=-1), torch.ones(3, 4))
    torch.testing.assert_close(pieces[1:2], pieces_of(patches[1:2], (5, 6), 4))
    squares = pieces_of(patches, (5, 6), 99)
    assert squares.shape == (3, 9, 8)
    corner = patches[0, [28, 29]].mean(dim=0)  # the last row has squares of one row
    torch.testing.assert_close(squares[0, 8], corner / corner.norm())
    cosines = squares[0] @ squares[0].T
    chosen = [int((squares[0] @ piece).argmax()) for piece in pieces[0]]
    assert chosen[1] == int(cosines[chosen[0]].argmin())
    assert chosen[2] == int(cosines[chosen[:2]].amax(dim=0).argmin())


def test_ranks_by_both_parts() -> None:
    unit = torch.eye(3)
    about = {"model": "x"}
    cls = torch.stack([unit[0], unit[1], unit[1], unit[2]]).half()
    pieces = torch.stack([unit[[0, 1]], unit[[1, 0]], unit[[1, 2]], unit[[2, 2]]]).half()
    index = SearchIndex(["d", "c", "b", "a"], torch.zeros(4, 2, dtype=torch.int64), cls, pieces, about)
    result = rank(index, unit[0])
    assert [one.path for one in result.found] == ["d", "c", "a", "b"]  # a and b alike: by name
    # [CLS] 1 0 0 0: mean 1/4, deviation sqrt(3)/4; pieces 1 1 0 0: mean and deviation 1/2
    assert result.found[0].score == pytest.approx(0.25 * 3**0.5 + 0.75, abs=1e-4)
    assert result.found[1].score == pytest.approx(-0.25 / 3**0.5 + 0.75, abs=1e-4)
    assert rank(index.only([0]), unit[0]).found[0].score == 0


def test_a_table_of_tags_by_command(photos: Path, tmp_path: Path) -> None:
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*-*.png"))[:3]
    labels = [{"umbrella": 0.9, "person": 0.7}, {"umbrella": 0.8}, {"person": 0.95}]
    rows = [
        {"path": name, "labels": [{"label": key, "score": value} for key, value in given.items()]}
        for name, given in zip(names, labels, strict=True)
    ]
    tags = tmp_path / "tags.jsonl"
    tags.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, told = run(tags, "umbrella or person")
    assert out.splitlines() == [names[2], names[0], names[1]] and "3 of 3 images found" in told
    out, _ = run(tags, "umbrella and not person", "--json")
    assert json.loads(out) == {"path": names[1], "score": 0.8, "labels": [{"label": "umbrella", "score": 0.8}]}
    for ending in ("csv", "parquet", "jsonl"):
        there = tmp_path / f"found.{ending}"
        out, told = run(tags, "umbrella", "--out", there, "--limit", 1)
        assert out == "" and "1 of 3 images found" in told
        assert run(there, "umbrella")[0].splitlines() == [names[0]]  # a table of tags again
    page = tmp_path / "found.html"
    run(tags, "umbrella", "--gallery", page, "--images", photos)
    text = page.read_text()
    assert "2 images</strong> found" in text and "no label" not in text
    assert text.count("data:image/") == 2 and text.index(Path(names[0]).name) < text.index(Path(names[1]).name)
    run(tags, "umbrella", "--out", tmp_path / "found.txt")
    assert (tmp_path / "found.txt").read_text() == f"{names[0]}\n{names[1]}\n"
    assert "at character 5" in run(tags, "not zebra", code=1)[1]
    assert "--index, --model and --quality are for images" in run(tags, "umbrella", "--index", "x", code=1)[1]
    assert "use one of .txt" in run(tags, "umbrella", "--out", tmp_path / "found.doc", code=1)[1]
