"""Time and memory of one model, in a process of its own: `python -m piaa.bench.one_model '{"name": ...}'`.

The result is one line of JSON on standard output. Only a fresh process has a clean memory baseline.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from piaa.bench import memory
from piaa.bench.machine import describe, finished, pin_threads
from piaa.errors import PiaaError
from piaa.vision.runtimes.timing import Spread, in_turns, ratio


def measure_model(
    name: str,
    pretrained: str | None = None,
    *,
    front_ends: list[str],
    batch_size: int,
    repeats: int,
    threads: int,
    device: str = "cpu",
) -> dict[str, Any]:
    """Parameters, grid, seconds an image of every front-end beside `encode_image`, memory beyond the imports.

    Raises:
        ModelError: when the model cannot be loaded or used.
    """
    import torch

    from piaa.bench import work
    from piaa.vision.encoder import Encoder

    pin_threads(threads)
    _import_all()
    memory.reset_high_water()
    baseline = memory.resident_mib()
    model = work.load_for_timing(name, pretrained, device)
    loaded, load_peak = memory.resident_mib() - baseline, memory.high_water_mib() - baseline
    tower = model.tower
    images = work.random_images(model, batch_size)

    @torch.no_grad()
    def bare() -> object:
        return model.clip.encode_image(images)

    cases = {"bare": finished(bare, device)}
    for front_end in front_ends:
        encoder = Encoder(tower, front_end)
        cases[front_end] = finished(lambda encoder=encoder: encoder(images), device)  # type: ignore[misc]
    memory.reset_high_water()
    times = in_turns(cases, repeats)
    peak = memory.high_water_mib() - baseline
    weights = _mib(model.clip.parameters()) + _mib(model.clip.buffers())
    return {
        "name": name,
        "pretrained": model.pretrained,
        "parameters": sum(p.numel() for p in model.clip.parameters()),
        "image_parameters": sum(p.numel() for p in model.clip.visual.parameters()),
        "image_size": list(tower.image_size),
        "grid": [side // patch for side, patch in zip(tower.image_size, tower.patch_size, strict=True)],
        "depth": tower.depth,
        "width": tower.width,
        "seconds_per_image": {
            case: Spread.of([value / batch_size for value in values]).as_dict() for case, values in times.items()
        },
        "rate_to_bare": {case: ratio(times["bare"], times[case]).as_dict() for case in front_ends},
        "memory_mib": {
            "baseline": baseline,
            "loaded": loaded,
            "loading_peak": load_peak,
            "peak": peak,
            "weights": weights,
            "image_weights": _mib(model.clip.visual.parameters()),
            "weights_share": weights / peak if peak > 0 else None,
        },
        "machine": describe(device),
    }


def _import_all() -> None:
    """What a model needs at all, and the libraries' own workspaces, so that they count as the baseline."""
    import open_clip
    import timm
    import torch

    from piaa.vision.towers import build_tower

    open_clip.list_models(), timm.list_models("vit_base_patch16_224")
    with contextlib.suppress(PiaaError):
        build_tower(None)
    torch.nn.functional.conv2d(torch.randn(1, 3, 32, 32), torch.randn(64, 3, 16, 16))
    torch.nn.functional.linear(torch.randn(64, 64), torch.randn(64, 64))


def _mib(tensors: Any) -> float:
    return float(sum(tensor.numel() * tensor.element_size() for tensor in tensors)) / memory.MIB


def main() -> None:
    """Read the arguments from the command line, print the result."""
    arguments = json.loads(sys.argv[1])
    try:
        result = measure_model(**arguments)
    except PiaaError as error:
        result = {"name": arguments["name"], "error": str(error)}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
