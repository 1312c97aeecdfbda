"""Labels on pictures unlike all that was learnt from: noise, pages, screenshots, plain colours, photographs.

    python benchmarks/foreign.py --seeds 63 64 --photographs FOLDER

Learnt from drawn scenes. First table: how many of 50 pictures a kind are given a label without the test for foreign
images and with it, by how many of the 60 words were given; CF1 on test scenes likewise. Second: how many are called
foreign, by the number of unlabelled scenes; changed scenes beside them, which are still of the kind that was learnt
from. FOLDER has photographs beside those in scikit-learn and matplotlib.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from few_images import Images, encoded, fitted
from foreign_pictures import CHANGES, makers, pictures
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table

from piaa import Recognizer
from piaa.evaluation.metrics import f1
from piaa.inputs.items import batches, iterate
from piaa.method.novelty import learn_novelty
from piaa.method.recipes import get_recipe
from piaa.scenes import object_names, render, sample_scene

WORDS = (60, 20, 10)
COUNTS = (50, 100, 300, 1000)
A_KIND = 50


class Eyes:
    """The embedded model on pictures at hand."""

    def __init__(self) -> None:
        setup = Recognizer(object_names()).learner().setup
        self.preprocess, self.encode = setup.preprocess, setup.encoder()

    def __call__(self, shown: Sequence[Image.Image]) -> Images:
        pieces = [self.encode(batch.images) for batch in batches(iterate(list(shown)), self.preprocess, 50)]
        return torch.cat([piece.cls for piece in pieces]), torch.cat([piece.patches for piece in pieces])


def kinds_of(seed: int, folder: Path | None) -> tuple[dict[str, Images], dict[str, Images]]:
    """Foreign pictures by kind, and scenes by what was changed in them."""
    see = Eyes()
    foreign = {
        name: see(pictures(number, make, A_KIND, seed)) for number, (name, make) in enumerate(makers(folder).items())
    }
    scenes = [render(sample_scene(seed, "changed", index), (200, 180)) for index in range(A_KIND)]
    return foreign, {name: see([change(scene) for scene in scenes]) for name, change in CHANGES.items()}


def labels_given(worlds: list[tuple], kinds: list[tuple], console: Console) -> None:
    table = Table("words", "test", *kinds[0][0], "CF1", "test scenes called foreign, %", box=box.MARKDOWN)
    for words in WORDS:
        marks: dict[bool, list[list[float]]] = defaultdict(list)
        for number, ((unlabelled, test, text, labels), (foreign, _)) in enumerate(zip(worlds, kinds, strict=True)):
            some = torch.randperm(len(text), generator=torch.Generator().manual_seed(number))[:words]
            plain = fitted(unlabelled, text[some], get_recipe("default"))
            tested = replace(plain, novelty=learn_novelty(*(part.half() for part in unlabelled)))
            for with_test, classifier in ((False, plain), (True, tested)):
                given = [
                    100 * float(classifier.decide(classifier.score(*seen), classifier.strangeness(*seen)).any(1).mean())
                    for seen in foreign.values()
                ]
                strange = classifier.strangeness(*test)
                decided = torch.from_numpy(classifier.decide(classifier.score(*test), strange))
                cf1 = 100 * f1(decided, labels[:, some]).cf1
                marks[with_test].append([*given, cf1, 100 * float((strange > 1).float().mean())])
        for with_test, several in marks.items():
            means = [statistics.mean(values) for values in zip(*several, strict=True)]
            table.add_row(str(words), "with" if with_test else "without", *(f"{mean:.1f}" for mean in means))
    console.print(table)


def called_foreign(worlds: list[tuple], kinds: list[tuple], console: Console) -> None:
    table = Table("unlabelled images", *kinds[0][0], *kinds[0][1], "test scenes", "of one fit", box=box.MARKDOWN)
    for count in COUNTS:
        marks = []
        for (unlabelled, test, *_), (foreign, changed) in zip(worlds, kinds, strict=True):
            for begin in range(0, min(len(unlabelled[0]), 4 * count) - count + 1, count):
                novelty = learn_novelty(*(part[begin : begin + count].half() for part in unlabelled))
                assert novelty is not None
                every = [*foreign.values(), *changed.values(), test]
                marks.append([100 * float((novelty.strangeness(*seen) > 1).float().mean()) for seen in every])
        if not marks:  # more images than there are
            continue
        means = [statistics.mean(values) for values in zip(*marks, strict=True)]
        table.add_row(str(count), *(f"{mean:.1f}" for mean in means), f"at most {max(row[-1] for row in marks):.1f}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[63])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--photographs", type=Path, help="a folder of more photographs")
    arguments = parser.parse_args()
    worlds = [encoded(seed, arguments.images) for seed in arguments.seeds]
    kinds = [kinds_of(seed, arguments.photographs) for seed in arguments.seeds]
    console = Console(width=200)
    labels_given(worlds, kinds, console)
    called_foreign(worlds, kinds, console)


if __name__ == "__main__":
    main()
