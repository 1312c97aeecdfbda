"""The mean [CLS] direction of drawn scenes, by which the embedded model knows pictures that are unlike them.

python training/usual_cls.py        # writes src/piaa/assets/embedded/usual_cls.safetensors, from seeds 0 to 3
"""

from __future__ import annotations

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from piaa.recognizer import Recognizer
from piaa.scenes import object_names, render, sample_scene
from piaa.vision.models.usual import USUAL

SEEDS, SCENES = range(4), 250


def main() -> None:
    setup = Recognizer(object_names()).learner().setup
    encode, total = setup.encoder(), torch.zeros(setup.model.embed_dim, dtype=torch.float64)
    for seed in SEEDS:
        for start in range(0, SCENES, 50):
            scenes = [sample_scene(seed, "unlabelled", index) for index in range(start, start + 50)]
            images = torch.stack([setup.preprocess(render(scene, (192, 192))) for scene in scenes])
            total += F.normalize(encode(images).cls.double(), dim=1).sum(dim=0)
    save_file({"mean": F.normalize(total, dim=0).float()}, USUAL)


if __name__ == "__main__":
    main()
