"""How many unlabelled images are needed, and what images of none of the words are given, on drawn scenes.

    python benchmarks/few_images.py --seeds 61 62

First table: mAP and CF1 on test scenes by the number of unlabelled ones, 60 words; with text prototypes in the
place of what few images teach (the default), without, and text patches alone. Second: only some of the 60 words are
given; how many of the images that show none of them are given a label. Third: the same with all thresholds raised.
Fourth: precision and recall where a precision of 0.9 was asked for. Fifth: the same again where other words are known:
half of those of the 60 that are not asked for, or all of them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from piaa import Recognizer
from piaa.evaluation.metrics import f1, mean_average_precision
from piaa.inputs.items import batches, iterate
from piaa.method.evidence import Evidence
from piaa.method.learning import learn
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import Recipe, get_recipe
from piaa.method.reliability import TEXT, without_learning
from piaa.method.thresholds import learn_thresholds, log_odds
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder

COUNTS = (3, 10, 30, 50, 100, 200, 300, 600, 1000)
WORDS = (5, 10, 20)
RAISED = (0, 0.5, 1, 1.5, 2)
Images = tuple[Tensor, Tensor]


def encoded(seed: int, images: int) -> tuple[Images, Images, Tensor, Tensor]:
    """Unlabelled images, test images, prototypes, true labels."""
    learner = Recognizer(object_names()).learner()
    encode, parts = learner.setup.encoder(), []
    labels = torch.zeros(images, len(object_names()), dtype=torch.bool)
    with tempfile.TemporaryDirectory() as folder:
        for split in ("unlabelled", "test"):
            drawn = write_scene_folder(f"{folder}/{split}", seed, split, images)
            pieces = [encode(b.images) for b in batches(iterate(f"{folder}/{split}"), learner.preprocess, 50)]
            parts.append((torch.cat([p.cls for p in pieces]), torch.cat([p.patches for p in pieces])))
        for row, (_, scene) in enumerate(drawn):
            labels[row, list(scene.labels)] = True
    return parts[0], parts[1], learner.prototypes, labels


def fitted(
    images: Images, text: Tensor, recipe: Recipe, rule: str = "bimodal", asked: int | None = None
) -> PatchClassifier:
    evidence = Evidence(len(text), text.shape[1], recipe.bank_size)
    evidence.update(*images, torch.arange(len(images[0])), text, recipe.text_scale)
    return learn(evidence, text, recipe, asked).classifier.with_learnt_thresholds(*images, rule)


def few(worlds: list[tuple], console: Console) -> None:
    default = get_recipe("default")
    ways: dict[str, Callable[[Images, Tensor], PatchClassifier]] = {
        "default": lambda images, text: fitted(images, text, default),
        "no text": lambda images, text: fitted(images, text, replace(default, text_prior=0.0)),
        "text patches": lambda images, text: without_learning(fitted(images, text, default), default.text_scale)[
            TEXT
        ].with_learnt_thresholds(*images, "bimodal"),
    }
    table = Table("unlabelled images", "a word", *(f"{way}, mAP / CF1" for way in ways), box=box.MARKDOWN)
    for count in (count for count in COUNTS if count <= len(worlds[0][0][0])):
        cells = []
        for make in ways.values():
            marks = []
            for unlabelled, test, text, labels in worlds:
                classifier = make(tuple(part[:count] for part in unlabelled), text)
                scores = classifier.score(*test)
                decided = torch.from_numpy(classifier.decide(scores))
                marks.append((100 * mean_average_precision(scores, labels), 100 * f1(decided, labels).cf1))
            cells.append(" / ".join(f"{statistics.mean(values):.1f}" for values in zip(*marks, strict=True)))
        table.add_row(str(count), f"{count / len(object_names()):.2g}", *cells)
    console.print(table)


def foreign(worlds: list[tuple], console: Console) -> None:
    head = ("words given", "thresholds", "CF1", "precision", "recall", "images of none", "given a label, %")
    table, raised = Table(*head, box=box.MARKDOWN), Table("words given", *map(str, RAISED), box=box.MARKDOWN)
    for words in WORDS:
        for rule in ("bimodal", "strict", "precision:0.9"):
            marks, steps = [], []
            for number, (unlabelled, test, text, labels) in enumerate(worlds):
                some = torch.randperm(len(text), generator=torch.Generator().manual_seed(number))[:words]
                classifier = fitted(unlabelled, text[some], get_recipe("default"), rule)
                scores = log_odds(classifier.score(*test).double().numpy())
                assert classifier.thresholds is not None
                start = log_odds(classifier.thresholds.values)
                decided = torch.from_numpy(scores >= start)
                none = ~labels[:, some].any(dim=1)
                wrong = 100 * float(decided[none].any(dim=1).float().mean())
                found = f1(decided, labels[:, some])
                marks.append((100 * found.cf1, 100 * found.op, 100 * found.or_, float(none.sum()), wrong))
                seen = log_odds(classifier.score(*unlabelled).double().numpy())
                spread = np.median(seen, axis=0) - np.quantile(seen, 0.1587, axis=0)
                for height in RAISED:
                    higher = torch.from_numpy(scores >= start + height * spread)
                    part = 100 * float(higher[none].any(dim=1).float().mean())
                    steps.append((100 * f1(higher, labels[:, some]).cf1, part))
            table.add_row(str(words), rule, *(f"{statistics.mean(v):.1f}" for v in zip(*marks, strict=True)))
            if rule == "bimodal":
                means = [
                    [statistics.mean(v) for v in zip(*steps[i :: len(RAISED)], strict=True)] for i in range(len(RAISED))
                ]
                raised.add_row(str(words), *(f"{cf1:.1f} / {part:.0f}" for cf1, part in means))
    console.print(table)
    console.print("all thresholds raised by so many spreads of absence: CF1 / % of images of none given a label")
    console.print(raised)


def asked(worlds: list[tuple], seeds: list[int], console: Console) -> None:
    """Precision and recall where 0.9 was asked for, by the mixtures alone and with [CLS] asked too."""
    heads = [f"{what}, {how}" for what in ("precision", "recall") for how in ("before", "now")]
    table = Table("scenes", "words", *heads, box=box.MARKDOWN)
    for number, (seed, (unlabelled, test, text, labels)) in enumerate(zip(seeds, worlds, strict=True)):
        for words in (len(text), *reversed(WORDS)):
            some = torch.randperm(len(text), generator=torch.Generator().manual_seed(number))[:words]
            now = fitted(unlabelled, text[some], get_recipe("default"), "precision:0.9")
            alone = learn_thresholds(now.score(*unlabelled).double().numpy(), "precision:0.9")
            marks = [
                f1(torch.from_numpy(each.decide(each.score(*test))), labels[:, some])
                for each in (replace(now, thresholds=alone), now)
            ]
            cells = [*(mark.op for mark in marks), *(mark.or_ for mark in marks)]
            table.add_row(str(seed), str(words), *(f"{100 * cell:.0f}" for cell in cells))
    console.print(table)


def beside(worlds: list[tuple], console: Console) -> None:
    """The same with other words, which are asked for by nobody."""
    head = ("words", "other words", "thresholds", "mAP", "CF1", "precision", "recall", "none given a label, %")
    table = Table(*head, box=box.MARKDOWN)
    for words in (5, 10, 20, 30):
        for rule in ("bimodal", "precision:0.9"):
            for name, step in (("none", 0), ("half", 2), ("all", 1)):
                marks = []
                for number, (unlabelled, test, text, labels) in enumerate(worlds):
                    order = torch.randperm(len(text), generator=torch.Generator().manual_seed(number))
                    some, rest = order[:words], order[words:][:: step or 1] if step else order[:0]
                    known = text[torch.cat([some, rest])]
                    classifier = fitted(unlabelled, known, get_recipe("default"), rule, words)
                    scores = classifier.score(*test)
                    decided, true = torch.from_numpy(classifier.decide(scores)), labels[:, some]
                    found, none = f1(decided, true), decided[~true.any(dim=1)].any(dim=1).float().mean()
                    measured = (mean_average_precision(scores, true), found.cf1, found.op, found.or_, float(none))
                    marks.append(tuple(100 * value for value in measured))
                cells = (f"{statistics.mean(values):.1f}" for values in zip(*marks, strict=True))
                table.add_row(str(words), name, rule, *cells)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[61])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--only", choices=("few", "foreign", "asked", "beside"), help="one part of the tables")
    arguments = parser.parse_args()
    worlds = [encoded(seed, arguments.images) for seed in arguments.seeds]
    console = Console(width=140)
    if arguments.only in (None, "few"):
        few(worlds, console)
    if arguments.only in (None, "foreign"):
        foreign(worlds, console)
    if arguments.only in (None, "asked"):
        asked(worlds, arguments.seeds, console)
    if arguments.only in (None, "beside"):
        beside(worlds, console)


if __name__ == "__main__":
    main()
