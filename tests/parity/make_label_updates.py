"""Makes `data/label_updates.safetensors`: what the published label updates return on small seeded inputs.

    python tests/parity/make_label_updates.py FOLDER

FOLDER holds the four repositories that `data/label_updates.md` names, one folder each (`CCD`, `CDUL`, `AEVLP`, `VLPL`).
Nothing of them is copied: their functions are called with a small network and a small stand-in for CLIP, and their
local variables are read where they log.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torchmetrics
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

OUT = Path(__file__).parent / "data" / "label_updates.safetensors"
CLASSES, WIDTH, SIDE = 12, 12, 32
COMMITS = {
    "k0u-id/CCD": "0b57641189ef9a941bf847c078f0cc1ce908af04",
    "cs-mshah/CDUL": "cac809f86171f73e0e9c0c48cb6d538143157afb",
    "Fsoft-AIC/AEVLP": "0bad82a1a006455ec1506cd5426eeede85c5aa92",
    "mvrl/VLPL": "ed09b592bbde3c1e2995f818261cd4cfbce97fca",
}


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Anything(ModuleType):
    """Stands in for a module that is imported and not used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return mock.MagicMock(name=f"{self.__name__}.{name}")


@contextmanager
def published(folder: Path, name: str, **stand_ins: ModuleType) -> Iterator[ModuleType]:
    """A module of a repository, with other modules in the place of those that it imports."""
    before, path = dict(sys.modules), list(sys.path)
    sys.path.insert(0, str(folder))
    sys.modules.update(stand_ins)
    try:
        yield importlib.import_module(name)
    finally:
        sys.path[:] = path
        for key in set(sys.modules) - set(before):
            del sys.modules[key]
        sys.modules.update(before)


class ToyClip:
    """Pooled pixels times a matrix, near a common direction, as CLIP's embeddings are."""

    def __init__(self) -> None:
        self.common = 4 * F.normalize(torch.randn(WIDTH, generator=random(1)), dim=0)
        self.matrix = torch.randn(48, WIDTH, generator=random(2)) / 48**0.5
        self.text = self.common + torch.randn(CLASSES, WIDTH, generator=random(14)) / 4
        self.seen: list[Tensor] = []

    def encode_image(self, images: Tensor, *size: int) -> Tensor:
        pooled = F.adaptive_avg_pool2d(images, 4).flatten(1) - 0.5
        self.seen.append(2 * pooled @ self.matrix + self.common)
        return self.seen[-1].clone()

    def encode_text(self, tokens: Tensor) -> Tensor:
        return self.text[tokens[:, 0]].clone()


class Images(torch.utils.data.Dataset):
    def __init__(self, number: int, seed: int) -> None:
        coarse = torch.randint(0, 256, (number, 3, 8, 8), generator=random(seed)).float()
        self.pixels = F.interpolate(coarse, (SIDE, SIDE), mode="bilinear").round().to(torch.uint8)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, row: int) -> dict[str, Any]:
        image = self.pixels[row].float() / 255
        label = (torch.arange(CLASSES) % 3 == row % 3).float()
        return {"id": f"{row}", "image": image, "ex_image": image.flip(-1) * 0.9, "label": label, "idx": row}


class Stop(Exception):
    pass


CCD = {
    "bsize": 8, "num_workers": 0, "arch": "", "use_pretrained": False, "freeze_feature_extractor": False, "feat_dim": 8,
    "num_classes": CLASSES, "lr": 1e-4, "lr_mult": 10, "coeff": 0.8, "ratio": 0.8, "offset_size": 4, "loss_coeff": 0.1,
    "bound": 4, "LS_coeff": 20, "num_epochs": 3, "inf_num": 1, "update_label": True, "global_temp": True,
    "local_temp": True, "use_consist": 1.0,
}  # fmt: skip
"""The code's own defaults, but for the learning rate and the margin of crops (4 of 32 pixels)."""


class Watched:
    """A training of CCD, and what is read of it on the way.

    Args:
        search: stop where the cut is found.
    """

    def __init__(self, search: bool) -> None:
        self.search, self.found = search, dict[str, Tensor]()
        self.boxes, self.maps, self.seen = list[list[int]](), list[Tensor](), list[Tensor]()
        self.backward = Tensor.backward

    def info(self, text: Any) -> None:
        """In the place of the logger."""
        here, text = sys._getframe(1).f_locals, str(text)
        if text.startswith("Epoch") and "loss mean" in text:
            number = here["epoch"]
            self.found[f"labels_{number}"] = torch.cat(here["table_pseudolabel"]).clone()
            self.found["scores"] = torch.cat(here["table_fixedclip"]).clone()
            self.found["sure"], self.found["bias"] = here["table_flag"].clone(), here["clip_bias"].clone()
        if text.startswith("fixed multiplier") or (text.startswith("Epoch 2") and "loss mean" in text):
            self.found["cut"] = torch.tensor([here["multiplier"]])
        if "completed" in text or (self.search and "cut" in self.found):
            raise Stop

    def learn(self, loss: Tensor) -> None:
        """In the place of `Tensor.backward`: the first batch of each epoch is kept."""
        here = sys._getframe(2).f_locals
        number = here["epoch"]
        if f"loss_{number}" not in self.found:
            views = [here["logits"]] + ([here["ex_logits"]] if number == 2 else [])
            slopes = torch.autograd.grad(loss, views, retain_graph=True)
            for name, view, slope in zip(("logits", "second"), views, slopes, strict=False):
                self.found |= {f"{name}_{number}": view.detach(), f"{name}_{number}.grad": slope}
            rows = torch.tensor([int(name) for name in here["id"]])
            self.found |= {f"loss_{number}": loss.detach()[None], f"rows_{number}": rows}
        self.backward(loss)

    def cut_out(self, crop: Callable[..., Any], image: Tensor, *arguments: Any) -> Any:
        """Around the function that crops."""
        here = sys._getframe(2).f_locals
        part, box = crop(image, *arguments)
        self.boxes.append([here["idx"], int(here["cls_idx"]), *box])
        return part, box

    def classify(self, forward: Callable[..., Any], network: Any, x: Tensor, fw_cam: bool = False) -> Any:
        """Around the network's forward pass."""
        out = forward(network, x, fw_cam)
        if fw_cam:
            self.maps.append(out[1].detach())
            self.seen.append(network.feature_extractor(x).detach())
            self.found["weight"] = network.onebyone_conv.weight.detach()[:, :, 0, 0].clone()
            self.found["head_bias"] = network.onebyone_conv.bias.detach().clone()
        return out


def small_network(**_: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU(), nn.Identity(), nn.Identity())


def run_ccd(
    folder: Path, images: int, floor: bool, biases: tuple[float, float], spread: float, search: bool = False
) -> dict[str, Tensor]:
    """The published training of three epochs, or up to where it found its cut; what it computed on the way."""
    clip, tokens = ToyClip(), dict[str, int]()
    sets = {"train": Images(images, 10), "infer": Images(images, 10), "val": Images(4, 11)}
    maps = iter([1.0, 2.0, 1.0, 4.0, 1.0, 9.0])
    stand_ins = {name: ModuleType(name) for name in ("clip", "datasets", "instrumentation")}
    vars(stand_ins["clip"]).update(
        load=lambda *_, **__: (clip, None),
        tokenize=lambda texts: torch.tensor([[tokens.setdefault(text, len(tokens))] for text in texts]),
    )
    vars(stand_ins["datasets"]).update(get_data=lambda P: sets)
    vars(stand_ins["instrumentation"]).update(compute_metrics=lambda *_: {"map": next(maps), "ap": 0})
    watched = Watched(search)
    with published(folder, "train", **stand_ins) as code, tempfile.TemporaryDirectory() as scratch:
        torch.manual_seed(5)
        classifier, crop = code.models.ImageClassifier, code.cropping_box
        forward, begin = classifier.forward, classifier.__init__

        def init(self: Any, P: Any) -> None:
            begin(self, P)
            with torch.no_grad():
                self.onebyone_conv.weight.mul_(spread)
                self.onebyone_conv.bias.copy_(torch.linspace(*biases, CLASSES))

        code.cropping_box = lambda *arguments: watched.cut_out(crop, *arguments)
        code.pascal_classes = code.pascal_classes[:CLASSES]
        with (
            mock.patch.object(classifier, "forward", lambda *given: watched.classify(forward, *given)),
            mock.patch.object(classifier, "__init__", init),
            mock.patch.object(torchvision.models, "resnet50", small_network),
            mock.patch.object(Tensor, "backward", lambda loss, *_, **__: watched.learn(loss)),
            mock.patch.object(Tensor, "cuda", lambda self: self),
            suppress(Stop),
        ):
            code.run_train({**CCD, "LS": floor, "save_path": scratch}, SimpleNamespace(info=watched.info))
    found, every = watched.found, torch.cat(watched.maps)
    if search:  # before it, one pass over all images
        return {"preds": torch.sigmoid(every[images:].mean(dim=(2, 3))), "cut": found["cut"]}
    found |= {"maps": every[-images:], "seen": torch.cat(watched.seen)[-images:], "images": sets["train"].pixels}
    features = torch.cat(clip.seen)
    found |= {"whole": features[:images], "crops": features[images:], "boxes": torch.tensor(watched.boxes)}
    return found | {"text": clip.text, "matrix": clip.matrix, "common": clip.common}


def run_cdul(folder: Path) -> dict[str, Tensor]:
    """Tiles, aggregation and one step of training of the reproduction of CDUL by others."""
    random_of = random(30)
    image = torch.randint(0, 256, (3, 23, 20), generator=random_of).float() / 255
    local = torch.softmax(100 * (0.2 + 0.03 * torch.randn(16, 9, CLASSES, generator=random_of)), dim=-1)
    whole = torch.softmax(100 * (0.2 + 0.03 * torch.randn(16, CLASSES, generator=random_of)), dim=-1)
    logits = 2 * torch.randn(16, CLASSES, generator=random_of)
    unused = {name: Anything(name) for name in ("loguru", "lovely_tensors", "hydra", "omegaconf", "rootutils", "wandb")}
    unused["hydra"].main = lambda **_: lambda main: main  # type: ignore[attr-defined]
    unused["src.utils.rich_utils"] = Anything("src.utils.rich_utils")
    stand_ins = {**unused, "clip": Anything("clip")}
    found: dict[str, Tensor] = {"image": image, "local": local, "whole": whole, "logits": logits}
    with published(folder, "src.data.data", **stand_ins) as data:
        tiles = data.TileCropDataset([], num_tiles=(3, 3))
        found["tiles"] = tiles.generate_tiles(image)
        for name, threshold in (("most", 0.0), ("mixed", 0.1)):
            cache = object.__new__(data.CLIPCache)
            cache.__dict__.update(
                object_categories=range(CLASSES), device="cpu", thresh=threshold, batch_size=4, alpha_dir="",
                beta_dir="", preprocess=lambda images: images, _image_encode=lambda images: images,
                _is_alpha_beta_cached=lambda file: False,
            )  # fmt: skip
            parts = torch.cat([cache._compute_in_batches(each, "") for each in local])
            found[f"aggregate_{name}"] = parts
            with published(folder, "src.data.voc", **stand_ins) as voc:
                transform = voc.VOCLabelTransform(final_lambda=0.0)
                transform.global_label = lambda row: whole[row]
                transform.aggregate_label = lambda row, parts=parts: parts[row]
                found[f"labels_{name}"] = torch.stack([transform.final_label(row) for row in range(16)])
                transform.final_lambda = 1.0
                found[f"labels_{name}_greater"] = torch.stack([transform.final_label(row) for row in range(16)])
    with published(folder, "src.train", **stand_ins) as code:
        table = nn.Parameter(logits.clone())
        network = mock.MagicMock(side_effect=lambda images: table)
        moved: list[Tensor] = []
        kept: list[Tensor] = []
        divergence = torchmetrics.regression.KLDivergence()
        trainer = object.__new__(code.Trainer)
        labels = found["labels_mixed"].clone()
        trainer.__dict__.update(
            model=network, train_dataloader=[(whole, (["0"], labels, labels))], device="cpu", sigma=1.0, warmup=0,
            pseudo_update_frequency=1, train_metric=mock.MagicMock(), pseudo_metric=mock.MagicMock(),
            loss=lambda *given: kept.append(divergence(*given)) or kept[-1], optimizer=torch.optim.SGD([table], lr=0.0),
            update_pseudo_labels=lambda name, labels: moved.append(labels),
        )  # fmt: skip
        for metric in (trainer.train_metric, trainer.pseudo_metric):
            metric.compute.return_value = {"": torch.tensor(0.0)}
        trainer.loss.compute = divergence.compute  # what it logs: the mean of the network's loss and the labels'
        trainer.train(0)
        assert table.grad is not None
        found |= {"loss": kept[0].detach()[None], "logits.grad": table.grad, "moved": moved[0]}
    return found


def run_aevlp(folder: Path) -> dict[str, Tensor]:
    """The generator of pseudo-labels with the constants of two data sets."""
    random_of = random(40)
    images, parts = 32, 17
    cosines = 0.2 + 0.02 * torch.randn(parts * images, CLASSES, generator=random_of)
    observed = F.one_hot(torch.randint(0, CLASSES, (images,), generator=random_of), CLASSES).float()
    found = {"cosines": cosines, "observed": observed}
    with published(folder, "utils") as code:
        for name, eta, negatives in (("VOC", 0.0, 0.2), ("COCO", 0.3, 0.3)):
            P = {"grid_size": 4, "temp": 0.01, "num_classes": CLASSES, "device": "cpu", "eta": eta, "top_k": 3,
                 "threshold": 0.5, "negative_ratio": negatives}  # fmt: skip
            kept, pseudo = code.get_pseudo_labels(cosines, observed, torch.zeros_like(observed), observed, P)
            found |= {f"pseudo_{name}": pseudo.to(torch.int8), f"before_negatives_{name}": kept.to(torch.int8)}
    return found


def run_vlpl(folder: Path) -> dict[str, Tensor]:
    """The pseudo-positives of the classifier's forward pass."""
    random_of = random(50)
    embeddings = torch.randn(32, WIDTH, generator=random_of) / 4 + 1
    text = F.normalize(torch.randn(CLASSES, WIDTH, generator=random_of) / 4 + 1, dim=1)
    tower = mock.MagicMock(return_value=SimpleNamespace(image_embeds=embeddings))
    with (
        published(folder, "models", transformers=Anything("transformers")) as code,
        mock.patch.object(code, "resnet50", lambda **_: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Identity())),
    ):
        P = {"arch": "resnet50", "num_classes": CLASSES, "threshold": 0.3, "temp": 0.01, "partial": 0.0}
        network = code.ImageClassifier(P, {"device": "cpu"})
        network.__dict__["_modules"].pop("feature_extractor", None)
        network.feature_extractor, network.linear_classifier = tower, nn.Identity()
        _, pseudo, similarity = network(torch.zeros(32, 3, 4, 4), torch.zeros(32, 3, 4, 4), text)
    return {"embeddings": embeddings, "text": text, "scores": similarity, "pseudo": pseudo.to(torch.int8)}


def main(folder: Path) -> None:
    parts: dict[str, dict[str, Tensor]] = {
        "ccd": run_ccd(folder / "CCD", 40, False, (-8.0, -6.0), 16.0),
        "ccd_floor": run_ccd(folder / "CCD", 40, True, (-4.0, -2.0), 16.0),
        "ccd_search": run_ccd(folder / "CCD", 310, False, (-10.8, -2.8), 8.0, search=True),
        "cdul": run_cdul(folder / "CDUL"),
        "aevlp": run_aevlp(folder / "AEVLP"),
        "vlpl": run_vlpl(folder / "VLPL"),
    }
    tensors = {
        f"{part}.{name}": value.contiguous().clone() for part, all in parts.items() for name, value in all.items()
    }
    about = {"commits": COMMITS, "torch": torch.__version__, "torchvision": torchvision.__version__}
    save_file(tensors, OUT, metadata={"piaa": json.dumps(about)})
    print(f"{OUT}: {OUT.stat().st_size} bytes, {len(tensors)} tensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
