"""A part of your own, measured: another way to pool the patches, against the default on the same images.

    python examples/own_part.py            # 300 unlabelled and 300 test scenes of seed 41

The interval is paired: both are measured on the same images, which are drawn again and again with replacement.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from piaa import Recognizer
from piaa.evaluation.evaluate import evaluate
from piaa.evaluation.metrics import compare
from piaa.evaluation.truth import read_truth
from piaa.extensions import register_aggregator, register_recipe
from piaa.method.recipes import get_recipe
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder, write_scene_truth


@register_aggregator("median-of-top-5")  # patch probabilities N x M x C to N x C, each image by itself
def median_of_top_five(probabilities):
    """The third best patch of a class."""
    return probabilities.topk(min(5, probabilities.shape[1]), dim=1).values.median(dim=1).values


register_recipe(replace(get_recipe("default"), name="median", aggregator="median-of-top-5"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seed", type=int, default=41)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_scene_folder(root / "unlabelled", options.seed, "unlabelled", options.images)
        drawn = write_scene_folder(root / "test", options.seed, "test", options.images)
        write_scene_truth(root / "truth.csv", "test", drawn)
        results = {}
        for recipe in ("default", "median"):
            scorer = Recognizer(object_names(), recipe=recipe).fit(root / "unlabelled").scorer()
            results[recipe] = evaluate(scorer, root / "test", read_truth(root / "truth.csv", scorer.label_names))
    labels = results["default"].labels
    scores = {recipe: result.scores["piaa"] for recipe, result in results.items()}
    found = compare(scores["median"], scores["default"], labels, "mAP")
    for recipe, result in results.items():
        print(f"{recipe}: mAP {result.summary(resamples=0)['map']['piaa']:.1f}")
    ends = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
    print(f"median - default: {100 * found.difference:+.1f} points (95%: {ends}), p = {found.p_value:.3f}")


if __name__ == "__main__":
    main()
