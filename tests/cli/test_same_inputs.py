"""Every command that reads images takes them from the same sources, and gives the same answer whichever they lie in."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from file_server import served
from piaa.cli.main import app
from piaa.evaluation.truth import read_truth
from piaa.inputs.sources import read_arguments
from piaa.scenes import render, sample_scene
from piaa.training.data import with_labels
from piaa.training.material import Material

NAMES = ("anchor", "umbrella", "snowman", "cat")
COUNT = 8


def run(*arguments: object, code: int = 0, stdin: str | None = None) -> tuple[str, str]:
    """Standard output, and the words of standard error."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    assert result.exit_code == code, result.output
    return result.stdout, " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("same")
    (root / "photos" / "a").mkdir(parents=True)
    for number in range(COUNT):
        scene = render(sample_scene(5, "test", number), (120, 96))
        scene.save(root / "photos" / ("a" if number % 2 else "") / f"{number}.jpg")
    (root / "photos" / "clip.mp4").write_bytes(b"x")
    (root / "labels.txt").write_text("\n".join(NAMES))
    rows = [f"{'a/' if number % 2 else ''}{number}.jpg,{NAMES[number % 4]}\n" for number in range(COUNT)]
    (root / "truth").mkdir()
    (root / "truth" / "t.csv").write_text("path,labels\n" + "".join(rows))
    with tarfile.open(root / "s.tar", "w") as archive:
        for path in sorted((root / "photos").rglob("*.jpg")):
            archive.add(path, path.relative_to(root / "photos"))
    paths = [str(path) for path in sorted((root / "photos").rglob("*.jpg"))]
    (root / "list.txt").write_text("\n".join(paths))
    images = [{"bytes": Path(path).read_bytes(), "path": path} for path in paths]
    pq.write_table(pa.table({"path": [f"images/{path}" for path in paths], "image": images}), root / "rows.parquet")
    run("fit", root / "photos", "--labels", root / "labels.txt", "--out", root / "c.piaa")
    return root


@pytest.fixture()
def web(world: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp")

    with served(world) as address:
        yield address


def evaluated(world: Path, out: Path, *images: object, stdin: str | None = None, code: int = 0) -> dict[str, Any]:
    arguments = ("--classifier", world / "c.piaa", "--truth", world / "truth" / "t.csv", "--bootstrap", 0)
    run("eval", *images, *arguments, "--out", out, stdin=stdin, code=code)
    return json.loads(out.read_text())  # type: ignore[no-any-return]


def test_eval_finds_the_truth_by_name_wherever_the_images_lie(world: Path, web: str, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in (world / "photos").rglob("*.jpg"):
        memory.pipe(f"/p/{path.relative_to(world / 'photos')}", path.read_bytes())
    expected = evaluated(world, tmp_path / "0.json", world / "photos")
    assert expected["images"] == COUNT
    listed = (world / "list.txt").read_text()
    photos = world / "photos"
    one = [*photos.glob("*.jpg"), *photos.glob("a/*.jpg")]
    for number, (images, stdin) in enumerate(
        [
            ([world / "s.tar"], None),
            ([f"{photos}/**/*.jpg"], None),
            ([f"{photos}/*.jpg", f"{world}/p*/a/*.jpg"], None),
            (["memory://p"], None),
            ([f"{web}/photos/"], None),
        ]
    ):
        found = evaluated(world, tmp_path / f"{number + 1}.json", *images, stdin=stdin)
        assert found["images"] == COUNT, images
        assert found["map"] == pytest.approx(expected["map"], abs=1e-9), images
    truth = (world / "truth" / "t.csv").read_text().replace("\n", f"\n{photos}/").removesuffix(f"{photos}/")
    (world / "truth" / "absolute.csv").write_text(truth)
    for images, stdin in ((["-"], listed), (["--list", world / "list.txt"], None), (one, None)):
        said = run("eval", *images, "--classifier", world / "c.piaa", "--truth", world / "truth" / "absolute.csv",
                   "--bootstrap", 0, "--out", tmp_path / "x.json", stdin=stdin)  # fmt: skip
        assert json.loads((tmp_path / "x.json").read_text())["map"] == pytest.approx(expected["map"], abs=1e-9), said
    memory.store.clear()


def test_eval_says_what_is_missing_on_either_side(world: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,labels\n0.jpg,anchor\na/1.jpg,cat\nelsewhere/9.jpg,cat\n")
    (tmp_path / "b.tar").write_bytes((world / "s.tar").read_bytes()[:-2000])  # its end is missing
    given = ("--classifier", world / "c.piaa", "--truth", tmp_path / "t.csv", "--bootstrap", 0)
    _, said = run("eval", world / "photos", *given)
    assert f"{COUNT - 2} images are not in the truth file" in said
    assert "1 images of" in said and "are not among these, elsewhere/9.jpg for one" in said
    assert "skipped 1 .mp4" in said
    _, said = run("eval", world / "photos", tmp_path / "b.tar", *given, code=1)
    assert "the truth file's" in said and "write the whole path there" in said
    (tmp_path / "no.csv").write_text("path,labels\nx.jpg,anchor\n")
    _, said = run("eval", world / "s.tar", *given[:2], "--truth", tmp_path / "no.csv", code=1)
    assert "names none of the images" in said


def test_explain_of_one_image_in_a_tar_or_behind_a_url(world: Path, web: str, tmp_path: Path) -> None:
    explain = ("explain", "--classifier", world / "c.piaa", "--out")
    run(*explain, tmp_path / "file.png", world / "photos" / "a" / "1.jpg")
    for number, place in enumerate((f"{world}/s.tar!a/1.jpg", f"{web}/photos/a/1.jpg", f"{web}/s.tar!a/1.jpg")):
        run(*explain, tmp_path / f"{number}.png", place)
        assert (tmp_path / f"{number}.png").read_bytes() == (tmp_path / "file.png").read_bytes(), place
    _, said = run(*explain, tmp_path / "x.png", f"{world}/s.tar!a/99.jpg", code=1)
    assert "no such image in" in said
    _, said = run(*explain, tmp_path / "several", "--list", world / "list.txt")
    assert f"explained {COUNT} images" in said
    assert sorted(path.name for path in (tmp_path / "several").glob("*.png"))[:2] == ["0001-0.png", "0002-2.png"]
    _, said = run(*explain, tmp_path / "x.png", world / "s.tar", code=1)
    assert "so --out must be a folder" in said


def test_search_of_a_tar_encodes_it_once_and_finds_it_by_its_ids(world: Path, tmp_path: Path) -> None:
    index = ("--index", tmp_path / "i.safetensors")
    found, said = run("search", world / "s.tar", "a cat", *index, "--limit", 2, "--gallery", tmp_path / "g.html")
    assert f"{COUNT} images encoded" in said
    assert all(line.startswith(f"{world}/s.tar!") for line in found.splitlines()) and len(found.splitlines()) == 2
    assert (tmp_path / "g.html").read_text().count("data:image") == 2
    _, said = run("search", "--list", world / "list.txt", world / "s.tar", "a cat", *index, "--limit", 2)
    assert f"{COUNT} images encoded, {COUNT} known" in said  # those of the list are new, those of the tar are not
    _, said = run("search", world / "s.tar", world / "photos", "a cat", code=1)
    assert "say where their index is kept" in said
    run("tag", world / "photos", "--classifier", world / "c.piaa", "--out", tmp_path / "tags")
    _, said = run("search", tmp_path / "tags", "cat or anchor or umbrella or snowman")
    assert f"of {COUNT} images found" in said


def test_check_takes_a_list_alone_and_standard_input_for_several_front_ends(world: Path, tmp_path: Path) -> None:
    given = ("--labels", world / "labels.txt", "--front-end", "clip", "--front-end", "sclip", "--out")
    run("check", "--list", world / "list.txt", *given, tmp_path / "a.json")
    run("check", "-", *given, tmp_path / "b.json", stdin=(world / "list.txt").read_text())
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads((tmp_path / "b.json").read_text())


def test_training_images_are_named_in_the_truth_by_their_place_in_a_tar(world: Path) -> None:
    source = read_arguments([str(world / "s.tar")])
    ids = [item.id for item in source]
    material = Material(ids, [[0.0]] * COUNT, [[[0.0]]] * COUNT, (1, 1), pa.scalar(0), list(NAMES))
    notes: list[str] = []
    kept, labels = with_labels(material, read_truth(world / "truth" / "t.csv", NAMES), "training", notes, source)
    assert kept.ids == ids and not notes
    assert [NAMES[int(row.argmax())] for row in labels] == [NAMES[int(Path(name).stem[-1]) % 4] for name in ids]


def test_an_update_of_a_fit_reads_the_last_batch_of_a_tar_again(world: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "first.tar", "w") as first, tarfile.open(tmp_path / "second.tar", "w") as second:
        for number, path in enumerate(sorted((world / "photos").rglob("*.jpg"))):
            (first if number < 6 else second).add(path, path.name)
    fit = ("fit", "--labels", world / "labels.txt", "--batch-size", 4, "--out")
    run(*fit, tmp_path / "a.piaa", tmp_path / "first.tar", "--keep-evidence", tmp_path / "a.evidence")
    _, said = run(*fit, tmp_path / "b.piaa", tmp_path / "second.tar", "--update", tmp_path / "a.evidence")
    assert "no longer count" not in said
    run(*fit, tmp_path / "c.piaa", tmp_path / "first.tar", tmp_path / "second.tar")
    assert (tmp_path / "b.piaa").read_bytes() == (tmp_path / "c.piaa").read_bytes()


def test_parts_know_the_full_size_and_the_hash_of_what_lies_in_a_tar(world: Path, tmp_path: Path) -> None:
    tag = ("tag", "--classifier", world / "c.piaa", "--content-hash", "--out")
    run(*tag, tmp_path / "tar", world / "s.tar")
    run(*tag, tmp_path / "files", world / "photos")
    columns = ["width", "height", "content_hash"]
    rows = [
        sorted(pq.read_table(tmp_path / name / "part-000-00000.parquet", columns=columns).to_pylist(), key=str)
        for name in ("tar", "files")
    ]
    assert rows[0] == rows[1] and all(row["content_hash"] for row in rows[0])
    (world / "s.tar").touch()
    _, said = run(*tag, tmp_path / "tar", world / "s.tar", "--update")
    assert "tagged 0 images" in said and f"{COUNT} kept" in said  # the content decides, not the time
