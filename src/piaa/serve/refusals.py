"""Why a request or an image gets no labels."""

from __future__ import annotations

from dataclasses import dataclass


class Refusal(Exception):
    """A whole request is refused.

    Args:
        status: of HTTP.
        code: one word for programs.
        reason: plain words for people.
        retry_after: seconds after which it may go better.
        close: whether the connection ends with the answer, since its body was not read.
    """

    def __init__(
        self, status: int, code: str, reason: str, retry_after: int | None = None, close: bool = False
    ) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason = status, code, reason
        self.retry_after, self.close = retry_after, close


@dataclass(frozen=True)
class Fault:
    """Why one image of a request has no labels.

    Attributes:
        code: `unreadable`, `too-many-pixels`, `not-base64`, or `failed`, which is the service's own fault.
        reason: plain words.
    """

    code: str
    reason: str
