"""PIAA's scores distilled into a small network for devices: drawn scenes, random weights at the start, no true label.

    python benchmarks/edge.py --seed 71 --images 5000 --test 1500 --out docs/bench/edge.json

PIAA learns from the unlabelled scenes of a seed and scores them; a timm network learns those scores from scratch
(`piaa train --method distil --backbone NAME --backbone-weights random`) and is measured on the test scenes, whose
labels nothing but the metric sees, beside PIAA and [CLS]: in PyTorch, as ONNX, and in 8 bits. CF1 is of thresholds that
each learnt from the same unlabelled scenes. Speed is CPU time in turns with the tower of the embedded model.
Network and rate were chosen on seed 1. A training that was cut off goes on (`--folder`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from piaa.datasets import open_dataset
from piaa.engine import Setup
from piaa.evaluation import metrics
from piaa.evaluation.evaluate import CLS_SCALE
from piaa.experiments.features import FeatureStore
from piaa.files import write_json
from piaa.inputs.items import Item
from piaa.method.paa import cls_scores
from piaa.method.thresholds import learn_thresholds
from piaa.setups import TRAINED, setup_of
from piaa.training.backbones import TrainedNetwork, backbone_preprocess, train_network
from piaa.training.data import Data, from_dataset
from piaa.training.devices import INPUT, write_int8
from piaa.training.loop import Place
from piaa.training.material import Material
from piaa.training.run import Plan, mean_ap
from piaa.training.scratch import RANDOM, pace_of
from piaa.training.spec import read_method
from piaa.training.teachers import learn_piaa

BATCH, CALIBRATION, ROUNDS = 32, 128, 7
Scorer = Callable[[Tensor], Tensor]
"""Images n x 3 x H x W to probabilities n x C."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=71)
    parser.add_argument("--images", type=int, default=5000, help="unlabelled scenes that are learnt from")
    parser.add_argument("--test", type=int, default=1500, help="test scenes")
    parser.add_argument("--backbone", default="resnet10t", help="as timm calls it")
    parser.add_argument("--size", type=int, default=96, help="pixels of a side")
    parser.add_argument("--epochs", type=int, default=0, help="0: those of the pace for random weights")
    parser.add_argument("--precision", default="32-true", help="of the training: 32-true or bf16-mixed")
    parser.add_argument("--root", type=Path, default=Path(".piaa/scenes"), help="where scenes are drawn")
    parser.add_argument("--features", type=Path, default=Path(".piaa/features"), help="where embeddings are kept")
    parser.add_argument("--folder", type=Path, default=Path(".piaa/edge"), help="of the networks and checkpoints")
    parser.add_argument("--out", type=Path, default=None, help="write all numbers to this JSON file")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    folder = given.root / f"seed-{given.seed}-{given.images}-{given.test}"
    dataset = open_dataset("scenes", folder, seed=given.seed, unlabelled=given.images, test=given.test)
    setup = setup_of(
        ("embedded", None), front_end=None, image_size=TRAINED, resize=None, device="cpu", precision="auto",
        engine="eager", batch_size=0,
    )  # fmt: skip
    data = from_dataset(dataset, setup, FeatureStore(given.features), shown)
    network = trained(given, data)
    found = measured(network, data, setup, given.folder / f"{given.backbone}-{given.size}")
    numbers = {
        "seed": given.seed, "images": given.images, "test": given.test, "backbone": given.backbone, "size": given.size,
        "parameters": sum(tensor.numel() for tensor in network.network.parameters()), **network.settings, **found,
    }  # fmt: skip
    show(numbers)
    if given.out:
        write_json(given.out, numbers)


def shown(name: str) -> Callable[[int, int | None], None]:
    def progress(done: int, total: int | None) -> None:
        print(f"{name}: {done} of {total}", flush=True)

    return progress


def trained(given: Any, data: Data) -> TrainedNetwork:
    """The network of an earlier run, or a new one."""
    method = read_method("distil").on("scenes")
    pace = pace_of(method, RANDOM)
    pace = replace(pace, epochs=given.epochs or pace.epochs)
    path = given.folder / f"{given.backbone}-{given.size}-{given.seed}-{given.images}-{pace.epochs}.safetensors"
    if path.is_file():
        return TrainedNetwork.load(path)
    began = time.process_time()
    network, learnt = train_network(
        Plan(method, seed=given.seed, pace=pace), data.items[0], data.train, None,
        Place("cpu", given.precision, path.with_suffix(".partial"), resume=True), backbone=given.backbone,
        weights=RANDOM, size=given.size, progress=shown("epochs"),
    )  # fmt: skip
    about = {
        "epochs": pace.epochs, "rate": pace.rate, "batch": pace.batch, "losses": learnt.run.losses,
        "cpu_minutes_of_last_start": round((time.process_time() - began) / 60, 1), "precision": given.precision,
    }  # fmt: skip
    network = replace(network, settings=network.settings | about)
    network.save(path)
    return network


def measured(network: TrainedNetwork, data: Data, setup: Setup, stem: Path) -> dict[str, Any]:
    """Scores, sizes and speeds of every way to score an image."""
    assert data.test is not None
    test, labels = data.test
    images = preprocessed(data.items[1], network.size)
    plain, whole = stem.with_suffix(".onnx"), stem.with_suffix(".int8.onnx")
    network.export_onnx(plain)
    write_int8(plain, whole, preprocessed(data.items[0][:CALIBRATION], network.size))
    sizes = {"network": plain.stat().st_size, "network, 8 bits": whole.stat().st_size}
    scorers: dict[str, Scorer] = {
        "network, PyTorch": lambda batch: torch.sigmoid(network.network(batch)[0]),
        "network": session(plain), "network, 8 bits": session(whole),
    }  # fmt: skip
    rows = of_piaa(data.train, test, labels)
    assert network.thresholds is not None
    scores = {name: scored(scorer, images) for name, scorer in scorers.items()}
    for name, value in scores.items():
        rows[name] = numbers_of(value, network.thresholds.decide(value.numpy()), labels)
        rows[name] |= {"megabytes": sizes[name] / 1e6} if name in sizes else {}
    speeds = speeds_of(scorers, setup, images[:BATCH], data.items[1][:BATCH])
    for name, value in speeds.items():
        rows.setdefault(name, {})["speed"] = value
    apart = float((scores["network"] - scores["network, PyTorch"]).abs().max())
    return {"rows": rows, "onnx_apart": apart, "tower_parameters": parameters_of_tower(setup)}


def of_piaa(train: Material, test: Material, labels: Tensor) -> dict[str, dict[str, Any]]:
    """PIAA and [CLS], each with thresholds from the unlabelled scenes."""
    learnt = learn_piaa(train)
    piaa = torch.cat([learnt.score(cls, patches) for cls, patches, _ in test.batches()])
    seen, asked = (of_cls(part) for part in (train, test))
    thresholds = learn_thresholds(seen.numpy())
    return {
        "PIAA": numbers_of(piaa, learnt.decide(piaa), labels),
        "[CLS]": numbers_of(asked, thresholds.decide(asked.numpy()), labels),
    }


def of_cls(material: Material) -> Tensor:
    """The softmax of [CLS], n x C."""
    parts = [cls_scores(F.normalize(cls, dim=-1), material.prototypes, CLS_SCALE) for cls, _, _ in material.batches()]
    return torch.cat(parts)


def numbers_of(scores: Tensor, decided: Any, labels: Tensor) -> dict[str, Any]:
    """mAP with its interval, and CF1, percent."""
    value, low, high = mean_ap(scores, labels)
    found = metrics.f1(torch.from_numpy(np.asarray(decided)), labels)
    return {"map": value, "low": low, "high": high, "cf1": 100 * found.cf1}


def preprocessed(items: list[Item], size: int) -> Tensor:
    """n x 3 x size x size."""
    preprocess = backbone_preprocess(size)
    return torch.stack([preprocess(item.load()) for item in items])


def session(path: Path) -> Scorer:
    """An ONNX file in ONNX Runtime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    opened = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(opened.run(None, {INPUT: images.numpy()})[0])


@torch.no_grad()
def scored(scorer: Scorer, images: Tensor) -> Tensor:
    return torch.cat([scorer(batch) for batch in images.split(BATCH)])


@torch.no_grad()
def speeds_of(scorers: dict[str, Scorer], setup: Setup, images: Tensor, items: list[Item]) -> dict[str, float]:
    """Images a second of CPU time over those of the embedded tower: the median of rounds in which all take turns."""
    encode, seen = setup.encoder(), torch.stack([setup.preprocess(item.load()) for item in items])
    calls: dict[str, Callable[[], Any]] = {"PIAA": lambda: encode(seen)}
    calls |= {name: lambda scorer=scorer: scorer(images) for name, scorer in scorers.items()}  # type: ignore[misc]
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            began = time.process_time()
            call()
            if number:  # the first is for what a first call costs
                seconds[name].append(time.process_time() - began)
    tower = np.array(seconds["PIAA"])
    return {name: float(np.median(tower / np.array(taken))) for name, taken in seconds.items()}


def parameters_of_tower(setup: Setup) -> int:
    return sum(tensor.numel() for tensor in setup.model.clip.visual.parameters())


def show(numbers: dict[str, Any]) -> None:
    table = Table("what scores", "mAP", "95%", "CF1", "MB", "speed, tower = 1", title=f"{numbers['backbone']}, %")
    for name, row in numbers["rows"].items():
        speed, size = row.get("speed"), row.get("megabytes")
        table.add_row(
            name, f"{row['map']:.1f}", f"{row['low']:.1f} to {row['high']:.1f}", f"{row['cf1']:.1f}",
            "" if size is None else f"{size:.2f}", "" if speed is None else f"{speed:.1f}",
        )  # fmt: skip
    Console(width=120).print(table)
    print(f"ONNX and PyTorch differ by {numbers['onnx_apart']:.1e} at the most")


if __name__ == "__main__":
    main()
