"""What the benchmark computes, as opposed to how long it takes."""

import json

import pytest
import torch
from open_clip.transformer import LayerNorm, VisionTransformer
from torch import nn

from piaa.bench import memory, output
from piaa.bench.flops import count_flops
from piaa.errors import InputError
from piaa.vision.encoder import Encoder
from piaa.vision.runtimes import timing
from piaa.vision.towers import build_tower

LAYERS, WIDTH, HIDDEN, PATCH, SIDE, OUT = 3, 64, 128, 16, 64, 32
TOKENS = (SIDE // PATCH) ** 2 + 1


@pytest.fixture(scope="module")
def visual():
    torch.manual_seed(0)
    return VisionTransformer(
        image_size=SIDE, patch_size=PATCH, width=WIDTH, layers=LAYERS, heads=4, mlp_ratio=HIDDEN / WIDTH,
        output_dim=OUT, act_layer=nn.GELU, norm_layer=LayerNorm,
    ).eval()  # fmt: skip


def block_flops(tokens: int) -> int:
    projections = 2 * tokens * WIDTH * (3 * WIDTH + WIDTH)
    attention = 2 * (2 * tokens * tokens * WIDTH)
    return projections + attention + 2 * (2 * tokens * WIDTH * HIDDEN)


def test_flops_of_a_tower_are_those_counted_by_hand(visual):
    image = torch.randn(1, 3, SIDE, SIDE)
    by_hand = 2 * (TOKENS - 1) * (3 * PATCH**2) * WIDTH + LAYERS * block_flops(TOKENS) + 2 * WIDTH * OUT
    assert count_flops(lambda: visual(image)) == by_hand
    assert count_flops(lambda: visual(image.expand(5, -1, -1, -1))) == 5 * by_hand


def test_one_pass_of_the_plain_front_end_costs_the_towers_own_work_and_the_patches_projection(visual):
    """Nothing of the last block is done twice; the patches' way through the projection is all that is added."""
    image = torch.randn(1, 3, SIDE, SIDE)
    ours = count_flops(lambda: Encoder(build_tower(visual), "clip")(image))
    assert ours == count_flops(lambda: visual(image)) + 2 * (TOKENS - 1) * WIDTH * OUT


def test_cases_take_turns_forwards_and_backwards():
    order = []
    cases = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = timing.in_turns(cases, repeats=3, warm_up=1)
    assert "".join(order) == "cba" + "abc" + "cba" + "abc"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_ratio_is_taken_within_each_repetition():
    """A machine that slows down threefold changes no ratio; medians of their own would say 1.5 to 4."""
    ratio = timing.ratio([1.0, 3.0, 2.0], [0.5, 1.5, 1.0])
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 2.0, 2.0)
    assert timing.ratio([1.0, 1.0, 1.0], [2.0, 1.0, 0.5]).as_dict() == {"median": 1.0, "low": 0.5, "high": 2.0}


@pytest.mark.skipif(not memory.reset_high_water(), reason="the system does not reset its high-water mark")
def test_peak_memory_sees_what_is_freed_again():
    def fill() -> None:
        torch.ones(64 * 2**20 // 4).sum()  # 64 MiB, gone at the end

    assert 60 < memory.peak_of(fill) < 90
    assert memory.peak_of(lambda: None) < 5


def test_text_goes_between_the_markers_and_nowhere_else(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"# Title\n\n{output.BEGIN}\nold\n{output.END}\n\nafter\n")
    output.replace_between_markers(path, "| new |")
    output.replace_between_markers(path, "| newer |")
    assert path.read_text() == f"# Title\n\n{output.BEGIN}\n| newer |\n{output.END}\n\nafter\n"
    assert [file.name for file in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.parametrize(
    "text",
    ["no markers", output.BEGIN, output.END, f"{output.END} {output.BEGIN}", 2 * (output.BEGIN + output.END)],
)
def test_a_page_without_a_place_is_left_alone(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(InputError, match="between which the table goes"):
        output.replace_between_markers(path, "x")
    assert path.read_text() == text


def test_json_has_no_nan(tmp_path):
    output.write_json(tmp_path / "x.json", {"a": [float("nan"), 1.5], "b": {"c": float("inf")}})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [None, 1.5], "b": {"c": None}}
