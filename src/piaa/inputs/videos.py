"""Frames of videos through PyAV (`pip install av`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from piaa.errors import ImageError
from piaa.inputs.images import printable
from piaa.inputs.item import Item, Lazy, Stamp, failed, stamp_of


@dataclass(frozen=True)
class Frame(Lazy):
    """The frame that is shown at a time of a video; decoded from the key frame before it."""

    path: Path
    seconds: float

    def fetch(self) -> Any:
        """A PIL image."""
        import av

        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            start, base = stream.start_time or 0, stream.time_base
            wanted = start + (int(self.seconds / base) if base else 0)
            container.seek(wanted, stream=stream, backward=True)
            chosen = None
            for frame in container.decode(stream):
                if chosen is not None and frame.pts is not None and frame.pts > wanted:
                    break
                chosen = frame
            if chosen is None:
                raise ImageError(printable(self.path), f"no frame at {self.seconds:.3f} s")
            picture = Image.fromarray(chosen.to_ndarray(format="rgb24"))
            turn = getattr(chosen, "rotation", 0)  # degrees counter-clockwise, from the container
            return picture.rotate(turn, expand=True) if turn else picture

    def stamp(self) -> Stamp | None:
        """That of the file."""
        return stamp_of(self.path)


def frames_of(path: Path, count: int, max_pixels: int) -> Iterator[Item]:
    """Evenly spaced frames: the middle of each of `count` equal parts, with ids `CLIP.mp4!3.200s`.

    A video that cannot be opened is one item whose `load` says why; one of unknown length gives its first frame.

    Args:
        path: of the file.
        count: how many; fewer where the video has fewer.
        max_pixels: of the items.
    """
    name = printable(path)
    try:
        import av
    except ImportError as error:
        yield failed(name, f"videos need PyAV: pip install av ({error})")
        return
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                yield failed(name, "no picture in this video")
                return
            stream = container.streams.video[0]
            seconds = (
                float((stream.duration or 0) * (stream.time_base or 0)) or (container.duration or 0) / av.time_base
            )
            count = min(count, stream.frames) if stream.frames else count
    except (av.FFmpegError, OSError, ValueError) as error:
        yield failed(name, f"not a readable video: {error}")
        return
    for number in range(count if seconds > 0 else 1):
        at = round((number + 0.5) * seconds / count, 3)
        yield Item(f"{name}!{at:.3f}s", Frame(path, at), max_pixels=max_pixels)
