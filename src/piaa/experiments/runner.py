"""Runs an experiment over data sets: one job after the other, each kept as soon as it is done, none run twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from piaa.datasets import Dataset
from piaa.engine import Setup
from piaa.experiments.features import FeatureStore
from piaa.experiments.job import Job, recipe_for
from piaa.experiments.kinds import KINDS, LINE_BY_LINE
from piaa.experiments.results import Results, Row
from piaa.experiments.spec import Run, Spec
from piaa.jobs import Progress
from piaa.setups import one_size, size_of
from piaa.vision.front_ends import get_front_end
from piaa.vision.models import LoadedModel, load_model
from piaa.vision.runtimes import parse_engine

Stage = Callable[[str], Progress]


@dataclass(frozen=True)
class Place:
    """Where and how experiments run.

    Attributes:
        results: folder of the rows.
        features: folder of the stored embeddings.
        device: `auto`, `cpu`, `cuda`, `mps`.
        precision: `auto`, `fp32`, `bf16`, `fp16`.
        image_size: side in pixels; None is the size that the model was trained for, the paper's.
        resize: `shortest`, `squash`, `pad`; None is the model's own.
        batch_size: images encoded together, 0 for what the memory holds; no result depends on it.
        workers: threads that decode.
        verify: compare the checksums of stored embeddings before they are used.
        engine: what runs the encoder; None is the quality's own, which is `eager` but for `fast`.
        quality: `fast` or `standard` in the place of the paper's size; None is the paper's.
    """

    results: Path
    features: Path
    device: str = "auto"
    precision: str = "auto"
    image_size: int | None = None
    resize: str | None = None
    batch_size: int = 0
    workers: int = 2
    verify: bool = False
    engine: str | None = None
    quality: str | None = None

    @property
    def runs_by(self) -> str:
        """The engine."""
        return self.engine or one_size(self.quality).engine


def jobs(spec: Spec, datasets: Sequence[Dataset], place: Place, stage: Stage | None = None) -> Iterator[Job]:
    """The jobs of an experiment, model by model, so that each model is loaded once.

    Raises:
        ModelError, InputError: for a model, front-end or recipe that does not exist, before anything is run.
    """
    for run in spec.runs:
        get_front_end(run.front_end)
        recipe_for(run.recipe, datasets[0].name)
    store = FeatureStore(place.features, place.workers, place.verify)
    runs = sorted(spec.runs, key=lambda run: [r.setup for r in spec.runs].index(run.setup))
    loaded: tuple[tuple[str, str], LoadedModel] | None = None
    for setup_key, group in groupby(runs, key=lambda run: run.setup):
        lines = tuple(group)
        if loaded is None or loaded[0] != setup_key[:2]:
            loaded = (setup_key[:2], _load(lines[0], place))
        for dataset in datasets:
            setup = _setup(loaded[1], lines[0], place)
            progress = stage(f"{spec.name} {dataset.name} {lines[0].model} {lines[0].front_end}") if stage else None
            for own in [(line,) for line in lines] if spec.kind in LINE_BY_LINE else [lines]:
                yield Job(spec, own, dataset, setup, store, place.results, progress)


def reproduce(
    spec: Spec, datasets: Sequence[Dataset], place: Place, stage: Stage | None = None, again: bool = False
) -> list[Row]:
    """Measure an experiment; what is in the results already is not measured again.

    Args:
        spec: the experiment.
        datasets: to measure on.
        place: where and how.
        stage: called with the name of a job, gives its progress callback.
        again: measure what is there already once more.

    Returns:
        The new rows, which are in `place.results` too.
    """
    results = Results(place.results)
    finished = set() if again else results.finished()
    new: list[Row] = []
    for job in jobs(spec, datasets, place, stage):
        if job.key in finished:
            continue
        rows = KINDS[spec.kind](job)
        results.append(rows)
        new += rows
    return new


def _load(run: Run, place: Place) -> LoadedModel:
    parse_engine(place.runs_by).check_installed()
    return load_model(run.model, run.pretrained or None, device=place.device, precision=place.precision)


def _setup(model: LoadedModel, run: Run, place: Place) -> Setup:
    size = place.image_size or size_of(model, one_size(place.quality).image_size)
    preprocess = model.preprocess(size, place.resize)
    return Setup(model, run.front_end, preprocess, place.batch_size, place.runs_by)
