"""CCD, CDUL (as others reproduced it), AEVLP, VLPL: labels, boxes and losses against numbers of the published code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from piaa.training import updates
from piaa.training.heads import Output
from piaa.training.maps import lifted_maps, peak_box, tile_boxes
from piaa.training.objectives import Batch, loss_named
from piaa.training.regions import CANVAS

FILE = Path(__file__).parent / "data" / "label_updates.safetensors"
MARGIN, FLOOR = 4, {"ccd": 0.0, "ccd_floor": 1 / 20}
close = torch.testing.assert_close


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FILE)


def part(golden: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.partition(".")[2]: value for key, value in golden.items() if key.partition(".")[0] == name}


def check_loss(name: str, given: dict[str, Tensor], tensors: tuple[str, ...], batch: Batch, **constants: float) -> None:
    """The loss, and its gradient by what `tensors` names: logits, and those of the second view."""
    loss = loss_named(name)(Output(given["logits"], given["logits"][..., None]), batch, **constants)
    slopes = torch.autograd.grad(loss, [given[tensor] for tensor in tensors])
    close(loss.detach()[None], given["loss"], rtol=1e-5, atol=1e-7)
    for tensor, slope in zip(tensors, slopes, strict=True):
        error = (slope - given[f"{tensor}.grad"]).norm() / given[f"{tensor}.grad"].norm()
        assert float(error) <= 1e-5, tensor


@pytest.mark.parametrize("name", ["ccd", "ccd_floor"])
def test_ccd_debiases_and_flags_as_published(golden: dict[str, Tensor], name: str) -> None:
    given = part(golden, name)
    labels, bias, sure = updates.debiased(given["scores"], floor=FLOOR[name])
    close(labels, given["labels_0"], rtol=1e-5, atol=1e-7)
    close(bias, given["bias"], rtol=1e-5, atol=0)
    assert sure.float().tolist() == given["sure"].tolist()
    assert 0 < int(sure.sum()) < len(sure)


@pytest.mark.parametrize("name", ["ccd", "ccd_floor"])
def test_ccd_maps_boxes_and_new_labels_as_published(golden: dict[str, Tensor], name: str) -> None:
    given = part(golden, name)
    maps = lifted_maps(given["seen"], given["weight"], given["head_bias"], 0.8)
    close(maps, given["maps"], rtol=1e-5, atol=1e-5)
    p = torch.sigmoid(maps.mean(dim=(2, 3)))
    chosen = p >= given["cut"]
    boxes = [
        [image, c, *peak_box(given["maps"][image, c], given["images"].shape[-2:], MARGIN)]
        for image, c in chosen.nonzero().tolist()
    ]
    assert boxes == given["boxes"].tolist()
    says = torch.softmax(100 * F.normalize(embedded(given, boxes), dim=1) @ F.normalize(given["text"], dim=1).T, dim=1)
    seen = torch.zeros_like(given["labels_1"])
    for (image, *_), scores in zip(boxes, says, strict=True):
        seen[image] = torch.maximum(seen[image], scores)
    moved = updates.moving_average(given["labels_1"], seen, given["bias"], 0.8, FLOOR[name])
    close(moved, given["labels_2"], rtol=1e-5, atol=1e-5)
    assert float((given["labels_2"] - given["labels_1"]).abs().max()) > 0.1


def embedded(given: dict[str, Tensor], boxes: list[list[int]]) -> Tensor:
    """The stand-in for CLIP on parts of the images, the longer side of a part brought to 640 pixels; checks it too."""
    found = []
    for image, _, left, top, right, bottom in boxes:
        crop = given["images"][image : image + 1, :, top:bottom, left:right].float() / 255
        scale = CANVAS / torch.tensor(max(crop.shape[-2:]))  # float32, as published: 639 pixels now and then
        size = [int(side * scale) for side in crop.shape[-2:]]
        large = F.interpolate(crop, size, mode="bilinear", align_corners=False)
        pooled = F.adaptive_avg_pool2d(large, 4).flatten(1) - 0.5
        found.append(2 * pooled @ given["matrix"] + given["common"])
    embeddings = torch.cat(found)
    close(embeddings, given["crops"], rtol=1e-4, atol=1e-5)
    return given["crops"]


def test_ccd_searches_its_cut_as_published(golden: dict[str, Tensor]) -> None:
    given = part(golden, "ccd_search")
    cut = updates.searched_cut(given["preds"], classes=5.0)
    assert cut == pytest.approx(float(given["cut"]), rel=1e-6)
    assert cut > 0.0015  # it was not the first


@pytest.mark.parametrize("name", ["ccd", "ccd_floor"])
@pytest.mark.parametrize("epoch", [0, 2])
def test_ccd_loss_as_published(golden: dict[str, Tensor], name: str, epoch: int) -> None:
    """Before epoch 2 plain cross-entropy; then flagged images weigh a tenth, and the second view is to agree."""
    given = part(golden, name)
    views = ("logits", "second") if epoch else ("logits",)
    mine = {key: given[f"{key}_{epoch}"].clone().requires_grad_() for key in views}
    mine |= {f"{key}.grad": given[f"{key}_{epoch}.grad"] for key in views} | {"loss": given[f"loss_{epoch}"]}
    rows = given[f"rows_{epoch}"]
    state = {"soft": given[f"labels_{epoch}"], "sure": given["sure"]}
    none = torch.full(mine["logits"].shape, -1, dtype=torch.int8)
    batch = Batch(rows, none, state, lambda features: features, torch.Generator(), again=lambda: mine["second"])
    check_loss("ccd", mine, views, batch, consistency=float(epoch == 2), least=0.1)


def test_cdul_tiles_as_reproduced(golden: dict[str, Tensor]) -> None:
    given = part(golden, "cdul")
    image = given["image"]
    boxes = tile_boxes(image.shape[2], image.shape[1], 3)
    tiles = torch.stack([image[:, top:bottom, left:right] for left, top, right, bottom in boxes])
    close(tiles, given["tiles"], rtol=0, atol=0)


@pytest.mark.parametrize(("name", "threshold"), [("most", 0.0), ("mixed", 0.1)])
def test_cdul_aggregates_as_reproduced(golden: dict[str, Tensor], name: str, threshold: float) -> None:
    given = part(golden, "cdul")
    for greater, key in ((0.0, f"labels_{name}"), (1.0, f"labels_{name}_greater")):
        labels = updates.tile_aggregate(given["whole"], given["local"], threshold, greater)
        close(labels, given[key], rtol=1e-5, atol=1e-7)


def test_cdul_learns_and_aligns_as_reproduced(golden: dict[str, Tensor]) -> None:
    given = part(golden, "cdul")
    logits, labels = given["logits"].clone().requires_grad_(), given["labels_mixed"]
    none = torch.full(labels.shape, -1, dtype=torch.int8)
    batch = Batch(torch.arange(len(labels)), none, {"soft": labels}, lambda features: features, torch.Generator())
    check_loss("softmax-kl", {**given, "logits": logits}, ("logits",), batch)
    moved = updates.aligned_softmax(labels, torch.softmax(given["logits"], dim=1))
    close(moved, given["moved"], rtol=1e-5, atol=1e-7)
    assert float((moved - labels).abs().max()) > 1e-3


@pytest.mark.parametrize(("name", "eta", "negatives"), [("VOC", 0.0, 0.2), ("COCO", 0.3, 0.3)])
def test_aevlp_makes_pseudo_labels_as_published(
    golden: dict[str, Tensor], name: str, eta: float, negatives: float
) -> None:
    """With `absent` 0 those of the generator; ours have -1 in the places of the negatives."""
    given = part(golden, "aevlp")
    images = len(given["observed"])
    scores = torch.softmax(100 * given["cosines"], dim=1)
    whole, local = scores[:images], scores[images:].unflatten(0, (16, images)).transpose(0, 1)
    total = updates.tile_aggregate(whole, local, updates.held_threshold(whole, given["observed"], eta))
    plain = (whole + local.mean(dim=1)) / 2
    pseudo = updates.top_pseudo(total, 0.5, 3, plain, negatives, absent=0.0)
    assert pseudo.to(torch.int8).tolist() == given[f"pseudo_{name}"].tolist()
    assert pseudo.sum() > 5
    ours = updates.top_pseudo(total, 0.5, 3, plain, negatives)
    assert (ours == -1).sum(dim=1).tolist() == [int(negatives * 12)] * images
    assert torch.equal(ours.clamp(min=0), pseudo)


def test_vlpl_takes_what_exceeds_its_threshold_as_published(golden: dict[str, Tensor]) -> None:
    given = part(golden, "vlpl")
    scores = torch.softmax(100 * F.normalize(given["embeddings"], dim=1) @ given["text"].T, dim=1)
    close(scores, given["scores"], rtol=1e-4, atol=1e-7)
    assert (scores > 0.3).to(torch.int8).tolist() == given["pseudo"].tolist()
    assert 0 < int(given["pseudo"].sum()) < given["pseudo"].numel() / 2
