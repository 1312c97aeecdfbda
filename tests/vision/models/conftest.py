"""A small CLIP with random weights, as a directory of open_clip and of Hugging Face, and as files."""

import json

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from small_clip import CONFIG, MEAN, STD, Holder, hugging_face_config, hugging_face_weights


@pytest.fixture(scope="session")
def clip():
    torch.manual_seed(0)
    model = open_clip.CLIP(**CONFIG).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model


@pytest.fixture(scope="session")
def open_clip_dir(clip, tmp_path_factory):
    path = tmp_path_factory.mktemp("open_clip")
    preprocess = {"mean": MEAN, "std": STD, "resize_mode": "squash", "interpolation": "bilinear"}
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess}))
    save_file(clip.state_dict(), path / "open_clip_model.safetensors")
    return path


@pytest.fixture
def hugging_face_dir(clip, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(hugging_face_config()))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))
    save_file(hugging_face_weights(clip), tmp_path / "model.safetensors")
    return tmp_path


@pytest.fixture
def torchscript_file(clip, tmp_path):
    state = {key: value.clone() for key, value in clip.state_dict().items()}
    state |= {"input_resolution": torch.tensor(64), "context_length": torch.tensor(16)}
    state |= {"vocab_size": torch.tensor(49408)}
    path = tmp_path / "openai.pt"
    torch.jit.script(Holder(state)).save(str(path))
    return path
