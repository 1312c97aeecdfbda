"""A classifier to the hub: the file, its card and its labels in one commit."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from piaa.classifier import Classifier
from piaa.errors import ClassifierError
from piaa.hub.card import model_card
from piaa.hub.names import CLASSIFIER_NAME, parse_hub_name, plain_errors

LOCAL = "local-dir:"


@dataclass(frozen=True)
class Pushed:
    """What became of a push.

    Attributes:
        name: `hf-hub:OWNER/NAME`, for `--classifier`.
        commit: of the hub.
        notes: what the user should know.
    """

    name: str
    commit: str
    notes: tuple[str, ...] = ()


def push(
    classifier: Classifier,
    name: str,
    *,
    private: bool | None = None,
    license: str | None = None,
    numbers: Mapping[str, Any] | None = None,
    message: str = "Classifier of piaa",
    token: str | None = None,
) -> Pushed:
    """Upload a classifier with a card that is written from its settings and its report.

    The repository is made where it is not there; in one that is there the files of these names are replaced. Absolute
    paths of the model are cut down to its last part, since they would tell strangers about this machine.

    Args:
        classifier: what was learnt.
        name: `hf-hub:OWNER/NAME`, the prefix may be left out.
        private: of a new repository; None is the owner's own setting.
        license: of the classifier, as the hub names licences; None says nothing.
        numbers: what `piaa eval --out` wrote, for the card.
        message: of the commit.
        token: of the hub; None is that of `hf auth login` or HF_TOKEN.

    Raises:
        ClassifierError: no permission, no network, or not a name.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    wanted = parse_hub_name(name)
    if wanted.revision:
        raise ClassifierError(
            f"{name}: a push makes a new revision, so none can be named; leave out @{wanted.revision}"
        )
    shown, notes = _without_places(classifier)
    card = model_card(shown, wanted.repository, license=license, numbers=numbers)
    labels = "".join(f"{_line(label.name, label.synonyms)}\n" for label in shown.labels)
    api = HfApi(token=token, library_name="piaa")
    with tempfile.TemporaryDirectory() as folder, plain_errors(wanted):
        file = Path(folder) / CLASSIFIER_NAME
        shown.save(file)
        content: dict[str, Path | bytes] = {
            CLASSIFIER_NAME: file,
            "README.md": card.encode(),
            "labels.txt": labels.encode(),
        }
        api.create_repo(wanted.repository, private=private, exist_ok=True)
        commit = api.create_commit(
            wanted.repository,
            [CommitOperationAdd(path_in_repo=place, path_or_fileobj=each) for place, each in content.items()],
            commit_message=message,
        )
    return Pushed(str(wanted), str(commit.oid), notes)


def _without_places(classifier: Classifier) -> tuple[Classifier, tuple[str, ...]]:
    """The same without absolute paths, and what to tell of it."""
    changed = {}
    for key in ("model", "pretrained"):
        value = str(classifier.settings.get(key) or "")
        path = value.removeprefix(LOCAL)
        if os.path.isabs(path):
            changed[key] = Path(path).name
    if not changed:
        return classifier, ()
    note = (
        f"the model is on this machine alone ({', '.join(changed.values())}): whoever uses the classifier must have it "
        "and name it with --model"
    )
    return replace(classifier, settings={**classifier.settings, **changed}), (note,)


def _line(name: str, synonyms: tuple[str, ...]) -> str:
    """A line of a label file; a name with a comma ends with a colon."""
    if synonyms:
        return f"{name}: {', '.join(synonyms)}"
    return f"{name}:" if "," in name else name
