"""Ablations: each changed step is the method's own where it must be, and the table judges as it says."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.errors import InputError
from piaa.evaluation.metrics import compare, mean_average_precision
from piaa.experiments import changed_learning as changed
from piaa.experiments.ablation_table import HARMS, HELPS, NEITHER, ablation_lines, over_seeds
from piaa.experiments.ablations import Bench, ablations
from piaa.experiments.choose import choose_datasets
from piaa.experiments.job import Job
from piaa.experiments.results import Results, Row
from piaa.experiments.runner import Place, jobs
from piaa.experiments.spec import Run, Spec, read_spec
from piaa.experiments.variants import variant_of
from piaa.method import gaussian, pvcl
from piaa.method.aggregators import max_over_patches, mean_of_top, soft_maximum
from piaa.method.bank import Bank
from piaa.method.moments import Moments
from piaa.method.recipes import get_recipe

PAGE = Path(__file__).parents[2] / "benchmarks" / "ablations_page.py"
DEFAULT = get_recipe("fixed-fusion")
SPEC = read_spec("ablations")
CHANGES = {run.row: run.change for run in SPEC.runs}
ELSEWHERE = {"sizes", "front_end", "templates", "bank_share"}  # other embeddings; and 12 scenes fill no bank
ON_THE_SAME_EMBEDDINGS = {row: change for row, change in CHANGES.items() if change and not change.keys() & ELSEWHERE}


def gauss(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def bank_rows() -> dict[str, Tensor]:
    """300 patches of 6 classes in 12 dimensions, with their text probabilities."""
    texts = F.normalize(gauss(6, 12), dim=1)
    patches = F.normalize(texts[torch.arange(300) % 6] + 0.4 * gauss(300, 12, seed=1), dim=1)
    bank = Bank(6, 40, 12)
    bank.update(patches, pvcl.text_probabilities(patches, texts, 10.0), torch.arange(600).view(300, 2))
    return {**bank.rows(), "all": patches, "texts": texts}


@pytest.fixture(scope="module")
def moments(bank_rows: dict[str, Tensor]) -> Moments:
    seen = Moments(12)
    seen.update(bank_rows["all"])
    return seen


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """The embedded model's plain patches of 12 + 12 scenes."""
    root = tmp_path_factory.mktemp("ablations")
    dataset = choose_datasets(["scenes"], None, root / "scenes", 3, 12)[0]
    spec = Spec("ablations", "", "ablations", "", (Run("default", "piaa", "embedded", "", "clip", "fixed-fusion"),))
    yield next(jobs(spec, [dataset], Place(root / "results", root / "features")))


@pytest.fixture(scope="module")
def baseline(job: Job) -> Tensor:
    return Bench(job).scores(variant_of({}, DEFAULT))


def test_the_baseline_is_the_method(job: Job, baseline: Tensor) -> None:
    assert torch.equal(baseline, job.scores["piaa"])


@pytest.mark.parametrize("row", ON_THE_SAME_EMBEDDINGS)
def test_every_change_changes_scores_and_no_order_of_classes_does(row: str, job: Job, baseline: Tensor) -> None:
    """The order decides the last bit of an entropy, and so, at the edge of a bank, a patch: hence the tolerance."""
    variant = variant_of(ON_THE_SAME_EMBEDDINGS[row], DEFAULT)
    scores = Bench(job).scores(variant)
    assert bool(scores.isfinite().all())
    assert not torch.allclose(scores, baseline, atol=1e-6)
    order = torch.randperm(len(job.classes), generator=torch.Generator().manual_seed(4))
    names = [job.dataset.label_names[i] for i in order]
    other = replace(job, dataset=replace(job.dataset, label_names=names))
    moved = (Bench(other).scores(variant) - scores[:, order]).abs()
    assert float(moved.mean()) < 0.01 * float(scores.std())


@pytest.mark.parametrize(
    "change",
    [
        {"share": 1.0 - 1e-7},
        {"gate": 1e-9},
        {"responsibility": 1e6},
        {"text": 1e-9},
        {"prior": 1e-9},
        {"smoothing": 1e-9},
    ],
    ids=str,
)
def test_a_change_that_goes_to_nothing_gives_the_method_back(
    change: dict[str, float], job: Job, baseline: Tensor
) -> None:
    """Through the changed code all the way, not through the default's."""
    variant = variant_of(change, DEFAULT)
    assert variant != variant_of({}, DEFAULT)
    assert torch.allclose(Bench(job).scores(variant), baseline, atol=1e-4 * float(baseline.max()))


def test_a_background_that_goes_to_nothing_is_none(job: Job, baseline: Tensor) -> None:
    bench = Bench(job)
    nothing, none = (bench.scores(variant_of({"background": amount}, DEFAULT)) for amount in (1e-30, 0.0))
    assert torch.allclose(nothing, none, atol=1e-4 * float(none.max()))
    assert not torch.allclose(none, baseline, atol=1e-6)


def test_the_mean_of_the_top_one_is_the_maximum() -> None:
    probabilities = gauss(3, 7, 5).softmax(dim=-1)
    assert torch.equal(mean_of_top(1)(probabilities), max_over_patches(probabilities))
    assert torch.allclose(mean_of_top(100)(probabilities), probabilities.mean(dim=1))
    assert torch.allclose(soft_maximum(1e5)(probabilities), probabilities.amax(dim=1), atol=1e-4)
    assert torch.allclose(soft_maximum(1e-3)(probabilities), probabilities.mean(dim=1), atol=1e-3)
    three = mean_of_top(3)(probabilities)
    assert torch.allclose(three, probabilities.sort(dim=1).values[:, -3:].mean(dim=1))


def test_smoothing_is_a_mean_over_neighbours_that_are_there() -> None:
    patches = gauss(2, 12, 5)
    unit = F.normalize(patches, dim=-1)
    assert torch.equal(changed.smooth(patches, (3, 4), 0.0), unit)
    corner = (unit[:, 1] + unit[:, 4] + unit[:, 5]) / 3
    assert torch.allclose(changed.smooth(patches, (3, 4), 0.3)[:, 0], 0.7 * unit[:, 0] + 0.3 * corner, atol=1e-6)
    flat = unit[:, :1].expand(2, 12, 5)
    assert torch.allclose(changed.smooth(flat, (3, 4), 0.7), flat, atol=1e-6)


def test_soft_membership_fills_more_banks_and_keeps_each_bound(bank_rows: dict[str, Tensor]) -> None:
    patches, places = bank_rows["all"], torch.arange(600).view(300, 2)
    given = pvcl.text_probabilities(patches, bank_rows["texts"], 10.0)
    hard, soft = Bank(6, 300, 12), Bank(6, 300, 12)
    hard.update(patches, given, places)
    changed.offer_softly(soft, patches, given, 0.3, places)
    members = given >= 0.3 * given.amax(dim=1, keepdim=True)
    assert soft.sizes.tolist() == members.sum(dim=0).tolist()
    assert int(soft.sizes.sum()) > int(hard.sizes.sum()) == 300
    small = Bank(6, 20, 12)
    changed.offer_softly(small, patches, given, 0.3, places)
    rows = small.rows()
    best = pvcl.entropy(given)[members[:, 2]].sort().values[:20]
    assert torch.allclose(rows["entropy"][rows["classes"] == 2], best)


def test_one_round_is_algorithm_1_and_a_second_is_not(bank_rows: dict[str, Tensor]) -> None:
    purify = lambda logits: pvcl.purify_by_margin(logits, 1.0)  # noqa: E731
    once, twice = (changed.learn_in_rounds(bank_rows, bank_rows["texts"], purify, rounds) for rounds in (1, 2))
    parts = (bank_rows[name] for name in ("patches", "classes", "confidence", "texts"))
    result = pvcl.learn_classifier(*parts)
    weight, bias = gaussian.linear_classifier(once.means, once.precision)
    assert torch.equal(weight, result.weight)
    assert torch.equal(bias, result.bias)
    assert not torch.allclose(twice.means, once.means)


def test_shares_of_purification(bank_rows: dict[str, Tensor]) -> None:
    logits = gauss(101, 4, seed=8)
    half = pvcl.purify_by_margin(logits, 1.0)
    assert torch.equal(pvcl.margin_purifier(0.5)(logits, 1.0).keep, half.keep)
    assert bool(pvcl.margin_purifier(1.0)(logits, 1.0).keep.all())
    quarter = pvcl.margin_purifier(0.25)(logits, 1.0).keep
    assert bool((half.keep | ~quarter).all())
    count = torch.bincount(half.assignment, minlength=4)
    assert torch.bincount(half.assignment[quarter], minlength=4).tolist() == [-(-int(n) // 4) for n in count]


def test_priors_that_are_uniform_change_nothing_and_others_move_the_bias() -> None:
    bias = gauss(4)
    assert torch.allclose(changed.with_priors(bias, torch.full((4,), 9), 1.0), bias, atol=1e-6)
    moved = changed.with_priors(bias, torch.tensor([0, 1, 3, 7]), 1.0) - bias
    assert torch.allclose(moved.diff(), torch.full((3,), 2.0).log(), atol=1e-5)


def test_standardised_logits_have_mean_0_and_deviation_1(bank_rows: dict[str, Tensor], moments: Moments) -> None:
    weight, bias = changed.standardised(gauss(4, 12, seed=5), gauss(4, seed=6), moments)
    logits = bank_rows["all"] @ weight.T + bias
    assert torch.allclose(logits.mean(dim=0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(logits.std(dim=0, correction=0), torch.ones(4), atol=1e-5)
    _, constant = changed.standardised(torch.zeros(2, 12), torch.tensor([3.0, -1.0]), moments)
    assert constant.tolist() == [0.0, 0.0]


def test_covariances_and_their_shrinkage(bank_rows: dict[str, Tensor], moments: Moments) -> None:
    patches = bank_rows["all"].double()
    total = changed.total_covariance(moments)
    assert torch.allclose(total, torch.cov(patches.T, correction=0), atol=1e-6)  # coordinates are rounded to 2^-21
    assert torch.equal(changed.precision_of(total, 300, None), gaussian.shrunk_precision(total, 300))
    own = changed.precision_of(total, 300, 12 / (299 + 12))  # the share that eq. 10 comes to
    eq_10 = gaussian.shrunk_precision(total, 300)
    assert torch.allclose(own / own.trace(), eq_10 / eq_10.trace(), atol=1e-12)
    sphere = changed.precision_of(total, 300, 1.0)
    assert torch.allclose(sphere, torch.eye(12).double() * sphere[0, 0])


def test_a_background_takes_what_no_class_wants(bank_rows: dict[str, Tensor], moments: Moments) -> None:
    purify = lambda logits: pvcl.purify_by_margin(logits, 1.0)  # noqa: E731
    gaussians = changed.learn_in_rounds(bank_rows, bank_rows["texts"], purify, 1)
    mean = moments.total / moments.count
    weight, bias = gaussian.with_background(gaussians.means, gaussians.precision, mean, 1.0)
    assert weight.shape == (7, 12)
    assert torch.equal(weight[:6], gaussian.linear_classifier(gaussians.means, gaussians.precision)[0])
    assert int((mean.float() @ weight.T + bias).argmax()) == 6
    assert int((gaussians.means[2] @ weight.T + bias).argmax()) == 2
    _, tenfold = gaussian.with_background(gaussians.means, gaussians.precision, mean, 10.0)
    assert float(torch.exp(tenfold - bias)[6]) == pytest.approx(10.0, rel=1e-3)


def test_rows_agree_with_compare(job: Job, baseline: Tensor) -> None:
    change = {"alpha": 0.3}
    own = replace(job, runs=(job.runs[0], replace(job.runs[0], row="less patches", change=change)))
    rows = {(row.row, row.metric): row for row in ablations(own)}
    scores = Bench(job).scores(variant_of(change, DEFAULT))
    against = compare(scores, baseline, job.labels, resamples=1000)
    found = rows["less patches", "difference"]
    assert (found.value, found.low, found.high) == pytest.approx(
        (100 * against.difference, 100 * against.low, 100 * against.high), abs=1e-4
    )
    assert rows["less patches", "p value"].value == pytest.approx(against.p_value)
    assert rows["less patches", "mAP"].value == pytest.approx(
        100 * mean_average_precision(scores, job.labels), abs=1e-4
    )
    assert (rows["default", "difference"].value, rows["default", "p value"].value) == (0, 1)
    assert {row.parameter for row in rows.values()} == {"seed=3"}


def test_what_cannot_be_changed_is_named() -> None:
    with pytest.raises(InputError, match="cannot change colour; it can change: aggregator, alpha"):
        variant_of({"colour": 1}, DEFAULT)
    with pytest.raises(InputError, match="published-voc has fixed scales"):
        variant_of({"inference": 1.0}, get_recipe("published-voc"))
    assert len({repr(sorted(change.items())) for change in CHANGES.values()}) == len(CHANGES)


def test_one_seed_has_its_own_interval_and_seeds_that_disagree_widen_it() -> None:
    one = over_seeds([1.0], [0.2], [1.8])
    assert (one.value, one.low, one.high) == pytest.approx((1.0, 0.2, 1.8))
    assert one.p_value == pytest.approx(0.0143, abs=1e-3)
    four = over_seeds([1.0] * 4, [0.2] * 4, [1.8] * 4)
    assert (four.low, four.high) == pytest.approx((0.6, 1.4))
    torn = over_seeds([3.0, -1.0, 3.0, -1.0], [2.2, -1.8, 2.2, -1.8], [3.8, -0.2, 3.8, -0.2])
    assert torn.value == pytest.approx(1.0)
    assert torn.low < 0 < torn.high


def test_verdicts_count_how_many_were_tried() -> None:
    def rows(name: str, *differences: float) -> list[Row]:
        row = Row("ablations", name, "scenes", "embedded", "", "clip", "default", "piaa", "mAP", 40.0, 39.0, 41.0,
                  "", 9, 1.0, "a", "v", "c")  # fmt: skip
        both = []
        for seed, d in enumerate(differences):
            part = replace(row, parameter=f"seed={seed}", value=40 + d)
            both += [part, replace(part, metric="difference", value=d, low=d - 0.8, high=d + 0.8)]
        return both

    none = [row for number in range(19) for row in rows(f"idle {number}", 0.1)]
    found = {
        line.variant: line
        for line in ablation_lines(
            rows("default", 0, 0) + rows("good", 2, 2) + rows("bad", -2, -2) + rows("luck", 0.85) + none
        )
    }
    assert next(iter(found)) == "default"
    assert [found[name].verdict for name in ("good", "bad", "luck")] == [HELPS, HARMS, NEITHER]
    assert found["luck"].difference.low > 0  # an interval above 0, but one of 22 tried
    assert (found["good"].value, found["good"].better, found["good"].seeds) == (42.0, 2, 2)


def test_as_a_researcher_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [
        "default",
        "two image scales, 1 and 1.5",
        "prompt ensemble",
        "front-end ITACLIP",
        "two purification rounds",
    ]
    chosen = [word for line in lines for word in ("--rows", line)]
    for seed in (1, 2):
        arguments = ["reproduce", "ablations", "--datasets", "scenes", "--images", "30", "--seed", str(seed), *chosen]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    rows = Results(tmp_path / "results").read()
    assert len(rows) == 2 * 3 * len(lines)
    value = {(row.row, row.parameter, row.metric): row.value for row in rows}
    for row in rows:
        if row.metric == "difference":
            reached = value[row.row, row.parameter, "mAP"] - value["default", row.parameter, "mAP"]
            assert row.value == pytest.approx(reached, abs=1e-3)
            assert row.low <= row.value <= row.high
    assert {row.front_end for row in rows if row.row == "front-end ITACLIP"} == {"itaclip"}
    result = CliRunner().invoke(app, ["report", "results"])
    assert result.exit_code == 0, result.output
    markdown = (tmp_path / "results" / "report" / "report.md").read_text()
    found = {line.split(" | ")[0]: line for line in markdown.splitlines() if line.startswith("| **")}
    assert set(found) == {f"| **{line}**" for line in lines}
    mean = sum(value["prompt ensemble", f"seed={seed}", "mAP"] for seed in (1, 2)) / 2
    assert f"| scenes | {mean:.1f} |" in found["| **prompt ensemble**"]
    assert " of 2 |" in found["| **prompt ensemble**"]
    page = tmp_path / "page.md"
    page.write_text("# Before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n")
    monkeypatch.setattr("sys.argv", ["ablations_page.py", "results", str(page)])
    for _ in range(2):  # the second time it replaces its own table
        runpy.run_path(str(PAGE), run_name="__main__")
    text = page.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert text.count("| prompt ensemble |") == 1
    assert "Seeds: 1, 2." in text
