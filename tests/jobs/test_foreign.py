"""Images unlike those of the fit are given no label, said to be foreign in every output, and counted."""

from __future__ import annotations

import csv
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from piaa import Recognizer
from piaa.exchange import read_tags
from piaa.jobs import Layout, tag_job, tag_stream
from piaa.jobs.signals import Stop
from piaa.scenes import render, sample_scene

NOISE = 3


@pytest.fixture(scope="module")
def fitted() -> Recognizer:
    scenes = [render(sample_scene(81, "unlabelled", index), (160, 160)) for index in range(60)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Recognizer(["anchor", "umbrella", "cow"], image_size="trained", front_end="clip").fit(scenes)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    for index in range(5):
        render(sample_scene(82, "test", index), (160, 160)).save(folder / f"a{index}.png")
    random = np.random.default_rng(3)
    for index in range(NOISE):
        pixels = random.integers(0, 256, (160, 160, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"noise{index}.png")
    return folder


def test_python_says_so_and_can_be_told_otherwise(fitted: Recognizer, photos: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="3 of 8 images are unlike those of the fit"):
        tags = fitted.tag(photos)
    assert sorted(tags.foreign) == [5, 6, 7]
    assert [one.foreign for one in tags] == [False] * 5 + [True] * NOISE
    assert all(not one.labels and len(one.scores) == 3 for one in tags if one.foreign)
    assert [record["foreign"] for record in tags.to_dict()] == [False] * 5 + [True] * NOISE
    with pytest.warns(UserWarning):
        assert fitted.predict(photos)[5:] == [set()] * NOISE
    path = tmp_path / "c.piaa"
    fitted.save(path)
    kept = Recognizer.load(path, keep_foreign=True)
    assert not kept.tag(photos).foreign
    assert np.array_equal(kept.tag(photos).scores, tags.scores)  # scores are the same with the test and without
    with pytest.warns(UserWarning):
        assert Recognizer.load(path).tag(photos).foreign == tags.foreign
    asked = {question.path for question in fitted.ask(tags, n=24)}
    assert asked == {one.path for one in tags if not one.foreign}


def test_no_bit_of_it_tells_of_the_batch(fitted: Recognizer, photos: Path) -> None:
    scorer = fitted.scorer()
    images = torch.stack([scorer.preprocess(Image.open(path).convert("RGB")) for path in sorted(photos.iterdir())])
    alone = torch.cat([scorer.look(images[i : i + 1]).strangeness for i in range(len(images))])
    assert torch.equal(scorer.look(images).strangeness, alone)
    assert (alone[5:] > 1).all() and (alone[:5] <= 1).all()


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet", ""])
def test_every_output_says_which(fitted: Recognizer, photos: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"tags{ending}"
    events: list[dict[str, object]] = []
    layout = Layout(all_scores=True, embeddings=not ending)
    summary = tag_job(fitted.scorer(), photos, out, layout=layout, listen=events.append)
    assert summary.foreign == NOISE and events[-1]["foreign"] == NOISE
    if ending == ".jsonl":
        about, *rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert about["foreign"] is True
        flags = [row["foreign"] for row in rows]
    elif ending == ".csv":
        flags = [row["foreign"] == "1" for row in csv.DictReader(io.StringIO(out.read_text()))]
    else:
        flags = pq.read_table(out).column("foreign").to_pylist()
    assert flags == [False] * 5 + [True] * NOISE
    if not ending:
        manifest = json.loads((out / "_manifest.json").read_text())
        assert manifest["counts"]["foreign"] == NOISE and manifest["parts"][0]["foreign"] == NOISE
    read = read_tags(out)
    assert len(read.rows) == 8 and not any(row.labels for row in read.rows[5:])


def test_a_resumed_run_counts_all_of_them(fitted: Recognizer, photos: Path, tmp_path: Path) -> None:
    stop = Stop()

    def listen(event: dict[str, object]) -> None:
        if event["event"] == "shard" and event["images"] == 6:
            stop.signal = 15

    with pytest.raises(BaseException, match="stopped by SIGTERM"):
        tag_job(fitted.scorer(), photos, tmp_path / "t.jsonl", shard_size=2, listen=listen, stop=stop)
    summary = tag_job(fitted.scorer(), photos, tmp_path / "t.jsonl", shard_size=2, resume=True)
    assert summary.foreign == NOISE


def test_a_stream_and_a_classifier_without_the_test(fitted: Recognizer, photos: Path, tmp_path: Path) -> None:
    stream = io.StringIO()
    assert tag_stream(fitted.scorer(), photos, stream).foreign == NOISE
    assert [json.loads(line)["foreign"] for line in stream.getvalue().splitlines()[1:]][-NOISE:] == [True] * NOISE
    path = tmp_path / "c.piaa"
    fitted.save(path)
    scorer = Recognizer.load(path, keep_foreign=True).scorer()
    assert tag_job(scorer, photos, tmp_path / "t.csv").foreign is None
    assert (tmp_path / "t.csv").read_text().startswith("path,labels,label_scores\n")
    assert scorer.fingerprint != fitted.scorer().fingerprint
