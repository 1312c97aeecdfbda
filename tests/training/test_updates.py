"""Label updates against cases worked out by hand, and schedules against published values."""

from __future__ import annotations

import math

import pytest
import torch

from piaa.training import updates
from piaa.training.heads import Output
from piaa.training.objectives import Batch, game, masked_bce, wan
from piaa.training.regions import mean_tiles
from piaa.training.schedules import schedule_of
from piaa.training.spec import method_names, read_method
from piaa.training.teachers import together


def t(*rows: object) -> torch.Tensor:
    return torch.tensor(rows)


def test_role_begins_between_0_4_and_0_6_and_sure_where_it_saw() -> None:
    observed = torch.full((500, 3), -1, dtype=torch.int8)
    observed[0, 0], observed[1, 1] = 1, 0
    q = torch.sigmoid(updates.first_estimates(observed, torch.Generator().manual_seed(0)))
    assert float(q[0, 0]) == pytest.approx(0.995, abs=1e-6)
    assert float(q[1, 1]) == pytest.approx(0.005, abs=1e-6)
    free = q[observed == -1]
    assert 0.4 - 1e-6 <= float(free.min()) < 0.41
    assert 0.59 < float(free.max()) <= 0.6 + 1e-6


def test_large_losses_above_the_cut_are_corrected() -> None:
    labels = t([1.0, 0, 0], [0, 0, 0])
    each = t([9.0, 3, 1], [2, 5, 4])
    # six labels, half of them: the third greatest loss among zeros is 3 and is the cut; 5 and 4 exceed it
    assert updates.corrected(labels, each, 0.5).tolist() == [[1, 0, 0], [0, 1, 1]]
    assert updates.corrected(labels, each, 0.0).tolist() == labels.tolist()


def test_tiles_count_by_maximum_or_minimum() -> None:
    whole = t([0.2, 0.8])
    local = torch.tensor([[[0.1, 0.3], [0.6, 0.4]]])
    # class 0: 0.6 > 0.5, so (0.2 + 0.6) / 2; class 1: 0.4 is not, so (0.8 + 0.3) / 2
    torch.testing.assert_close(updates.tile_aggregate(whole, local, 0.5), t([0.4, 0.55]))


def test_an_observed_class_lowers_the_threshold_of_its_tiles() -> None:
    whole = t([0.2, 0.8], [0.9, 0.1])
    observed = torch.tensor([[1, -1], [1, -1]], dtype=torch.int8)
    threshold = updates.held_threshold(whole, observed, 0.5)
    torch.testing.assert_close(threshold, torch.tensor([[0.2], [0.5]]))
    local = torch.tensor([[[0.1, 0.3], [0.3, 0.4]], [[0.1, 0.3], [0.3, 0.4]]])
    # the first image's tiles reach 0.2 and count by their greatest; the second's do not reach 0.5
    expected = t([(0.2 + 0.3) / 2, (0.8 + 0.4) / 2], [(0.9 + 0.1) / 2, (0.1 + 0.3) / 2])
    torch.testing.assert_close(updates.tile_aggregate(whole, local, threshold), expected)
    torch.testing.assert_close(updates.tile_aggregate(whole, local, 0.0, greater=1.0)[0], torch.tensor([0.3, 0.8]))


def test_the_cut_is_exact_or_searched() -> None:
    p = torch.linspace(0, 1, 400)[torch.randperm(400, generator=torch.Generator().manual_seed(0))].reshape(100, 4)
    cut = updates.exact_cut(p, 1.0)
    assert int((p >= cut).sum()) == 100
    even = torch.full((7, 4), 0.5) * torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    # pairs of images; cuts 0.04, 0.08: three of four classes reach the second, which is within 3 +- 1 and the first not
    assert updates.searched_cut(even, 3.0, least=0.04, step=0.04, images=2) == pytest.approx(0.08)
    assert updates.searched_cut(even[:2], 3.0, least=0.04, step=0.04, images=2) == 0.04  # too few to look at


def test_top_pseudo_labels() -> None:
    scores, plain = t([0.9, 0.7, 0.6, 0.1, 0.2]), t([0.9, 0.7, 0.6, 0.05, 0.2])
    assert updates.top_pseudo(scores, 0.5, 2, plain, 0.2).tolist() == [[1, 1, 0, -1, 0]]
    assert updates.top_pseudo(scores, 0.8, 2, plain, 0.0).tolist() == [[1, 0, 0, 0, 0]]


def test_cdul_step_by_hand() -> None:
    y, p = t([0.5, 0.9]), t([0.8, 0.9])
    moved = updates.aligned(y, p)
    step = math.log(0.8 / 0.2) / math.sqrt(2 * math.pi)  # the density at its mean is 1 / sqrt(2 pi)
    assert float(moved[0, 0]) == pytest.approx(1 / (1 + math.exp(-step)), abs=1e-6)
    assert float(moved[0, 1]) == pytest.approx(0.9, abs=1e-6)  # it agrees with the network: nothing moves


def test_cdul_follows_the_gradient_of_the_divergence() -> None:
    y = t([0.3, 0.6, 0.95]).double().requires_grad_()
    p = t([0.5, 0.1, 0.99]).double()
    divergence = (y * (y / p).log() + (1 - y) * ((1 - y) / (1 - p)).log()).sum()
    (slope,) = torch.autograd.grad(divergence, y)
    by_gradient = torch.sigmoid(updates.logit(y.detach()) - updates.gaussian(y.detach()) * slope)
    torch.testing.assert_close(updates.aligned(y.detach(), p), by_gradient)


def test_game_step_is_gradient_descent_on_its_cost() -> None:
    latent = t([-2.0, 0.1, 3.0]).double().requires_grad_()
    p = t([0.2, 0.9, 0.4]).double()
    y = torch.sigmoid(latent)
    (slope,) = torch.autograd.grad((y * (1 - y) + 0.7 * (y - p) ** 2).sum(), latent)
    torch.testing.assert_close(updates.game_step(latent.detach(), p, 0.5, 0.7), latent.detach() - 0.5 * slope)


def test_debiasing_by_hand() -> None:
    scores = t([0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3])
    labels, bias, sure = updates.debiased(scores)
    assert bias.tolist() == pytest.approx([0.7, 0.5, 1.0])
    assert labels[0].tolist() == pytest.approx([1.0, 0.2, 0.1])  # 0.8 / 0.7 is held to 1
    assert sure.all()
    _, same, unsure = updates.debiased(torch.full((1, 9), 1 / 9))  # ln 9 = 2.2 nats
    assert not unsure.any()
    assert same.tolist() == [1.0] * 9


def test_moving_average_by_hand() -> None:
    moved = updates.moving_average(t([0.5, 0.5]), t([0.4, 1.0]), torch.tensor([0.8, 0.2]))
    assert moved[0].tolist() == pytest.approx([0.8 * 0.5 + 0.2 * 0.5, 1.0])


def test_tiles_are_means_of_their_patches() -> None:
    patches = torch.arange(16.0).reshape(1, 16, 1)
    assert mean_tiles(patches, (4, 4), 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_teacher_and_student_add_their_log_odds() -> None:
    both = together(t([0.5, 0.8, 1.0]), t([0.7, 0.8, 0.0]))
    assert both[0].tolist() == pytest.approx([0.7, 16 / 17, 0.5])


def batch_of(observed: torch.Tensor, **state: torch.Tensor) -> Batch:
    rows = torch.arange(len(observed))
    return Batch(rows, observed, state, lambda features: features.sum(-1), torch.Generator())


def test_wan_by_hand() -> None:
    observed = torch.tensor([[1, -1, -1]], dtype=torch.int8)
    loss = wan(Output(torch.zeros(1, 3), torch.zeros(1, 1, 2)), batch_of(observed))
    assert float(loss) == pytest.approx((1 + 0.5 + 0.5) * -math.log(0.5 + 1e-5) / 3, abs=1e-6)


def test_game_weighs_what_it_is_sure_of() -> None:
    observed = torch.tensor([[1, -1, -1]], dtype=torch.int8)
    latent = torch.tensor([[0.0, 0.0, math.log(9)]])  # y = 0.5 and 0.9
    output = Output(torch.zeros(1, 3), torch.zeros(1, 1, 2))
    early = game(output, batch_of(observed, latent=latent), w=0.0)
    assert float(early) == pytest.approx((1 + 0 + 0.8) * math.log(2) / 3, abs=1e-6)
    late = game(output, batch_of(observed, latent=latent), w=1.0)
    assert float(late) == pytest.approx(math.log(2), abs=1e-6)


def test_masked_cross_entropy_of_nothing_is_nothing() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    masked_bce(logits, torch.ones(2, 2), torch.zeros(2, 2, dtype=torch.bool)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_schedules_meet_the_published_values() -> None:
    gr, ll = read_method("gr").constants, read_method("ll-r").constants
    assert [schedule_of(gr["w"])(epoch, 8) for epoch in (0, 4)] == [0.0, 1.0]
    assert schedule_of(gr["mu"])(7, 8) == pytest.approx(0.8)
    assert schedule_of(gr["sigma"])(7, 8) == pytest.approx(0.5)
    assert [schedule_of(ll["share"])(epoch, 10) for epoch in (0, 9)] == pytest.approx([0.0, 0.045])
    margin = schedule_of({"kind": "falling", "start": 0.95, "step": 0.025, "least": 0.75, "first": 5})
    assert [margin(epoch, 20) for epoch in (0, 5, 6, 19)] == pytest.approx([0.95, 0.95, 0.925, 0.75])


def test_recipes_of_a_data_set_change_what_they_name() -> None:
    assert [read_method("role").on(name).constants["k"] for name in ("VOC07", "COCO", "NUS", "mine")] == [
        1.5,
        2.9,
        1.9,
        1.5,
    ]
    assert read_method("vlpl").on("COCO").constants == {"pseudo_from": 1.0, "entropy": 0.1, "weight": 0.7}


def test_recipes_count_one_after_the_other() -> None:
    aevlp = read_method("aevlp").on("COCO,published")
    assert (aevlp.constants["k"], aevlp.update_constants["eta"], aevlp.update_constants["absent"]) == (2.9, 0.3, 0.0)
    cdul = read_method("cdul").on("reproduction")
    assert (cdul.loss, cdul.update, cdul.update_constants["threshold"]) == ("softmax-kl", "softmax-alignment", 0.0)
    moves = schedule_of(cdul.update_constants["moves"])
    assert [epoch for epoch in range(25) if moves(epoch, 25)] == [9, 19]


def test_every_trained_line_of_table_1_has_its_method() -> None:
    rows = {read_method(name).row for name in method_names()}
    assert rows - {""} == {
        "BCE-LS", "ASL", "SARB", "Chen et al.", "LL-R", "G2NetPL", "GR Loss", "VLPL", "AEVLP", "NaiveAN", "ROLE",
        "CDUL", "CCD",
    }  # fmt: skip
