"""True architectures with random weights: taken apart here, they are the library's own models.

ViT-B/16 and EVA02-B-16 in full; the others with all their kinds of blocks, but fewer of them.
"""

from functools import partial
from pathlib import Path
from unittest.mock import patch

import open_clip
import pytest
import timm
import torch
from torch import nn

from piaa.errors import ModelError
from piaa.vision.encoder import Encoder
from piaa.vision.front_ends import FRONT_ENDS
from piaa.vision.models import LoadedModel, load_model, self_test, sources
from piaa.vision.towers import build_tower

FULL = ["ViT-B-16", "EVA02-B-16"]
SHALLOW = [
    "ViT-L-14",
    "EVA02-L-14",
    "ViT-B-32-SigLIP2-256",
    "MobileCLIP-B",
    "vit_medium_patch16_gap_256",
]


class ImageOnly(nn.Module):
    """What the self-test needs of an open_clip model, without the text tower."""

    def __init__(self, visual):
        super().__init__()
        self.visual = visual

    def encode_image(self, images):
        return self.visual(images)


def build_visual(name, layers=None):
    """The image tower of a model, its weights random and none of them at the value where it does nothing."""
    from open_clip.model import _build_vision_tower

    config = open_clip.get_model_config(name)
    vision = dict(config["vision_cfg"])
    create = timm.create_model
    if layers is not None and "timm_model_name" in vision:
        create = partial(create, depth=layers)
    elif layers is not None:
        vision["layers"] = layers
    torch.manual_seed(0)
    with patch.object(timm, "create_model", create):
        visual = _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))
    with torch.no_grad():
        for weight in visual.parameters():
            weight.add_((0.05 if weight.ndim < 2 else 0.01) * torch.randn_like(weight))
    return visual.eval()


def loaded(visual):
    tower = build_tower(visual)
    return LoadedModel(
        name="test", pretrained="", tower=tower, mean=(0.5,) * 3, std=(0.5,) * 3, image_size=tower.image_size,
        resize="shortest", interpolation="bicubic", context=77, fingerprint="", clip=ImageOnly(visual),
        make_tokenizer=lambda: None,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    """Beside other work on the machine, threads that wait for each other take longer than one alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def assert_passed(report):
    assert report.passed, [(check.name, check.value, check.limit) for check in report.checks if not check.passed]


@pytest.mark.parametrize("name", FULL)
def test_full_models(name):
    visual = build_visual(name)
    report = self_test(loaded(visual))
    assert_passed(report)
    assert len(report.checks) == 4 + 2 * len(FRONT_ENDS)
    assert loaded(visual).tower.depth == 12


@pytest.mark.parametrize("name", SHALLOW)
def test_shallow_models(name):
    assert_passed(self_test(loaded(build_visual(name, layers=2))))


def test_facts_of_the_four_backbones():
    facts = {
        "ViT-B-16": (12, 768, 12, (16, 16), 1, 512),
        "ViT-L-14": (24, 1024, 16, (14, 14), 1, 768),
        "EVA02-B-16": (12, 768, 12, (16, 16), 1, 512),
        "EVA02-L-14": (24, 1024, 16, (14, 14), 1, 768),
        "ViT-B-16-SigLIP": (12, 768, 12, (16, 16), 0, 768),
    }
    for name, expected in facts.items():
        with torch.device("meta"):
            tower = build_tower(open_clip.create_model(name, load_weights=False, device="meta").visual)
        assert expected == (
            tower.depth, tower.width, tower.heads, tower.patch_size, tower.prefix_tokens, tower.embed_dim
        )  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("name", ["EVA02-B-16", "ViT-B-16-SigLIP", "PE-Core-T-16-384", "MobileCLIP-B"])
def test_timm_towers_at_another_size(name):
    """Non-square, larger one way and smaller the other: as timm's own set_input_size makes them."""
    visual = build_visual(name, layers=2)
    images = torch.randn(2, 3, 160, 256, generator=torch.Generator().manual_seed(1))
    encoded = {front_end: Encoder(build_tower(visual), front_end)(images) for front_end in FRONT_ENDS}
    visual.trunk.set_input_size(img_size=(160, 256))
    torch.testing.assert_close(encoded["clip"].cls, visual(images), rtol=1e-4, atol=1e-5)
    for front_end, result in encoded.items():
        assert result.patches.shape[1] == 160, front_end
        assert result.patches.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("name", ["EVA02-B-16", "EVA02-L-14", "ViT-B-16-SigLIP"])
def test_parts_of_qkv_are_those_of_the_whole(name):
    tower = build_tower(build_visual(name, layers=2))
    tokens, grid = tower.embed(torch.randn(2, 3, *tower.image_size, generator=torch.Generator().manual_seed(1)))
    q, k, v = tower.qkv(1, tokens, grid)
    for whole, part in zip((k, v), tower.keys_values(1, tokens, grid), strict=True):
        torch.testing.assert_close(part, whole)
    if tower.prefix_tokens:
        expected = nn.functional.scaled_dot_product_attention(q, k, v)[:, :, :1]
        torch.testing.assert_close(tower.cls_attention(1, tokens, grid), expected)
    one, other = v, k
    halves = tower.attention_out(1, one) + tower.attention_out(1, other)
    affine = torch.allclose(2 * tower.attention_out(1, 0.5 * (one + other)), halves, rtol=1e-3, atol=1e-4)
    assert affine == tower.affine_out


@torch.no_grad()
def test_rotary_positions_enter_queries_and_keys_of_patches_alone():
    """SC-CLIP passes patches without [CLS]; they must turn as they do beside it."""
    tower = build_tower(build_visual("EVA02-B-16", layers=2))
    tokens, grid = tower.embed(torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1)))
    whole, alone = tower.qkv(0, tokens, grid), tower.qkv(0, tokens[:, 1:], grid)
    for with_cls, without in zip(whole, alone, strict=True):
        torch.testing.assert_close(with_cls[:, :, 1:], without)
    turned = tower.qkv(0, tokens[:, 1:].roll(1, dims=1), grid)
    assert not torch.allclose(turned[0].roll(-1, dims=2), alone[0], atol=1e-3)  # q depends on the place
    torch.testing.assert_close(turned[2].roll(-1, dims=2), alone[2])  # v does not


class SmallEva(nn.Module):
    """open_clip's wrapping of a timm EVA of any options, small."""

    def __init__(self, **options):
        super().__init__()
        from timm.models.eva import Eva

        torch.manual_seed(0)
        options = {"global_pool": "token", **options}
        self.trunk = Eva(img_size=64, patch_size=16, embed_dim=48, depth=3, num_heads=4, num_classes=24, **options)
        self.head = nn.Sequential()
        with torch.no_grad():
            for weight in self.trunk.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
        self.eval()

    def forward(self, images):
        return self.head(self.trunk(images))


EVA_OPTIONS = {
    "fused-bias": {"qkv_fused": True, "use_rot_pos_emb": True},
    "no-bias": {"qkv_bias": False},
    "sub-norm": {"qkv_fused": False, "swiglu_mlp": True, "scale_mlp": True, "scale_attn_inner": True},
    "layer-scale": {"init_values": 0.3},
    "attention-layer-scale": {"init_values": 0.3, "attn_only_layer_scale": True},
    "post-norm": {"use_post_norm": True},
    "qk-norm": {"qk_norm": True, "use_rot_pos_emb": True, "rope_rotate_half": True},
    "rope-attention": {"attn_type": "rope", "use_rot_pos_emb": True, "rope_grid_indexing": "xy"},
    "reference-grid": {"use_rot_pos_emb": True, "ref_feat_shape": (7, 7), "no_embed_class": True},
    "no-positions": {"use_abs_pos_emb": False, "use_rot_pos_emb": True},
    "attention-pool": {"attn_type": "rope", "use_rot_pos_emb": True, "global_pool": "map"},
    "average-pool": {"global_pool": "avg"},
    "pre-norm": {"use_pre_transformer_norm": True, "use_fc_norm": True, "use_post_transformer_norm": False},
}


def small_eva(**options):
    visual = SmallEva(**options)
    from open_clip.timm_model import TimmModel

    visual.__class__ = type("SmallTimmModel", (SmallEva, TimmModel), {})
    return visual


@torch.no_grad()
@pytest.mark.parametrize("options", EVA_OPTIONS)
def test_eva_options(options):
    visual = small_eva(**EVA_OPTIONS[options])
    assert_passed(self_test(loaded(visual)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_reg_tokens": 2}, "register tokens"),
        ({"use_rot_pos_emb": True, "rope_type": "dinov3"}, "RotaryEmbeddingDinoV3"),
        ({"attn_type": "rope", "num_kv_heads": 2, "qkv_fused": False}, "grouped"),
    ],
)
def test_eva_options_that_are_not_supported_are_named(options, message):
    with pytest.raises(ModelError, match=message):
        build_tower(small_eva(**options))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("convnext_base", "ConvNeXt"), ("MobileCLIP-S1", "FastVit"), ("RN50", "ModifiedResNet")],
)
def test_towers_that_are_no_vision_transformers_are_named(name, kind):
    with torch.device("meta"):
        visual = open_clip.create_model(name, load_weights=False, device="meta").visual
    with pytest.raises(ModelError, match=f"type {kind} are not supported"):
        build_tower(visual)


@torch.no_grad()
def test_the_self_test_can_fail():
    """One per cent too much, or queries in the wrong order: each is found."""
    visual = small_eva(use_rot_pos_emb=True)
    for fault in ("attention_out", "qkv", "project"):
        model = loaded(visual)
        right = getattr(model.tower, fault)

        def wrong(*arguments, right=right, fault=fault):
            result = right(*arguments)
            return (result[0].flip(2), *result[1:]) if fault == "qkv" else 1.01 * result

        object.__setattr__(model.tower, fault, wrong)
        report = self_test(model)
        assert not report.passed, fault
        assert not report.checks[0].passed or not report.checks[1].passed


def test_the_self_test_needs_full_precision():
    model = loaded(build_visual("ViT-B-32", layers=1))
    model.tower.to(torch.bfloat16)
    with pytest.raises(ModelError, match="needs the model in fp32"):
        self_test(model)


def test_siglip_preprocessing_follows_its_own_weights():
    own = sources.preprocessing_of("ViT-B-16-SigLIP2", "webli")
    assert (own["mean"], own["std"], own["resize_mode"]) == ((0.5,) * 3, (0.5,) * 3, "squash")
    assert sources.preprocessing_of("ViT-B-16", "openai")["resize_mode"] == "shortest"
    assert sources.preprocessing_of("ViT-B-16", "") == {}


REAL = [
    path
    for folder in (*sources.models_dirs(), Path(__file__).parents[3] / "shared" / "models")
    if folder.is_dir()
    for path in sorted(folder.iterdir())
    if sources.holds_a_model(path)
]


@pytest.mark.skipif(not REAL, reason="no model directories in PIAA_MODELS_DIR or ../shared/models")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_weights(path):
    assert_passed(self_test(load_model(str(path), device="cpu", precision="fp32")))
