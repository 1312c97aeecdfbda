"""TagCLIP (Lin et al. 2024, arXiv 2312.12828): patch scores, two masks on them, and a second look at each class found.

Constants and order of steps are those of its published code; block numbers are those of a 12-block tower, counted
from 1, and move to another depth by `piaa.vision.front_ends.base.scaled_block`. No image's scores depend on its batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.baselines.regions import above_mean, bounding_boxes, region_boxes, scaled
from piaa.errors import InputError, ModelError
from piaa.vision.front_ends.base import PAPER_DEPTH, scaled_block
from piaa.vision.towers.base import Grid, Tower
from piaa.vision.towers.positions import POSITIONS

VOTES = 4
"""Of 12 attention maps, how many must exceed their own mean for a pair of patches to count."""
LAST_BLOCK = 11
"""The last block whose attention map is part of the mean."""
MAP_THRESHOLD = 0.5
"""Of a class's map, scaled to 0..1: patches above it are looked at once more."""
SHARE = 0.5
"""Of the second look in a re-checked class's score."""
HIDDEN = -1000.0
"""Added to [CLS]'s attention to a patch that it must not see."""
EMPTY_BOX = ("skip", "stop")


@dataclass(frozen=True)
class TagClipSettings:
    """Every number of TagCLIP that its published code sets by data set or that ours changes.

    Attributes:
        recheck: a class is looked at once more where its score exceeds min + `recheck` (max - min) of the image's
            refined scores: 0.5, or 0.1 for COCO-Stuff.
        first_block: of the attention maps' mean: 9, or 1 for COCO-Stuff.
        crop: side in pixels of what is looked at once more; 0 is the tower's own.
        empty_box: what a class with an empty box does: `skip` leaves that class as it was; `stop` leaves all later
            classes of the image too, as published.
        positions: a name of `piaa.vision.towers.positions.POSITIONS`; `bilinear-half` as published.
        together: crops that go through the tower together at most; 1 is the published order, one by one.
        order: a name of `ORDERS`: whether the classes of an image are refined together or, as published, one by one.
        scale: of the softmax; 100 is what OpenAI's models have learnt.
    """

    recheck: float = 0.5
    first_block: int = 9
    crop: int = 0
    empty_box: str = "skip"
    positions: str = "bilinear-half"
    together: int = 64
    order: str = "together"
    scale: float = 100.0

    def __post_init__(self) -> None:
        if not 0 <= self.recheck < 1:
            raise InputError(f"TagCLIP: recheck is a share from 0 to below 1, got {self.recheck}")
        if self.empty_box not in EMPTY_BOX:
            raise InputError(f"TagCLIP: empty_box {self.empty_box!r} is none of: {', '.join(EMPTY_BOX)}")
        if self.positions not in POSITIONS:
            raise InputError(f"TagCLIP: positions {self.positions!r} are none of: {', '.join(POSITIONS)}")
        if self.order not in ORDERS:
            raise InputError(f"TagCLIP: order {self.order!r} is none of: {', '.join(ORDERS)}")
        if self.together < 1 or not 1 <= self.first_block <= LAST_BLOCK or self.crop < 0:
            raise InputError("TagCLIP: together is at least 1, first_block 1 to 11, crop 0 or a number of pixels")


@dataclass(frozen=True)
class Stages:
    """What each stage of TagCLIP gives for N images, M patches, C classes and B background words.

    Attributes:
        coarse: `N x M x (C + B)`: softmax of each patch.
        affinity: `N x M x M`: mean attention where enough maps vote for it.
        propagated: `N x M x (C + B)`: affinity times coarse.
        refined: `N x M x (C + B)`: the same with each class's attention held to its boxes.
        pooled: `N x C`: the maximum over patches.
        rechecked: `N x C` bool: which classes were looked at once more.
        scores: `N x C`, 0 to 1: the result.
        grid: (rows, columns) of patches.
    """

    coarse: Tensor
    affinity: Tensor
    propagated: Tensor
    refined: Tensor
    pooled: Tensor
    rechecked: Tensor
    scores: Tensor
    grid: Grid


def check_tower(tower: Tower) -> None:
    """TagCLIP needs a [CLS] token, whose attention it masks.

    Raises:
        ModelError: for a tower that pools all tokens.
    """
    if tower.pools_all_tokens or tower.prefix_tokens != 1:
        raise ModelError("TagCLIP needs an image tower with a [CLS] token; this one pools all patches")


def patches_and_affinity(tower: Tower, images: Tensor, settings: TagClipSettings) -> tuple[Tensor, Tensor, Grid]:
    """Patch embeddings of a last block in which every token sees itself alone, and the voted attention.

    The published code adds -100 to the last block's attention off the diagonal; this is its limit, v itself.

    Args:
        tower: with a [CLS] token.
        images: `N x 3 x H x W`.
        settings: first block of the mean, positions.

    Returns:
        `N x M x d`, unit length; `N x M x M`; the grid.
    """
    pixels = images.to(device=tower.device, dtype=tower.dtype)
    tokens, grid = tower.embed(pixels, POSITIONS[settings.positions])
    last, depth = tower.depth - 1, tower.depth
    first, until = scaled_block(settings.first_block, depth), scaled_block(LAST_BLOCK, depth)
    votes = total = torch.zeros(1, device=tower.device)
    for index in range(depth):
        q, k, v = tower.qkv(index, tokens, grid)
        attention = ((q * q.shape[-1] ** -0.5) @ k.mT).softmax(dim=-1)
        seen = attention[:, :, 1:, 1:].mean(dim=1).float()
        votes = votes + (seen > seen.mean(dim=(1, 2), keepdim=True))  # the last block's too, as it is without a mask
        if first <= index + 1 <= until:
            total = total + seen
        attended = v if index == last else attention @ v
        tokens = tower.add_mlp(index, tower.add_attention(index, tokens, attended))
    wanted = -(-VOTES * depth // PAPER_DEPTH)
    affinity = total / (until - first + 1) * (votes >= wanted)
    return F.normalize(tower.project(tokens[:, 1:]).float(), dim=-1), affinity, grid


def refine(coarse: Tensor, propagated: Tensor, affinity: Tensor, grid: Grid) -> Tensor:
    """Attention held to the boxes of each class's regions, times its coarse scores: `N x M x K`.

    (A masked by columns) times scores is A times the masked scores, so all classes are one product. A class without any
    score, or with the same one everywhere, has no regions and keeps what it has.

    Args:
        coarse: `N x M x K`.
        propagated: `N x M x K`.
        affinity: `N x M x M`.
        grid: of the patches.
    """
    maps = scaled(propagated.mT)
    marked = above_mean(maps)
    boxes = region_boxes(marked.flatten(0, 1), grid).reshape(maps.shape).mT
    usable = (propagated.amax(dim=1, keepdim=True) > 0) & ~maps.mT.isnan().any(dim=1, keepdim=True)
    return torch.where(usable, affinity @ (coarse * boxes), propagated)


def refine_one_by_one(coarse: Tensor, propagated: Tensor, affinity: Tensor, grid: Grid) -> Tensor:
    """The same as the published code goes about it: image after image, class after class, a masked product each."""
    refined = propagated.clone()
    for image in range(len(coarse)):
        for index in range(coarse.shape[2]):
            place = (slice(image, image + 1), slice(None), slice(index, index + 1))
            refined[place] = refine(coarse[place], propagated[place], affinity[place[0]], grid)
    return refined


ORDERS = {"together": refine, "one-by-one": refine_one_by_one}
"""How the classes of an image are refined; both give the same scores."""
TAGCLIP_SETTINGS = {
    "default": TagClipSettings(),
    "published": TagClipSettings(empty_box="stop", together=1, order="one-by-one"),
    "published-cocostuff": TagClipSettings(
        recheck=0.1, first_block=1, empty_box="stop", together=1, order="one-by-one"
    ),
}
"""By name: ours, and the published code's for VOC and COCO and for COCO-Stuff."""


def candidates(refined: Tensor, pooled: Tensor, recheck: float) -> Tensor:
    """Classes above min + recheck (max - min) of all refined scores of the image: `N x C` bool."""
    least, most = refined.flatten(1).aminmax(dim=1)
    return pooled > (least + recheck * (most - least))[:, None]


@dataclass(frozen=True)
class Looks:
    """What is to be looked at once more: one entry a class of an image, image by image, classes in order.

    Attributes:
        images: `n` int64.
        classes: `n` int64.
        boxes: `n x 4`: top, bottom, left, right in patches.
        masks: `n x M` bool: patches that are the class's.
    """

    images: Tensor
    classes: Tensor
    boxes: Tensor
    masks: Tensor


def looks(refined: Tensor, pooled: Tensor, grid: Grid, settings: TagClipSettings) -> Looks:
    """The classes to look at once more and where; see `TagClipSettings` for what an empty box does."""
    chosen = candidates(refined, pooled, settings.recheck)
    images, classes = chosen.nonzero(as_tuple=True)
    maps = scaled(refined[images, :, classes])
    masks = maps > MAP_THRESHOLD
    boxes = bounding_boxes(masks, grid)
    some = (boxes[:, 1] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 2])
    if settings.empty_box == "stop":
        first_empty = torch.full((len(refined),), len(images), device=images.device)
        places = torch.arange(len(images), device=images.device)
        first_empty.scatter_reduce_(0, images[~some], places[~some], "amin")
        some &= places < first_empty[images]
    return Looks(images[some], classes[some], boxes[some], masks[some])


def crops(images: Tensor, found: Looks, patch: tuple[int, int], grid: Grid, size: int) -> tuple[Tensor, Tensor]:
    """Each look's part of its image, resized, and the same part of its mask on the crop's grid.

    Args:
        images: `N x 3 x H x W`.
        found: n looks.
        patch: height and width of a patch in pixels.
        grid: of the images.
        size: side of a crop in pixels.

    Returns:
        `n x 3 x size x size` and `n x (size / patch)^2` bool: what [CLS] may see.
    """
    own = (size // patch[0], size // patch[1])
    parts, seen = [], []
    for image, box, mask in zip(found.images.tolist(), found.boxes.tolist(), found.masks, strict=True):
        top, bottom, left, right = box
        pixels = images[image, :, top * patch[0] : bottom * patch[0], left * patch[1] : right * patch[1]]
        parts.append(F.interpolate(pixels[None], size=(size, size), mode="bilinear", align_corners=False))
        part = mask.reshape(grid)[top:bottom, left:right].float()
        seen.append(F.interpolate(part[None, None], size=own, mode="nearest").flatten() > 0)
    return torch.cat(parts), torch.stack(seen)


def encode_seen(tower: Tower, images: Tensor, seen: Tensor, positions: str) -> Tensor:
    """The [CLS] embedding, unit length, where [CLS] attends in every block to the seen patches alone: `n x d`.

    Args:
        tower: with a [CLS] token.
        images: `n x 3 x H x W`.
        seen: `n x M` bool.
        positions: a name of `POSITIONS`.
    """
    tokens, grid = tower.embed(images.to(device=tower.device, dtype=tower.dtype), POSITIONS[positions])
    count = tokens.shape[1]
    bias = torch.zeros(len(images), 1, count, count, dtype=tokens.dtype, device=tokens.device)
    bias[:, 0, 0, 1:] = HIDDEN * (~seen).to(tokens.dtype)
    for index in range(tower.depth):
        rows = slice(0, 1) if index == tower.depth - 1 else slice(None)
        q, k, v = tower.qkv(index, tokens, grid)
        attended = F.scaled_dot_product_attention(q[:, :, rows], k, v, attn_mask=bias[:, :, rows])
        tokens = tower.add_mlp(index, tower.add_attention(index, tokens[:, rows], attended))
    return F.normalize(tower.cls_embedding(tokens).float(), dim=-1)


@torch.no_grad()
def tagclip(tower: Tower, images: Tensor, text: Tensor, classes: int, settings: TagClipSettings) -> Stages:
    """All three stages.

    Args:
        tower: with a [CLS] token.
        images: `N x 3 x H x W`, normalised; H and W are multiples of the patch.
        text: `(C + B) x d`, unit length: classes first, then background words.
        classes: C.
        settings: every number.

    Raises:
        ModelError: for a tower without a [CLS] token.
        InputError: when H or W is no multiple of the patch.
    """
    check_tower(tower)
    text = text.to(tower.device)
    patches, affinity, grid = patches_and_affinity(tower, images, settings)
    coarse = (settings.scale * patches @ text.T).softmax(dim=-1)
    propagated = affinity @ coarse
    refined = ORDERS[settings.order](coarse, propagated, affinity, grid)
    pooled = refined.amax(dim=1)[:, :classes]
    found = looks(refined, pooled, grid, settings)
    scores, rechecked = pooled.clone(), torch.zeros_like(pooled, dtype=torch.bool)
    numbers = torch.arange(len(found.images))
    for part in torch.split(numbers, settings.together) if len(numbers) else ():
        some = Looks(found.images[part], found.classes[part], found.boxes[part], found.masks[part])
        size = settings.crop or tower.image_size[0]
        pixels, seen = crops(images.to(tower.device), some, tower.patch_size, grid, size)
        again = (settings.scale * encode_seen(tower, pixels, seen, settings.positions) @ text.T).softmax(dim=-1)
        own = again.gather(1, some.classes[:, None]).squeeze(1)
        scores[some.images, some.classes] = (1 - SHARE) * pooled[some.images, some.classes] + SHARE * own
        rechecked[some.images, some.classes] = True
    return Stages(coarse, affinity, propagated, refined, pooled, rechecked, scores, grid)


def relative_threshold(scores: Tensor, share: float) -> Tensor:
    """Where each image's scores of its own span stand, 0 to 1, so that 0.5 is min + share (max - min).

    The published decision: a label is given where a score exceeds that. An image with equal scores has none.

    Args:
        scores: `N x C`.
        share: 0.5, or 0.1 for COCO-Stuff; above 0 and below 1.

    Returns:
        `N x C`.
    """
    least, most = scores.aminmax(dim=1, keepdim=True)
    place = (scores - least) / (most - least).clamp_min(torch.finfo(scores.dtype).tiny)
    return torch.where(place > share, 0.5 + 0.5 * (place - share) / (1 - share), 0.5 * place / share)
