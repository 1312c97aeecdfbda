"""Names on the hub, and its errors in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from piaa.errors import ClassifierError, PiaaError

PREFIX = "hf-hub:"
CLASSIFIER_NAME = "classifier.safetensors"
"""The file of a repository that holds the classifier; the hub knows its kind by the ending."""

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@([A-Za-z0-9][A-Za-z0-9._/-]{{0,199}}))?")
_UNREACHED = (
    "not in the cache of this machine, and the hub cannot be reached (no network, or HF_HUB_OFFLINE is set); "
    "run once with a network, or bring the file and name it"
)
_REASONS = (
    ("GatedRepoError", "its owner asks for consent: accept the terms on its page, then log in with `hf auth login`"),
    (
        "RepositoryNotFoundError",
        "there is no such repository, or you may not see it; check the name, and log in with "
        "`hf auth login` or HF_TOKEN where it is private",
    ),
    ("RevisionNotFoundError", "the repository has no such revision"),
    ("OfflineModeIsEnabled", _UNREACHED),
    ("LocalEntryNotFoundError", _UNREACHED),
    ("EntryNotFoundError", f"the repository holds no {CLASSIFIER_NAME}, so it is no classifier that piaa pushed"),
    ("LocalTokenNotFoundError", "this needs a login: `hf auth login`, or HF_TOKEN"),
)
"""Errors of huggingface_hub by name, the narrower ones first."""
_NETWORKS = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"}


@dataclass(frozen=True)
class HubName:
    """A repository, and which state of it.

    Attributes:
        repository: `OWNER/NAME`.
        revision: branch, tag or commit; None is the newest.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")


def parse_hub_name(name: str) -> HubName:
    """`hf-hub:OWNER/NAME` or `hf-hub:OWNER/NAME@REVISION`, with or without the prefix.

    Raises:
        ClassifierError: it is something else.
    """
    found = _NAME.fullmatch(name.removeprefix(PREFIX))
    if found is None or ".." in name:
        raise ClassifierError(f"{name}: no name on the hub; write {PREFIX}OWNER/NAME, or {PREFIX}OWNER/NAME@REVISION")
    return HubName(found[1], found[2])


@contextmanager
def plain_errors(name: HubName, kind: type[PiaaError] = ClassifierError) -> Iterator[None]:
    """What goes wrong with the hub inside becomes an error of the given kind that says what to do."""
    try:
        yield
    except PiaaError:
        raise
    except Exception as error:
        reason = reason_of(error)
        if reason is None:
            raise
        raise kind(f"{name}: {reason}") from error


def reason_of(error: BaseException) -> str | None:
    """What an error of huggingface_hub, or of the network below it, means; None for any other error."""
    from huggingface_hub import errors

    for name, text in _REASONS:
        kind = getattr(errors, name, None)
        if kind is not None and isinstance(error, kind):
            return text
    if isinstance(error, errors.HfHubHTTPError):
        return _by_status(error)
    if type(error).__module__.partition(".")[0] in _NETWORKS or isinstance(error, ConnectionError):
        return f"the hub cannot be reached: {_short(error)}"
    return None


def _by_status(error: BaseException) -> str:
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status == 401:
        return "the hub asks who you are: log in with `hf auth login`, or set HF_TOKEN"
    if status == 403:
        return "no permission: you may not do this there with the token you are logged in with"
    if status == 429 or status >= 500:
        return f"the hub is busy or out of order (status {status}); try again later"
    return f"the hub refuses: {_short(error)}"


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."
