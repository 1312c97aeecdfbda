"""A classifier file from the hub, or from the cache of this machine."""

from __future__ import annotations

from pathlib import Path

from piaa.errors import ClassifierError
from piaa.hub.names import CLASSIFIER_NAME, parse_hub_name, plain_errors

MOST_BYTES = 2**30
"""A classifier of 100,000 classes and width 1,024 is smaller; whoever offers more offers something else."""


def pull(name: str, *, revision: str | None = None, token: str | None = None) -> Path:
    """The classifier file of a repository, on this machine.

    It is downloaded once and kept in the hub's cache (HF_HOME, HF_HUB_CACHE). A file that is there already is not
    downloaded again; without a network, or with HF_HUB_OFFLINE, the one in the cache is taken. Nothing else of the
    repository is read.

    Args:
        name: `hf-hub:OWNER/NAME` or `hf-hub:OWNER/NAME@REVISION`.
        revision: branch, tag or commit, in the place of that in the name.
        token: of the hub; None is that of `hf auth login` or HF_TOKEN.

    Raises:
        ClassifierError: no such repository, no permission, no network, no classifier in it, or one that is larger
            than `MOST_BYTES`.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    wanted = parse_hub_name(name)
    state = revision or wanted.revision
    with plain_errors(wanted):
        try:
            url = hf_hub_url(wanted.repository, CLASSIFIER_NAME, revision=state)
            size = get_hf_file_metadata(url, token=token).size
        except Exception:  # the download says what is wrong, or takes what the cache has
            size = None
        if size is not None and size > MOST_BYTES:
            raise ClassifierError(f"{wanted}: {size:,} bytes, more than the {MOST_BYTES:,} that a classifier may have")
        return Path(hf_hub_download(wanted.repository, CLASSIFIER_NAME, revision=state, token=token))
