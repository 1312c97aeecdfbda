"""From a folder of pictures and a list of words to tags, a table, and a picture that says why.

python examples/photographs.py                                  # drawn scenes and the small model of the package
python examples/photographs.py --photos photos --words words.txt --model ViT-B-16 --pretrained openai
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from piaa import Recognizer
from piaa.report.explain import explanation_sheet
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder
from piaa.vocabulary.labels import read_labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of pictures; drawn scenes without it")
    parser.add_argument("--words", type=Path, help="a label file; the 60 objects of the scenes without it")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--pretrained")
    parser.add_argument("--out", type=Path, default=Path("example-output"))
    parser.add_argument("--images", type=int, default=200, help="scenes to draw")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    photos = options.photos or options.out / "photos"
    if not options.photos:
        write_scene_folder(photos, seed=7, split="unlabelled", count=options.images)
    words = read_labels(options.words) if options.words else object_names()

    recognizer = Recognizer(words, model=options.model, pretrained=options.pretrained).fit(photos)
    recognizer.save(options.out / "mine.piaa")

    tags = recognizer.tag(photos)
    with open(options.out / "tags.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "labels"])
        writer.writerows([image.path, "; ".join(image.labels)] for image in tags)
    labelled = [image for image in tags if image.labels]
    print(f"{len(labelled)} of {len(tags)} pictures have a label; see {options.out / 'tags.csv'}")

    surest = max(labelled, key=lambda image: image.scores[image.labels[0]], default=None)
    if surest:
        explanation_sheet(recognizer.explain(surest.path)).save(options.out / "why.png")
        print(f"{surest.path}: {', '.join(surest.labels)}; see {options.out / 'why.png'}")


if __name__ == "__main__":
    main()
