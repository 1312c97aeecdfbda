"""Pictures of the page: thumbnails, one large picture, heat maps; made when asked for, the last ones kept."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from PIL import Image

from piaa.inputs.items import Item
from piaa.methods import AnyScorer
from piaa.report.explain import heat_map, overlay

THUMBNAIL, LARGE = 224, 900
KEPT_BYTES = 64 * 2**20
_TURN = threading.Semaphore(2)  # so that a page of thumbnails leaves the machine usable


class Kept:
    """The pictures asked for last, by key, up to so many bytes; any number of threads may ask."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self._most, self._size, self._lock = most, 0, threading.Lock()
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The picture of a key, made if it is not there; errors of `make` pass through and nothing is kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with _TURN:
            picture = make()
        with self._lock:
            self._size += len(picture) - len(self._kept.pop(key, b""))
            self._kept[key] = picture
            while self._size > self._most:
                self._size -= len(self._kept.popitem(last=False)[1])
        return picture

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()
            self._size = 0


def webp(image: Image.Image, quality: int = 76) -> bytes:
    """A picture as the bytes of a WebP file."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=3)
    return buffer.getvalue()


def small(item: Item, side: int) -> bytes:
    """An image with its longer side at most `side` pixels.

    Raises:
        ImageError: it cannot be read.
    """
    image = item.load(side)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return webp(image)


def heat(item: Item, scorer: AnyScorer, class_index: int, side: int) -> bytes:
    """An image under the heat map p(c|patch) of one class, the brightest patch of the class at full heat.

    Raises:
        ImageError: it cannot be read.
    """
    image = item.load()
    maps, _ = scorer.patch_maps(image)
    left, top, right, bottom = scorer.preprocess.region(*image.size)
    width = image.width
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    scale = image.width / width
    region = (left * scale, top * scale, right * scale, bottom * scale)
    warm = heat_map(maps[class_index].numpy(), image.size, region)
    return webp(overlay(image, warm / (float(warm.max()) or 1.0), region=region))
