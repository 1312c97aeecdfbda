"""One model, however it came: the same tower, the same text, the same fingerprint."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from small_clip import CONFIG, MEAN, STD, TEXTS, Holder, hugging_face_config, hugging_face_weights

from piaa.errors import ModelError
from piaa.vision.encoder import Encoder
from piaa.vision.models import list_models, load_model, model_fingerprint, sources
from piaa.vocabulary.prototypes import text_prototypes

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def assert_is(model, clip):
    """The loaded model's image and text embeddings are the original's."""
    from open_clip import tokenize

    torch.testing.assert_close(Encoder(model.tower, "clip")(IMAGES).cls, clip.encode_image(IMAGES))
    torch.testing.assert_close(model.encode_text(TEXTS), clip.encode_text(tokenize(TEXTS, context_length=16)))
    assert model.fingerprint == model_fingerprint(clip.visual)
    assert (model.embed_dim, model.image_size, model.context) == (64, (64, 64), 16)


def test_open_clip_directory(clip, open_clip_dir):
    model = load_model(f"local-dir:{open_clip_dir}", device="cpu")
    assert_is(model, clip)
    assert (list(model.mean), list(model.std)) == (MEAN, STD)
    assert (model.resize, model.interpolation) == ("squash", "bilinear")
    assert load_model(str(open_clip_dir), device="cpu").fingerprint == model.fingerprint


def test_hugging_face_directory(clip, hugging_face_dir):
    model = load_model(f"local-dir:{hugging_face_dir}", device="cpu")
    assert_is(model, clip)
    assert (list(model.mean), list(model.std), model.resize) == (MEAN, STD, "shortest")


def test_hugging_face_shards(clip, hugging_face_dir):
    weights = load_file(hugging_face_dir / "model.safetensors")
    (hugging_face_dir / "model.safetensors").unlink()
    halves = {"a.safetensors": list(weights)[::2], "b.safetensors": list(weights)[1::2]}
    for name, keys in halves.items():
        save_file({key: weights[key] for key in keys}, hugging_face_dir / name)
    index = {"weight_map": {key: name for name, keys in halves.items() for key in keys}}
    (hugging_face_dir / "model.safetensors.index.json").write_text(json.dumps(index))
    assert_is(load_model(str(hugging_face_dir), device="cpu"), clip)


def test_openai_archive(clip, torchscript_file):
    assert_is(load_model(str(torchscript_file), device="cpu"), clip)


def test_openai_archives_of_something_else(tmp_path):
    for key, message in [
        ("visual.layer1.0.conv1.weight", "is a ResNet"),
        ("other.weight", "not a CLIP model"),
    ]:
        torch.jit.script(Holder({key: torch.ones(1)})).save(str(tmp_path / "other.pt"))
        refused(message, str(tmp_path / "other.pt"))


def test_embedded_is_the_default_and_comes_from_the_package(clip, open_clip_dir, monkeypatch):
    monkeypatch.setattr(sources, "EMBEDDED_DIR", open_clip_dir)
    model = load_model(device="cpu")
    assert model.name == "embedded"
    assert_is(model, clip)
    assert list_models()[0].name == "embedded"


def test_models_dir(clip, open_clip_dir, monkeypatch):
    monkeypatch.setenv("PIAA_MODELS_DIR", str(open_clip_dir.parent))
    assert_is(load_model(open_clip_dir.name, device="cpu"), clip)
    info = next(info for info in list_models() if info.name == open_clip_dir.name)
    assert (info.grid, info.width, info.embed_dim, info.unsupported) == ((4, 4), 128, 64, "")
    assert info.parameters == sum(weight.numel() for weight in clip.parameters())


@pytest.fixture
def known_name(clip, tmp_path, monkeypatch):
    """The small model registered with open_clip under a name, so that files can be loaded into it."""
    from open_clip import factory

    monkeypatch.setattr(factory, "_MODEL_CONFIGS", {**factory._MODEL_CONFIGS, "Small-16": CONFIG})
    return "Small-16"


@pytest.mark.parametrize("kind", ["safetensors", "state dict", "checkpoint", "archive", "hugging face"])
def test_checkpoint_files(clip, known_name, tmp_path, torchscript_file, kind):
    path = {"archive": torchscript_file}.get(kind, tmp_path / "weights.pt")
    if kind == "safetensors":
        path = tmp_path / "weights.safetensors"
        save_file(clip.state_dict(), path)
    elif kind == "state dict":
        torch.save(clip.state_dict(), path)
    elif kind == "checkpoint":  # as open_clip's training writes it
        state = {f"module.{key}": value for key, value in clip.state_dict().items()}
        torch.save({"epoch": 3, "name": "run", "state_dict": state}, path)
    elif kind == "hugging face":
        path = tmp_path / "model.safetensors"
        save_file(hugging_face_weights(clip), path)
    model = load_model(known_name, str(path), device="cpu")
    assert_is(model, clip)
    assert (model.name, model.pretrained) == (known_name, str(path))


def test_random_weights_are_seeded(known_name):
    first, again, other = (
        load_model(known_name, tag, device="cpu").fingerprint for tag in ("random", "random:0", "random:1")
    )
    assert first == again != other
    state = torch.get_rng_state()
    load_model(known_name, "random:3", device="cpu")
    assert torch.equal(state, torch.get_rng_state())


def test_precision_of_the_tower_alone(open_clip_dir):
    full, half = (load_model(str(open_clip_dir), device="cpu", precision=p) for p in ("fp32", "bf16"))
    assert (full.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    assert half.fingerprint == full.fingerprint
    torch.testing.assert_close(half.encode_text(TEXTS), full.encode_text(TEXTS))
    ours, exact = (Encoder(model.tower, "sclip")(IMAGES).patches for model in (half, full))
    assert 1e-4 < (ours - exact).norm() / exact.norm() < 0.03


def test_prototypes_and_preprocessing_of_a_loaded_model(open_clip_dir):
    from piaa.vocabulary.labels import parse_labels

    model = load_model(str(open_clip_dir), device="cpu")
    prototypes = text_prototypes(model, parse_labels(["cat: kitten", "dog"]), "ensemble")
    torch.testing.assert_close(prototypes.norm(dim=1), torch.ones(2))
    assert model.preprocess()(Image.new("RGB", (90, 70))).shape == (3, 64, 64)
    assert model.preprocess((32, 96), "pad").resize == "pad"


def test_a_text_that_is_cut_is_said(open_clip_dir):
    model = load_model(str(open_clip_dir), device="cpu")
    with pytest.warns(UserWarning, match=r"may be cut, such as 'b b"):
        model.encode_text(["a", "b " * 40])


def refused(message, *arguments, **options):
    with pytest.raises(ModelError, match=message):
        load_model(*arguments, device="cpu", **options)


def test_names_and_tags_that_do_not_exist(monkeypatch):
    refused("no model is called 'ViT-Z'", "ViT-Z")
    refused(r"needs --pretrained: one of its tags \(openai, .*or a checkpoint file", "ViT-B-32")
    refused(r"no weights called 'opennai', and no such file.*openai", "ViT-B-32", "opennai")
    refused("no such directory", "local-dir:/nowhere/at/all")
    refused("random:SEED", "ViT-B-32", "random:x")


def test_offline_says_the_three_ways_at_once(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(sources, "is_cached", lambda name, tag: False)
    refused(
        r"'openai' of ViT-B-32 are not on this machine.*\(1\) run once with a network.*"
        r"\(2\).*--model ViT-B-32 --pretrained FILE; \(3\).*local-dir:DIR",
        "ViT-B-32",
        "openai",
    )


def test_a_failing_download_says_the_three_ways_too(monkeypatch):
    from open_clip import factory

    def fail(*arguments, **options):
        raise OSError("the connection broke")

    monkeypatch.setattr(sources, "_no_network", lambda: False)
    monkeypatch.setattr(factory, "download_pretrained", fail)
    refused(r"cannot be downloaded.*\(1\).*\(2\).*\(3\)", "ViT-B-32", "laion400m_e31")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RN50", "ModifiedResNet"),
        ("coca_ViT-B-32", "attentional pooling"),
        ("roberta-ViT-B-32", "package that is not installed.*transformers"),
    ],
)
def test_towers_without_patches_are_named(name, message):
    refused(message, name, "random")


def test_embedded_missing_or_with_a_tag(monkeypatch, tmp_path, open_clip_dir):
    monkeypatch.setattr(sources, "EMBEDDED_DIR", tmp_path)
    refused("embedded model is missing from this installation", "embedded")
    monkeypatch.setattr(sources, "EMBEDDED_DIR", open_clip_dir)
    refused("brings its own weights", "embedded", "openai")


class Dangerous:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


def test_a_pickle_with_code_is_refused(known_name, tmp_path):
    path = tmp_path / "evil.pt"
    torch.save({"state_dict": Dangerous()}, path)
    refused(r"evil\.pt: holds more than weights.*refused", known_name, str(path))
    refused(r"evil\.pt: holds more than weights.*refused", str(path))


def test_damaged_files(known_name, tmp_path, open_clip_dir):
    whole = (open_clip_dir / "open_clip_model.safetensors").read_bytes()
    for name, content in [
        ("cut.safetensors", whole[: len(whole) // 2]),
        ("empty.safetensors", b""),
        ("text.pt", b"not a checkpoint"),
        ("zip.pt", b"PK\x03\x04 nothing"),
    ]:
        (tmp_path / name).write_bytes(content)
        refused(name, known_name, str(tmp_path / name))


def test_weights_of_another_model(known_name, clip, tmp_path):
    state = clip.state_dict()
    del state["visual.ln_post.weight"]
    save_file(state, tmp_path / "less.safetensors")
    refused(r"less\.safetensors: its weights do not fit Small-16", known_name, str(tmp_path / "less.safetensors"))
    torch.save({"a": 1}, tmp_path / "none.pt")
    refused("holds no state dict", known_name, str(tmp_path / "none.pt"))


def test_a_bare_file_that_does_not_say_its_architecture(clip, tmp_path):
    save_file(clip.state_dict(), tmp_path / "bare.safetensors")
    refused("do not say their architecture", str(tmp_path / "bare.safetensors"))


def test_a_directory_without_weights_is_not_filled_with_random_ones(open_clip_dir, tmp_path):
    (tmp_path / "open_clip_config.json").write_text((open_clip_dir / "open_clip_config.json").read_text())
    refused("cannot load model", f"local-dir:{tmp_path}")
    (tmp_path / "open_clip_config.json").write_text("{}")
    refused("has no 'model_cfg'", f"local-dir:{tmp_path}")
    (tmp_path / "open_clip_config.json").write_text("{")
    refused("cannot read it as JSON", f"local-dir:{tmp_path}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "siglip"}, "model_type 'siglip' is not supported"),
        ({"vision_config": {"hidden_act": "relu"}}, "activation 'relu'"),
        ({"text_config": {"vocab_size": 30000}}, "vocabulary of 30000"),
    ],
)
def test_hugging_face_directories_that_are_not_clip(hugging_face_dir, change, message):
    config = hugging_face_config()
    for key, value in change.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (hugging_face_dir / "config.json").write_text(json.dumps(config))
    refused(message, str(hugging_face_dir))


def test_hugging_face_weights_that_do_not_belong(hugging_face_dir, clip):
    weights = hugging_face_weights(clip)
    save_file({**weights, "extra.weight": torch.ones(1)}, hugging_face_dir / "model.safetensors")
    refused(r"'extra\.weight' has no place", str(hugging_face_dir))
    del weights["vision_model.encoder.layers.1.self_attn.k_proj.bias"]
    save_file(weights, hugging_face_dir / "model.safetensors")
    refused(r"k_proj.*missing", str(hugging_face_dir))
    (hugging_face_dir / "model.safetensors").unlink()
    refused(r"no model\.safetensors", str(hugging_face_dir))


def test_device_and_precision_are_checked():
    for options, message in [
        ({"device": "tpu9"}, "choose auto, cpu, cuda"),
        ({"device": "meta"}, "not on this machine"),
        ({"device": "cuda:99"}, "not on this machine"),
        ({"device": "cpu", "precision": "int8"}, "auto, fp32, bf16, fp16"),
    ]:
        with pytest.raises(ModelError, match=message):
            load_model("embedded", **options)


def test_the_fingerprint_sees_every_weight(clip):
    before = model_fingerprint(clip.visual)
    assert len(before) == 16
    with torch.no_grad():
        clip.visual.ln_post.bias[5] += 1e-3
        assert model_fingerprint(clip.visual) != before
        clip.visual.ln_post.bias[5] -= 1e-3


def test_importing_piaa_models_does_not_import_open_clip():
    code = "import sys, piaa.vision.models; sys.exit(any(m in sys.modules for m in ('open_clip', 'timm')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_directory_can_name_its_own_front_end(open_clip_dir, tmp_path):
    from piaa.recognizer import Recognizer

    assert load_model(str(open_clip_dir), device="cpu").front_end == "sc-clip"
    own = tmp_path / "own"
    shutil.copytree(open_clip_dir, own)
    config = json.loads((own / "open_clip_config.json").read_text())
    (own / "open_clip_config.json").write_text(json.dumps({**config, "piaa": {"front_end": "itaclip"}}))
    assert load_model(str(own), device="cpu").front_end == "itaclip"
    assert Recognizer(["cat", "dog"], model=str(own), device="cpu").learner().setup.front_end == "itaclip"
    named = Recognizer(["cat", "dog"], model=str(own), front_end="clip", device="cpu")
    assert named.learner().setup.front_end == "clip"


def test_the_default_input_is_a_third_larger_and_the_published_one_has_a_name(open_clip_dir):
    from piaa.errors import InputError
    from piaa.recognizer import Recognizer

    def size(value):
        return Recognizer(["cat", "dog"], model=str(open_clip_dir), image_size=value).learner().preprocess.image_size

    assert size(None) == (80, 80)  # 64 * 4 / 3, in patches of 16
    assert size("trained") == (64, 64)
    assert size(96) == (96, 96)
    assert size((32, 96)) == (32, 96)
    with pytest.raises(InputError, match="image size 'huge': give a number of pixels, or 'trained'"):
        size("huge")
