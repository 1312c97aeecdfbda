"""Weights fetched ahead of time, and the proof that they load without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from piaa.errors import InputError, ModelError
from piaa.hub.fetch import pull
from piaa.hub.names import CLASSIFIER_NAME, PREFIX, parse_hub_name, plain_errors
from piaa.vision.models import EMBEDDED, load_model

TRIAL = "a photo of a cat"


@dataclass(frozen=True)
class Downloaded:
    """What is on this machine now.

    Attributes:
        name: the model or classifier.
        places: folders or files, each with its size in bytes.
        model: what the classifier needs beside it, downloaded too; None for a model.
    """

    name: str
    places: tuple[tuple[Path, int], ...]
    model: Downloaded | None = None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(size for _, size in self.places) + (self.model.size if self.model else 0)


def download(name: str, pretrained: str | None = None) -> Downloaded:
    """Fetch a model, or a classifier with its model, so that it works without a network afterwards.

    That it does is tried: it is loaded again, and embeds a text, with the hub switched off.

    Args:
        name: an open_clip name, `hf-hub:OWNER/NAME` of a model in open_clip's form, or of a classifier.
        pretrained: tag of an open_clip name.

    Raises:
        InputError: there is nothing to download.
        ModelError, ClassifierError: it cannot be had, or does not load.
    """
    if name.startswith(PREFIX):
        if _holds_a_classifier(name):
            return _classifier(name)
    elif name == EMBEDDED or Path(name).exists() or name.startswith("local-dir:"):
        raise InputError(f"{name} is on this machine already: there is nothing to download")
    elif pretrained is None or pretrained.partition(":")[0] == "random" or Path(pretrained).exists():
        load_model(name, pretrained, device="cpu")  # says what there is to choose from
        raise InputError(f"{name}: {pretrained} is no tag of weights, so there is nothing to download")
    load_model(name, pretrained, device="cpu").encode_text([TRIAL])
    with offline():
        try:
            load_model(name, pretrained, device="cpu").encode_text([TRIAL])
        except ModelError as error:
            raise ModelError(f"{name} was downloaded, but does not load without a network: {error}") from error
    return Downloaded(" ".join(filter(None, (name, pretrained))), tuple(_places(name, pretrained)))


@contextmanager
def offline() -> Iterator[None]:
    """Inside, huggingface_hub sends nothing over the network."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _holds_a_classifier(name: str) -> bool:
    """Whether a repository has a classifier file.

    Raises:
        ModelError: there is no such repository, no permission or no network.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    wanted = parse_hub_name(name)
    if isinstance(try_to_load_from_cache(wanted.repository, CLASSIFIER_NAME, revision=wanted.revision), str):
        return True
    with plain_errors(wanted, ModelError):
        api = HfApi(library_name="piaa")
        api.repo_info(wanted.repository, revision=wanted.revision)
        return bool(api.file_exists(wanted.repository, CLASSIFIER_NAME, revision=wanted.revision))


def _classifier(name: str) -> Downloaded:
    from piaa.classifier import Classifier

    file = pull(name)
    settings = Classifier.load(file).settings
    model, pretrained = str(settings["model"]), settings.get("pretrained") or None
    needs = None if model == EMBEDDED or Path(model).exists() else download(model, pretrained)
    return Downloaded(name, ((file, file.stat().st_size),), needs)


def _places(name: str, pretrained: str | None) -> Iterator[tuple[Path, int]]:
    """The folders of the hub's cache, and files beside them, that a model was loaded from."""
    from huggingface_hub import constants

    for repository in _repositories(name, pretrained):
        folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
        if folder.is_dir():
            blobs = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
            yield folder, sum(path.stat().st_size for path in blobs)
    if not name.startswith(PREFIX):
        import open_clip

        url = open_clip.get_pretrained_cfg(name.replace("/", "-"), pretrained).get("url", "")
        file = Path("~/.cache/clip").expanduser() / url.rpartition("/")[2]
        if url and file.is_file():
            yield file, file.stat().st_size


def _repositories(name: str, pretrained: str | None) -> list[str]:
    """The repositories of the weights and of the tokenizer."""
    import open_clip

    if name.startswith(PREFIX):
        found = [parse_hub_name(name).repository]
        config = open_clip.get_model_config(name) or {}
    else:
        known = name.replace("/", "-")
        found = [open_clip.get_pretrained_cfg(known, pretrained).get("hf_hub", "").rpartition("/")[0]]
        config = open_clip.get_model_config(known) or {}
    found.append(str(config.get("text_cfg", {}).get("hf_tokenizer_name", "")))
    return [each for each in dict.fromkeys(found) if each.count("/") == 1]
