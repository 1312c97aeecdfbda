"""How well does `piaa search` rank drawn scenes by free text, and what does the small index cost?

    python benchmarks/search.py --seeds 31 32 33

For each seed, test scenes are drawn; queries are the names of the objects ("an umbrella") and, apart, objects in an
unusual colour ("a red star"). Every line: mean average precision over the queries that 4 images or more answer, mean
over the seeds. `PATCH_SHARE` and `PIECES` were chosen on seeds 21 and 22.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional as F

from piaa.scenes import OBJECTS, object_names, render, sample_scene
from piaa.search.index import SearchIndex
from piaa.search.pieces import PIECES, pieces_of
from piaa.search.rank import PATCH_SHARE, rank
from piaa.search.setup import setup_for
from piaa.search.words import text_of

FEWEST = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[31, 32, 33])
    parser.add_argument("--images", type=int, default=400)
    arguments = parser.parse_args()
    results = [measure(seed, arguments.images) for seed in arguments.seeds]
    title = f"mean average precision, %, mean over seeds {arguments.seeds}, {arguments.images} scenes each"
    table = Table("what ranks", "object", "object in an unusual colour", "vectors an image", title=title)
    for way, vectors in VECTORS.items():
        values = [np.mean([result[way, kind] for result in results]) for kind in ("object", "colour")]
        table.add_row(way, *(f"{value:.1f}" for value in values), vectors)
    Console(width=120).print(table)


VECTORS = {
    "[CLS] alone": "1",
    "all patches alone": "256",
    f"{PIECES} pieces alone": str(PIECES),
    "piaa search": str(PIECES + 1),
    "chance": "0",
}


def measure(seed: int, count: int) -> dict[tuple[str, str], float]:
    """Every way of ranking, for both kinds of query."""
    setup = setup_for(None, None, None, "cpu", "eager")
    encode, names = setup.encoder(), object_names()
    scenes = [sample_scene(seed, "test", number) for number in range(count)]
    parts = []
    for start in range(0, count, 32):
        pixels = [setup.preprocess(render(scene, (160, 160))) for scene in scenes[start : start + 32]]
        parts.append(encode(torch.stack(pixels)))
    cls = F.normalize(torch.cat([part.cls for part in parts]), dim=-1)
    patches = F.normalize(torch.cat([part.patches for part in parts]), dim=-1)
    pieces = torch.cat([pieces_of(part.patches, part.grid) for part in parts])
    numbers = [f"{number:06d}" for number in range(count)]
    whole = SearchIndex(numbers, torch.zeros(count, 2, dtype=torch.int64), cls.half(), pieces.half(), {})
    answers: dict[str, dict[str, set[int]]] = {"object": {}, "colour": {}}
    for number, scene in enumerate(scenes):
        for placed in scene.objects:
            name = names[placed.kind]
            answers["object"].setdefault(f"a {name}", set()).add(number)
            if placed.colour != OBJECTS[placed.kind].usual_colour:
                answers["colour"].setdefault(f"a {placed.colour} {name}", set()).add(number)
    found: dict[tuple[str, str], float] = {}
    for kind, queries in answers.items():
        rows = [score(cls, patches, pieces, whole, text_of(setup.model, query), right)
                for query, right in queries.items() if len(right) >= FEWEST]  # fmt: skip
        found |= {(way, kind): 100 * float(np.mean([row[way] for row in rows])) for way in VECTORS}
    return found


def score(
    cls: Tensor, patches: Tensor, pieces: Tensor, whole: SearchIndex, text: Tensor, right: set[int]
) -> dict[str, float]:
    """Average precision of one query by each way."""
    truth = np.isin(np.arange(len(cls)), list(right))
    ours = np.zeros(len(cls))
    for one in rank(whole, text, PATCH_SHARE).found:
        ours[int(one.path)] = one.score
    scores = {
        "[CLS] alone": (cls @ text).numpy(),
        "all patches alone": (patches @ text).amax(dim=1).numpy(),
        f"{PIECES} pieces alone": (pieces @ text).amax(dim=1).numpy(),
        "piaa search": ours,
    }
    result = {way: float(average_precision_score(truth, values)) for way, values in scores.items()}
    return result | {"chance": float(truth.mean())}


if __name__ == "__main__":
    main()
