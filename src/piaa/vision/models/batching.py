"""How many images go through the tower at once: probed, and halved where they do not fit."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from piaa.errors import ModelError
from piaa.vision.encoder import Encoded, ImageEncoder

GPU_BATCH = 256
CPU_BATCH = 32
CPU_LAYER = 32 * 2**20
"""More brings a CPU no speed: neither images nor bytes of a layer. Pieces above 32 MiB are never kept by glibc."""
MEMORY_SHARE = 0.7
"""Of the free memory, what one batch may take."""


class BatchedEncoder:
    """An encoder that takes any number of images and runs as many at a time as fit.

    As an image's result does not depend on its batch, the split changes nothing but speed.

    Args:
        encoder: the encoder.
        batch_size: images at a time at most; 0 (automatic): `suggest_batch_size` at the first call.

    Attributes:
        current_size: images at a time now; it is halved for good when a batch does not fit. 0 before the
            first call where it is automatic.
    """

    def __init__(self, encoder: ImageEncoder, batch_size: int = 0) -> None:
        self.encoder = encoder
        self.batch_size = batch_size
        self.current_size = batch_size

    def __call__(self, images: Tensor) -> Encoded:
        """Encode `N x 3 x H x W`, N at least 1.

        Raises:
            ModelError: when a single image does not fit into memory.
            InputError: see `Encoder`.
        """
        if not self.current_size:
            self.current_size = suggest_batch_size(self.encoder, images)
        done: list[Encoded] = []
        start = 0
        while start < len(images):
            try:
                encoded = self.encoder(images[start : start + self.current_size])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(images, error)
                continue
            done.append(encoded)
            start += len(encoded.cls)
        if len(done) == 1:
            return done[0]
        cls, patches = torch.cat([part.cls for part in done]), torch.cat([part.patches for part in done])
        return Encoded(cls, patches, done[0].grid)

    def _shrink(self, images: Tensor, error: BaseException) -> None:
        size = min(self.current_size, len(images))
        if size == 1:
            height, width = images.shape[-2:]
            raise ModelError(
                f"a single image of {height} x {width} does not fit into the memory of "
                f"{self.encoder.tower.device}; choose a smaller --image-size, a smaller model or --device cpu"
            ) from error
        self.current_size = size // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is exhausted, of a GPU or of the machine."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def most_images(device: torch.device) -> int:
    """The largest batch size that `suggest_batch_size` gives on a device."""
    return GPU_BATCH if device.type == "cuda" else CPU_BATCH


def suggest_batch_size(encoder: ImageEncoder, images: Tensor) -> int:
    """A batch size for images of this size: what fits into 70% of the free memory, as a power of two.

    On a GPU one image is run to see what it takes; on a CPU it is reckoned from the sizes of the tokens and
    of the similarity maps, and no layer of the batch may be larger than `CPU_LAYER`.

    Args:
        encoder: the encoder.
        images: `N x 3 x H x W`, N at least 1; one of them is used.
    """
    device = encoder.tower.device
    if device.type == "cuda":
        per_image = _probed_bytes(encoder, images[:1])
        free = torch.cuda.mem_get_info(device)[0]
    else:
        per_image = _reckoned_bytes(encoder, images)
        free = _free_bytes()
    fitting = max(1, int(MEMORY_SHARE * free / max(per_image, 1)))
    if device.type != "cuda":
        fitting = max(1, min(fitting, CPU_LAYER // _widest_layer_bytes(encoder, images)))
    return min(most_images(device), 1 << (fitting.bit_length() - 1))


def _probed_bytes(encoder: ImageEncoder, image: Tensor) -> int:
    device = encoder.tower.device
    encoder(image)  # the libraries' own workspaces come with the first run
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    encoder(image.expand(4, -1, -1, -1))
    return (torch.cuda.max_memory_allocated(device) - before) // 4


def _reckoned_bytes(encoder: ImageEncoder, images: Tensor) -> int:
    tower = encoder.tower
    rows, columns = tower.grid_of(images)
    patches = rows * columns
    states = len(encoder.front_end.needs(tower.depth)) + 16  # those kept, and those a block makes on its way
    return 4 * (patches * tower.width * states + 6 * patches * patches + tower.heads * patches * patches)


def _widest_layer_bytes(encoder: ImageEncoder, images: Tensor) -> int:
    """Of the hidden layer of an MLP, which is four tokens wide in nearly every tower, for one image."""
    tower = encoder.tower
    rows, columns = tower.grid_of(images)
    return 4 * (rows * columns + tower.prefix_tokens) * 4 * tower.width


def _free_bytes() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not every system says
        return 2**31
