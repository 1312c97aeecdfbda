"""Train the embedded model: CLIP's contrastive loss on (drawn scene, caption) pairs, through the [CLS] token alone.

    python training/draw_shards.py --side 64 --out .work/shards64 --single-large 30000 --single 70000 ...
    python training/train_embedded.py --image-size 64 --shards .work/shards64 --images 500000
    python training/train_embedded.py --init .work/run/export --run .work/run96 --shards .work/shards96 ...

All commands are in docs/embedded-model.md.

Checkpoints every `--save-every` images to `--run` and resumes from the newest one; the curve goes to `curve.jsonl`.
The loss sees images and captions alone. No patch is ever compared with a text but by the reported measures, which no
gradient flows from; `locality` says what keeps the patches from looking everywhere.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from captions import caption, vocabulary
from locality import LocalTower
from open_clip.model import CLIP
from torch import Tensor, nn
from torchmetrics.functional.classification import multilabel_average_precision

from piaa.scenes import OBJECTS

HERE = Path(__file__).parent
KINDS = ("single-large", "single", "pair", "scene")
# (from this share of the run on, chance of each kind of scene)
CURRICULUM = (
    (0.00, (1.0, 0.0, 0.0, 0.0)),
    (0.40, (0.4, 0.6, 0.0, 0.0)),
    (0.62, (0.1, 0.45, 0.25, 0.2)),
    (0.80, (0.05, 0.35, 0.25, 0.35)),
)


class Shards:
    """Pre-drawn scenes of every kind; `batch` is a function of (seed, step) alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images: dict[str, np.ndarray] = {}
        self.objects: dict[str, list] = {}

    def _open(self, kind: str) -> None:
        if kind not in self.images:
            while not (self.root / f"{kind}.npy").exists():  # still being drawn
                time.sleep(5)
            self.images[kind] = np.load(self.root / f"{kind}.npy")
            self.objects[kind] = json.loads((self.root / f"{kind}.json").read_text())

    def batch(self, size: int, chances: tuple[float, ...], rng: np.random.Generator) -> tuple[Tensor, list[str]]:
        kinds = rng.choice(len(KINDS), size, p=chances)
        images, captions = [], []
        for number in kinds:
            kind = KINDS[number]
            self._open(kind)
            index = int(rng.integers(len(self.images[kind])))
            images.append(self.images[kind][index])
            captions.append(caption([tuple(thing) for thing in self.objects[kind][index]], rng))
        return torch.from_numpy(np.stack(images)), captions


def normalise(images: Tensor, config: dict) -> Tensor:
    mean, std = (torch.tensor(config["preprocess_cfg"][key]).view(3, 1, 1) for key in ("mean", "std"))
    return (images.permute(0, 3, 1, 2).float() / 255 - mean) / std


def augment(images: Tensor, rng: np.random.Generator) -> Tensor:
    """A crop (scale 0.85 to 1), at times a flip, brightness and contrast: one draw for each quarter of the batch."""
    parts = []
    for part in images.chunk(4):
        side = part.shape[-1]
        crop = int(rng.integers(round(side * 0.85), side + 1))
        y, x = rng.integers(0, side - crop + 1, 2)
        window = part[:, :, y : y + crop, x : x + crop]
        window = F.interpolate(window, size=(side, side), mode="bilinear", align_corners=False)
        if rng.random() < 0.5:
            window = window.flip(-1)
        parts.append(window * float(rng.uniform(0.85, 1.15)) + float(rng.normal(0, 0.08)))
    return torch.cat(parts)


def build_model(config: dict, seed: int) -> tuple[CLIP, Tensor]:
    """The model with compact token embeddings, and the token ids that its rows stand for."""
    torch.manual_seed(seed)
    model = CLIP(**{**config["model_cfg"], "text_cfg": {**config["model_cfg"]["text_cfg"]}})
    width = model.visual.positional_embedding.shape[1]
    for module in model.visual.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=width**-0.5)
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.MultiheadAttention):
            nn.init.normal_(module.in_proj_weight, std=width**-0.5)
    nn.init.normal_(model.visual.class_embedding, std=0.01)
    with torch.no_grad():  # places that can be told apart from the first step on; learnt from there
        places = build_2d_sincos_position_embedding(model.visual.grid_size, width)
        model.visual.positional_embedding.copy_(torch.cat([torch.zeros(1, width), places * 0.5]))
    tokenizer = open_clip.SimpleTokenizer(context_length=config["model_cfg"]["text_cfg"]["context_length"])
    used = torch.unique(torch.cat([tokenizer(text).flatten() for text in vocabulary()]))
    model.token_embedding = nn.Embedding(len(used), model.token_embedding.weight.shape[1])
    nn.init.normal_(model.token_embedding.weight, std=0.05)
    return model, used


def build_2d_sincos_position_embedding(grid: tuple[int, int], width: int) -> Tensor:
    """Sines and cosines of row and column, (rows * columns) x width."""
    quarter = width // 4
    omega = 1.0 / 100 ** (torch.arange(quarter) / quarter)
    ys, xs = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    angles = [axis.flatten()[:, None] * omega for axis in (xs, ys)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1)


def clip_loss(image: Tensor, text: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """The symmetric contrastive loss; pairs with the very same caption are positives of each other."""
    logits = scale * image @ text.T
    target = same / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class Text:
    """Tokenises into the compact vocabulary."""

    def __init__(self, used: Tensor, length: int) -> None:
        self.tokenizer = open_clip.SimpleTokenizer(context_length=length)
        self.remap = torch.zeros(49408, dtype=torch.long)
        self.remap[used] = torch.arange(len(used))
        self.cache: dict[str, Tensor] = {}

    def __call__(self, captions: list[str]) -> Tensor:
        return torch.stack([self._one(text) for text in captions])

    def _one(self, text: str) -> Tensor:
        if text not in self.cache:
            if len(self.cache) > 200_000:
                self.cache.clear()
            self.cache[text] = self.remap[self.tokenizer(text)[0]]
        return self.cache[text]


def encode_text(model: CLIP, compact: Tensor) -> Tensor:
    """Unit-length text embeddings; compact ids keep the order of ids, so arg-max pooling still finds the end token."""
    return F.normalize(model.encode_text(compact), dim=-1)


@torch.no_grad()
def validate(model: CLIP, text: Text, root: Path, config: dict) -> dict[str, float]:
    """[CLS] accuracy on single objects; [CLS] and text-patch mAP on crowded scenes of the validation split."""
    model.eval()
    prompts = encode_text(model, text([f"a photo of a {kind.name}" for kind in OBJECTS]))
    result: dict[str, float] = {}
    for kind in ("single-large", "single", "scene"):
        if not (root / f"{kind}.npy").exists():
            continue
        images = torch.from_numpy(np.load(root / f"{kind}.npy"))
        objects = json.loads((root / f"{kind}.json").read_text())
        truth = torch.zeros(len(images), len(OBJECTS), dtype=torch.long)
        for row, things in enumerate(objects):
            for thing in things:
                truth[row, thing[0]] = 1
        model.visual.output_tokens = True
        cls, patches = zip(*(model.visual(normalise(part, config)) for part in images.split(100)), strict=True)
        model.visual.output_tokens = False
        cls_logits = F.normalize(torch.cat(cls), dim=-1) @ prompts.T
        patch_logits = F.normalize(torch.cat(patches) @ model.visual.proj, dim=-1) @ prompts.T
        pooled = (60 * patch_logits).softmax(-1).amax(1)
        for name, scores in (("cls", (60 * cls_logits).softmax(-1)), ("patch", pooled)):
            if kind != "scene":
                result[f"{kind}_{name}_top1"] = (truth.gather(1, scores.argmax(1, keepdim=True))).float().mean().item()
            result[f"{kind}_{name}_map"] = multilabel_average_precision(scores, truth, len(OBJECTS)).item() * 100
    model.train()
    return result


def export(model: CLIP, used: Tensor, config: dict, out: Path) -> None:
    """Write open_clip's local-dir format: float16 weights; words never seen in training have zero embeddings."""
    from safetensors.torch import save_file

    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    compact = state["token_embedding.weight"]
    full = torch.zeros(config["model_cfg"]["text_cfg"]["vocab_size"], compact.shape[1])
    full[used] = compact
    state["token_embedding.weight"] = full
    state.pop("attn_mask", None)
    out.mkdir(parents=True, exist_ok=True)
    half = {name: value.half().contiguous() for name, value in state.items()}
    save_file(half, str(out / "open_clip_model.safetensors.partial"))
    os.replace(out / "open_clip_model.safetensors.partial", out / "open_clip_model.safetensors")
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def start_from(model: CLIP, used: Tensor, exported: Path) -> None:
    """Take over exported weights, such as the package's own, to train them further on any machine."""
    from safetensors.torch import load_file

    state = {name: value.float() for name, value in load_file(str(exported / "open_clip_model.safetensors")).items()}
    state["token_embedding.weight"] = state["token_embedding.weight"][used]
    state["visual.positional_embedding"] = resized_positions(
        state["visual.positional_embedding"], model.visual.grid_size
    )
    model.load_state_dict(state, strict=False)  # attn_mask is no weight


def resized_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Positional embeddings (1 + M) x D of a square grid, for another grid; [CLS]'s stays as it is."""
    side = math.isqrt(len(positions) - 1)
    if (side, side) == tuple(grid):
        return positions
    image = positions[1:].T.reshape(1, -1, side, side)
    resized = F.interpolate(image, size=grid, mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], resized[0].flatten(1).T])


def stage(progress: float) -> tuple[float, ...]:
    return [chances for start, chances in CURRICULUM if start <= progress][-1]


def learning_rate(step: int, progress: float, warmup: int = 300) -> float:
    """Share of the peak: linear warm-up, constant, then linear decay to a hundredth over the last third."""
    return min(1.0, step / warmup) * max(0.01, min(1.0, (1.0 - progress) / 0.35))


def build_optimisers(model: CLIP, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the transformer blocks (three times the rate), AdamW for everything else."""
    blocks = {n: p for n, p in model.named_parameters() if "resblocks" in n and p.ndim == 2}
    rest = [(n, p) for n, p in model.named_parameters() if n not in blocks]
    decay = [p for n, p in rest if p.ndim >= 2 and "embedding" not in n]
    plain = [p for n, p in rest if p.ndim < 2 or "embedding" in n]
    groups = [{"params": decay, "weight_decay": 0.05, "peak": lr}, {"params": plain, "weight_decay": 0.0, "peak": lr}]
    muon = torch.optim.Muon(
        [{"params": list(blocks.values()), "peak": 3 * lr}],
        lr=3 * lr,
        weight_decay=0.05,
        adjust_lr_fn="match_rms_adamw",
    )
    return [muon, torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000, help="length of the run, in images")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shards", type=Path, default=Path(".work/shards"))
    parser.add_argument("--validation", type=Path, default=Path(".work/validation"))
    parser.add_argument("--run", type=Path, default=Path(".work/run"))
    parser.add_argument("--save-every", type=int, default=25_600)
    parser.add_argument("--init", type=Path, help="exported weights to begin with, such as src/piaa/assets/embedded")
    parser.add_argument("--first-stage", type=float, default=0.0, help="share of the curriculum already behind (0..1)")
    parser.add_argument("--locality", type=float, default=3.0, help="weight of the patches' far attention in the loss")
    parser.add_argument("--radius", type=int, default=1, help="how many patches away is still near")
    parser.add_argument("--forget", type=float, default=0.5, help="share of images whose [CLS] forgets")
    parser.add_argument("--image-size", type=int, help="side in pixels, for a first run on smaller images")
    parser.add_argument("--no-compile", action="store_true")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    config = json.loads((HERE / "config.json").read_text())
    if arguments.image_size:
        config["model_cfg"]["vision_cfg"]["image_size"] = arguments.image_size
    arguments.run.mkdir(parents=True, exist_ok=True)
    model, used = build_model(config, arguments.seed)
    text = Text(used, config["model_cfg"]["text_cfg"]["context_length"])
    optimisers = build_optimisers(model, arguments.lr)
    if arguments.init:
        start_from(model, used, arguments.init)
    seen = resume(arguments.run, model, optimisers)
    shards = Shards(arguments.shards)
    local = LocalTower(model.visual, arguments.radius)
    tower = local if arguments.no_compile else torch.compile(local)

    def prepare(step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels, tokens and which pairs have the same caption, as a function of the step alone."""
        rng = np.random.default_rng((arguments.seed, step))
        chances = stage(max(step * arguments.batch / arguments.images, arguments.first_stage))
        pixels, captions = shards.batch(arguments.batch, chances, rng)
        numbers = torch.tensor([captions.index(line) for line in captions])
        same = (numbers[:, None] == numbers[None, :]).float()
        return augment(normalise(pixels, config), rng), text(captions), same

    ahead, upcoming = ThreadPoolExecutor(1), None
    begin, losses = time.time(), []
    while seen < arguments.images:
        step, progress = seen // arguments.batch, seen / arguments.images
        for group in (group for optimiser in optimisers for group in optimiser.param_groups):
            group["lr"] = group["peak"] * learning_rate(step, progress)
        pixels, tokens, same = upcoming.result() if upcoming else prepare(step)
        upcoming = ahead.submit(prepare, step + 1)
        torch.manual_seed(arguments.seed * 1_000_003 + step)
        embeddings, far = tower(pixels, torch.rand(len(pixels)) < arguments.forget)
        image = F.normalize(embeddings, dim=-1)
        contrastive = clip_loss(image, encode_text(model, tokens), model.logit_scale.exp(), same)
        loss = contrastive + arguments.locality * far
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        losses.append((contrastive.item(), far.item()))
        seen += arguments.batch
        if seen % arguments.save_every < arguments.batch or seen >= arguments.images:
            means = np.mean(losses, axis=0)
            row = {"images": seen, "loss": means[0], "far": means[1], "scale": model.logit_scale.exp().item()}
            row |= validate(model, text, arguments.validation, config)
            row["seconds"] = round(time.time() - begin)
            losses = []
            save(arguments.run, model, optimisers, seen, row)
            export(model, used, config, arguments.run / "export")
            print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}), flush=True)


def save(run: Path, model: CLIP, optimisers: list[torch.optim.Optimizer], seen: int, row: dict) -> None:
    state = {"model": model.state_dict(), "optimisers": [o.state_dict() for o in optimisers], "seen": seen}
    torch.save(state, run / "checkpoint.partial")
    os.replace(run / "checkpoint.partial", run / "checkpoint.pt")
    with (run / "curve.jsonl").open("a") as curve:
        curve.write(json.dumps(row) + "\n")


def resume(run: Path, model: CLIP, optimisers: list[torch.optim.Optimizer]) -> int:
    """Continue from the checkpoint, if there is one; without optimiser states in it these begin anew."""
    path = run / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimiser, saved in zip(optimisers, state.get("optimisers", []), strict=False):
        optimiser.load_state_dict(saved)
    return int(state["seen"])


if __name__ == "__main__":
    main()
