"""What the service allows: plain values, checked once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from piaa.errors import InputError
from piaa.inputs.images import MAX_PIXELS

KEY_VARIABLE = "PIAA_API_KEY"
BODIES = 8
"""Request bodies of the greatest size that are held at a time; many more small ones fit into the same memory."""
CONNECTIONS = 4000
"""Open connections; above that each further request is answered 503 at once."""


@dataclass(frozen=True)
class Settings:
    """The limits of a service.

    Attributes:
        max_bytes: of one request's body.
        max_pixels: width x height of one image.
        max_images: in one request.
        queue: images that are being decoded, waiting or in the model, of all requests together.
        timeout: seconds for one request, its transfer included.
        workers: threads that decode.
        api_key: what clients must send as `Authorization: Bearer KEY`; None asks for nothing.

    Raises:
        InputError: for a limit that lets nothing through.
    """

    max_bytes: int = 32 * 2**20
    max_pixels: int = MAX_PIXELS
    max_images: int = 64
    queue: int = 256
    timeout: float = 60.0
    workers: int = 2
    api_key: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pixels", "max_images", "queue", "timeout", "workers"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} = {getattr(self, name)}: nothing would be served; give a number above 0")
        if self.max_images > self.queue:
            raise InputError(
                f"{self.max_images} images a request do not fit into a queue of {self.queue}; give a longer queue"
            )

    @property
    def max_bodies(self) -> int:
        """Bytes of request bodies that are held at a time."""
        return BODIES * self.max_bytes


def read_key(file: Path | None) -> str | None:
    """The API key from a file, else from the environment variable PIAA_API_KEY, else None.

    Raises:
        InputError: when the file cannot be read, or what is named holds no key.
    """
    if file is not None:
        try:
            key = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: the API key cannot be read: {error}") from error
        source = str(file)
    elif KEY_VARIABLE in os.environ:
        key, source = os.environ[KEY_VARIABLE].strip(), KEY_VARIABLE
    else:
        return None
    if not key or not key.isascii() or any(c.isspace() for c in key):
        raise InputError(f"{source}: an API key is one line of ASCII characters without spaces")
    return key
