"""Where a model comes from: the package, open_clip's tags, a directory, a checkpoint file, or a seed."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from piaa.errors import ModelError
from piaa.vision.front_ends import DEFAULT_FRONT_END
from piaa.vision.models.checkpoints import read_json, read_state_dict
from piaa.vision.models.hugging_face import is_hugging_face_clip, openai_layout, read_hugging_face_clip
from piaa.vision.models.openai import openai_config
from piaa.vision.models.torchscript import is_torchscript
from piaa.vision.quiet import quiet

EMBEDDED = "embedded"
EMBEDDED_DIR = Path(__file__).parents[2] / "assets" / "embedded"
LOCAL_PREFIX = "local-dir:"
HUB_PREFIX = "hf-hub:"
RANDOM = "random"
CONFIG_NAME = "open_clip_config.json"

THREE_WAYS = (
    "Three ways to get the weights: (1) run once with a network connection, and they stay in the cache; "
    "(2) bring a checkpoint file and name it: --model {name} --pretrained FILE; "
    "(3) bring a model directory (open_clip's or Hugging Face's): --model local-dir:DIR"
)


BRING = (
    "Run once with a network connection, and the model stays in the cache; "
    "or bring its folder: --model local-dir:FOLDER"
)


@dataclass(frozen=True)
class Source:
    """A model built, before it becomes a `LoadedModel`."""

    clip: Any
    preprocess: dict[str, Any]
    make_tokenizer: Callable[[], Any]
    front_end: str = DEFAULT_FRONT_END


def find_source(name: str, pretrained: str) -> Source:
    """Build the model that `name` and `pretrained` mean (see `piaa.vision.models.load_model`).

    Raises:
        ModelError: when it cannot be found or read; the message says what can be done.
    """
    with _quiet():
        if name == EMBEDDED:
            return _embedded(pretrained)
        directory = _directory(name)
        if directory is not None:
            _refuse_pretrained(name, pretrained)
            return _from_directory(directory)
        if name.startswith(HUB_PREFIX):
            _refuse_pretrained(name, pretrained)
            return _from_hub(name)
        if Path(name).is_file():
            _refuse_pretrained(name, pretrained)
            return _from_bare_file(Path(name))
        return _from_open_clip_name(name, pretrained)


def from_anywhere(name: str, pretrained: str) -> tuple[str, str]:
    """Name and pretrained with absolute paths, so that they name the same files from any folder.

    A name that is found through PIAA_MODELS_DIR stays as it is: that variable says where it is on each machine.
    """
    if name.startswith(LOCAL_PREFIX):
        return f"{LOCAL_PREFIX}{_absolute(name[len(LOCAL_PREFIX) :])}", pretrained
    path = Path(name)
    if name != EMBEDDED and (path.is_file() or (path.is_dir() and holds_a_model(path))):
        return _absolute(name), pretrained
    return name, _absolute(pretrained) if pretrained and Path(pretrained).expanduser().is_file() else pretrained


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def models_dirs() -> list[Path]:
    """Folders that hold model directories by name: those in the environment variable PIAA_MODELS_DIR."""
    named = os.environ.get("PIAA_MODELS_DIR", "")
    return [path for path in map(Path, filter(None, named.split(os.pathsep))) if path.is_dir()]


def _directory(name: str) -> Path | None:
    if name.startswith(LOCAL_PREFIX):
        path = Path(name[len(LOCAL_PREFIX) :]).expanduser()
        if not path.is_dir():
            raise ModelError(f"{path}: no such directory; {LOCAL_PREFIX} needs one that holds a model")
        return path
    candidates = [Path(name), *(folder / name for folder in models_dirs())]
    return next((path for path in candidates if path.is_dir() and holds_a_model(path)), None)


def holds_a_model(path: Path) -> bool:
    """Whether a directory looks like a model of open_clip or of Hugging Face."""
    return (path / CONFIG_NAME).is_file() or (path / "config.json").is_file()


def _refuse_pretrained(name: str, pretrained: str) -> None:
    if pretrained:
        raise ModelError(f"model {name!r} brings its own weights; leave out --pretrained {pretrained}")


def _embedded(pretrained: str) -> Source:
    _refuse_pretrained(EMBEDDED, pretrained)
    if not (EMBEDDED_DIR / CONFIG_NAME).is_file():
        raise ModelError(
            f"the embedded model is missing from this installation ({EMBEDDED_DIR}); install piaa again, "
            "or name another with --model"
        )
    return _from_directory(EMBEDDED_DIR)


def _from_directory(directory: Path) -> Source:
    import open_clip

    if is_hugging_face_clip(directory):
        described, weights = read_hugging_face_clip(directory)
        clip = _load_exactly(_build(described["model_cfg"]), weights, directory)
        return Source(clip, described["preprocess_cfg"], _clip_tokenizer(clip))
    config_path = directory / CONFIG_NAME
    config = read_json(config_path)
    if "model_cfg" not in config:
        raise ModelError(f"{config_path}: has no 'model_cfg'; it is not an open_clip model")
    where = f"{LOCAL_PREFIX}{directory}"
    clip = _create(f"{directory}", where, require_pretrained=True)
    front_end = config.get("piaa", {}).get("front_end", DEFAULT_FRONT_END)
    tokenizer = functools.partial(_tokenizer, functools.partial(open_clip.get_tokenizer, where), where)
    return Source(clip, _preprocessing(clip), tokenizer, front_end)


def _from_hub(name: str) -> Source:
    """A model repository of the Hugging Face hub in open_clip's form, from the hub or from its cache."""
    import open_clip
    from huggingface_hub import try_to_load_from_cache

    repository = name[len(HUB_PREFIX) :]
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise ModelError(f"{name}: write {HUB_PREFIX}ORGANISATION/NAME, such as hf-hub:timm/ViT-B-16-SigLIP2")
    if not isinstance(try_to_load_from_cache(repository, CONFIG_NAME), str) and _no_network():
        raise ModelError(f"{name}: not in the cache of this machine, and the hub cannot be reached. " + BRING)
    clip = _create(name, name, require_pretrained=True)
    tokenizer = functools.partial(_tokenizer, functools.partial(open_clip.get_tokenizer, name), name)
    return Source(clip, _preprocessing(clip), tokenizer)


def _from_bare_file(path: Path) -> Source:
    weights = read_state_dict(path)
    if any(key.startswith("vision_model.") for key in weights):
        raise ModelError(f"{path}: Hugging Face weights; name the directory that holds their config.json too")
    if not is_torchscript(path):
        raise ModelError(
            f"{path}: weights alone do not say their architecture; name it: --model ViT-B-16 --pretrained {path}"
        )
    clip = _load_exactly(_build(openai_config(weights, path)), weights, path)
    return Source(clip, {}, _clip_tokenizer(clip))


def _from_open_clip_name(name: str, pretrained: str) -> Source:
    import open_clip

    known = name.replace("/", "-")
    if known not in open_clip.list_models():
        if Path(name).is_dir():
            held = sorted(path.name for path in Path(name).iterdir())[:5]
            raise ModelError(
                f"{name}: this folder holds no model: it needs {CONFIG_NAME} (open_clip) or config.json (Hugging "
                f"Face), and has {', '.join(held) or 'nothing'}"
            )
        raise ModelError(
            f"no model is called {name!r}, and no file or directory either; `piaa models` lists what there is"
        )
    tags = open_clip.list_pretrained_tags_by_model(known)
    if not pretrained:
        raise ModelError(
            f"model {name!r} needs --pretrained: one of its tags ({', '.join(tags) or 'it has none'}), "
            f"or a checkpoint file"
        )
    path = Path(pretrained).expanduser()
    if pretrained.partition(":")[0] == RANDOM:
        clip = _random(known, pretrained)
    elif path.is_file():
        clip = _with_checkpoint(known, path)
    elif open_clip.get_pretrained_cfg(known, pretrained):
        clip = _with_tag(known, pretrained)
    else:
        raise ModelError(
            f"model {name!r} has no weights called {pretrained!r}, and no such file exists; "
            f"its tags are: {', '.join(tags) or 'none'}"
        )
    tag = pretrained if pretrained in tags else tags[0] if tags else ""
    return Source(
        clip,
        _preprocessing(clip) | preprocessing_of(known, tag),
        functools.partial(_tokenizer, functools.partial(open_clip.get_tokenizer, known), known),
    )


def preprocessing_of(name: str, tag: str) -> dict[str, Any]:
    """What open_clip says of the pixels that weights want; empty without a tag.

    A checkpoint file says nothing of it, so it gets that of its model's first tag.
    """
    import open_clip

    config = open_clip.get_pretrained_cfg(name, tag) if tag else {}
    return {key: config[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in config}


def _with_tag(name: str, tag: str) -> Any:
    import open_clip

    if not is_cached(name, tag) and _no_network():
        raise _not_here(name, tag)
    quick_gelu = bool(open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False))
    return _create(name, name, pretrained=tag, quick_gelu=quick_gelu)


def _with_checkpoint(name: str, path: Path) -> Any:
    from open_clip.factory import load_checkpoint

    if is_torchscript(path):  # OpenAI's own: QuickGELU whatever the name says
        clip = _create(name, name, load_weights=False, quick_gelu=True)
        return _load_exactly(clip, read_state_dict(path), path)
    weights = read_state_dict(path)
    if any(key.startswith("vision_model.") for key in weights):
        return _load_exactly(_create(name, name, load_weights=False), openai_layout(weights), path)
    clip = _create(name, name, load_weights=False)
    try:
        load_checkpoint(clip, str(path), strict=True, weights_only=True)
    except Exception as error:
        raise ModelError(f"{path}: its weights do not fit {name}: {_short(error)}") from error
    return clip


def _random(name: str, pretrained: str) -> Any:
    seed = pretrained.partition(":")[2] or "0"
    if not seed.isdecimal():
        raise ModelError(f"--pretrained {pretrained}: write random or random:SEED, the seed a whole number")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seed))
        return _create(name, name, load_weights=False)


def _create(shown: str, name: str, **options: Any) -> Any:
    """open_clip's model in float32 on the CPU, with none of its own downloads of single towers."""
    import open_clip

    options = {"pretrained_image": False, "pretrained_text": False, "weights_only": True} | options
    try:
        return open_clip.create_model(name, **options).eval()
    except Exception as error:
        if _is_missing_package(error):
            raise ModelError(f"model {shown} needs a package that is not installed: {_short(error)}") from error
        if isinstance(error, pickle.UnpicklingError):
            raise ModelError(
                f"model {shown}: its checkpoint holds more than weights, or is damaged; such a file can run code and "
                "is refused. Convert it to safetensors where you trust it"
            ) from error
        if options.get("pretrained") and "ownload" in str(error):
            raise _not_here(shown, options["pretrained"]) from error
        raise ModelError(f"cannot load model {shown}: {_short(error)}") from error


def _not_here(name: str, tag: str) -> ModelError:
    return ModelError(
        f"the weights {tag!r} of {name} are not on this machine and cannot be downloaded. "
        + THREE_WAYS.format(name=name)
    )


def _no_network() -> bool:
    """Whether the hub's name does not even resolve, which spares the downloader's minute of retries."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return True
    if urllib.request.getproxies():
        return False
    try:
        socket.getaddrinfo(urllib.parse.urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return True
    return False


def is_cached(name: str, tag: str) -> bool:
    """Whether the weights of open_clip's model `name` and tag are in a cache of this machine."""
    import open_clip
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    config = open_clip.get_pretrained_cfg(name, tag)
    repository, _, file = config.get("hf_hub", "").rpartition("/")
    if repository:
        from huggingface_hub import try_to_load_from_cache

        safe = f"{file.rpartition('.')[0]}.safetensors"
        names = [file, safe] if file else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
        return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)
    url = config.get("url", "")
    return bool(url) and (Path("~/.cache/clip").expanduser() / url.rpartition("/")[2]).is_file()


def _build(config: dict[str, Any]) -> Any:
    from open_clip.model import CLIP

    return CLIP(**config).eval()


def _load_exactly(clip: Any, weights: dict[str, torch.Tensor], path: Path) -> Any:
    from open_clip.model import convert_to_custom_text_state_dict

    if hasattr(clip, "text"):
        weights = convert_to_custom_text_state_dict(weights)
    if "logit_scale" in weights:
        weights["logit_scale"] = weights["logit_scale"].reshape(clip.logit_scale.shape)
    try:
        clip.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{path}: its weights do not fit the model: {_short(error)}") from error
    return clip


def _preprocessing(clip: Any) -> dict[str, Any]:
    return dict(getattr(clip.visual, "preprocess_cfg", {}))


def _clip_tokenizer(clip: Any) -> Callable[[], Any]:
    def make() -> Any:
        from open_clip import SimpleTokenizer

        return SimpleTokenizer(context_length=clip.context_length)

    return make


def _tokenizer(make: Callable[[], Any], name: str) -> Any:
    try:
        return make()
    except Exception as error:
        raise ModelError(f"the tokenizer of {name} cannot be had: {_short(error)}") from error


def _is_missing_package(error: BaseException) -> bool:
    return isinstance(error, ImportError) or "pip install" in str(error)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + " ..."


def _quiet() -> contextlib.AbstractContextManager[None]:
    """open_clip reports through the root logger and warnings what is no news here."""
    return quiet("root", "huggingface_hub")
