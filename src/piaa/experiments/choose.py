"""What a user named becomes data sets and specifications."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from piaa.datasets import Dataset, open_dataset
from piaa.errors import InputError
from piaa.experiments.spec import Spec, read_spec, spec_names
from piaa.jobs import Progress
from piaa.vision.front_ends import DEFAULT_FRONT_END
from piaa.vision.models import EMBEDDED
from piaa.vision.models.sources import find_source

NAMES = {"VOC07": "voc2007", "VOC12": "voc2012", "COCO": "coco2014", "COCO2017": "coco2017", "NUS": "nus-wide"}
"""The paper's name to that of `piaa.datasets`."""
SCENES = "scenes"
DEFAULT_SCENES = 2000


def choose_datasets(
    names: Sequence[str],
    root: Path | None,
    scenes_root: Path,
    seed: int,
    images: int = 0,
    stage: Callable[[str], Progress] | None = None,
) -> list[Dataset]:
    """Open the data sets, each under the name that the paper gives it.

    Args:
        names: the paper's, or `scenes`.
        root: folder of the official trees; None: the environment variable PIAA_DATA_DIR.
        scenes_root: where scenes are drawn.
        seed: of the scenes.
        images: the first so many of each split alone; 0: all of them.
        stage: called with a name, gives a progress callback.

    Raises:
        InputError: a name that is none, a tree that is not there.
    """
    chosen = []
    for name in (given.strip() for given in names):
        if name == SCENES:
            count = images or DEFAULT_SCENES
            folder = scenes_root / f"seed-{seed}-{count}"
            drawn = open_dataset(SCENES, folder, seed=seed, unlabelled=count, test=count)
            chosen.append(replace(drawn, seed=seed))
        elif name.upper() in NAMES:
            opened = open_dataset(NAMES[name.upper()], root)
            chosen.append(replace(opened, name=name.upper()))
        else:
            raise InputError(f"no data set is called {name!r}; choose among: {SCENES}, {', '.join(NAMES)}")
    return [_first(dataset, images) if images else dataset for dataset in chosen]


def more_seeds(
    spec: Spec,
    datasets: Sequence[Dataset],
    scenes_root: Path,
    images: int = 0,
    seeds: int = 0,
    stage: Callable[[str], Progress] | None = None,
) -> list[Dataset]:
    """The data sets of an experiment: scenes once for each of several seeds, counted up from the one that is there.

    Args:
        spec: the experiment; one that is repeated over seeds says how many (`seeds`), others have 1.
        datasets: those chosen.
        scenes_root: where scenes are drawn.
        images: as of `choose_datasets`.
        seeds: how many, in the place of what the experiment says; 0: as it says.
        stage: as of `choose_datasets`.
    """
    count = int(spec.options.get("seeds", 1))
    count = (seeds or count) if "seeds" in spec.options else 1
    found = []
    for dataset in datasets:
        found.append(dataset)
        if dataset.name == SCENES and dataset.seed is not None:
            for seed in range(dataset.seed + 1, dataset.seed + count):
                found += choose_datasets([SCENES], None, scenes_root, seed, images, stage)
    return found


def _first(dataset: Dataset, images: int) -> Dataset:
    return replace(dataset, unlabelled=dataset.unlabelled[:images], test=dataset.test[:images])


def choose_specs(
    names: Sequence[str],
    datasets: Sequence[Dataset],
    rows: Sequence[str],
    *,
    model: str | None = None,
    pretrained: str | None = None,
    recipe: str | None = None,
) -> list[Spec]:
    """Read the experiments (`all`: each of them) and put in what the user gave.

    On scenes the embedded model stands in for every backbone, unless a model or weights are named: no other
    model here knows what the scenes show. It uses its own front-end where the paper uses SC-CLIP throughout.

    Raises:
        InputError: an experiment or a line that does not exist.
    """
    if model is None and pretrained is None and any(dataset.name == SCENES for dataset in datasets):
        model, pretrained = EMBEDDED, ""
    elif model is not None and pretrained is None:
        pretrained = ""
    wanted = spec_names() if list(names) == ["all"] else list(dict.fromkeys(names))
    specs = [read_spec(name).only(list(rows)) for name in wanted]
    changed = [spec.changed(model=model, pretrained=pretrained, recipe=recipe) for spec in specs]
    return [_with_its_best_front_end(spec, model, pretrained) for spec in changed]


def _with_its_best_front_end(spec: Spec, model: str | None, pretrained: str | None) -> Spec:
    """Where the paper's best front-end is all that an experiment uses, a model that stands in uses its own best."""
    if model is None or {run.front_end for run in spec.runs} != {DEFAULT_FRONT_END}:
        return spec
    return spec.changed(front_end=find_source(model, pretrained or "").front_end)
