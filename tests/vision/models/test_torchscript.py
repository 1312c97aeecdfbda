"""TorchScript archives are read as data: the same weights as torch reads, and nothing of the archive is run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from piaa.errors import ModelError
from piaa.vision.models.checkpoints import read_state_dict
from piaa.vision.models.torchscript import is_torchscript, read_torchscript

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated by torch itself


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.mask = torch.ones(2)  # an attribute, no weight
        self.register_buffer("counts", torch.arange(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + self.mask


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Inner(), nn.Linear(2, 2).half(), nn.Linear(2, 2).to(torch.bfloat16))
        self.turned = nn.Parameter(torch.randn(4, 3).t())
        self.shared = self.blocks[0].linear.weight
        self.scalar = nn.Parameter(torch.tensor(2.5))
        self.names = ["a"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks[0](x)


class Spy(nn.Module):
    """At loading, torch runs `__setstate__`, which writes a file."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.place = place

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, str, bool]:
        return (self.weight, self.place, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, str, bool]) -> None:
        self.weight = state[0]
        self.place = state[1]
        self.training = state[2]
        torch.save(state[0], state[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.parametrize("kind", ["scripted", "traced"])
def test_the_weights_are_those_that_torch_reads(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    model = Outer().eval()
    archive = torch.jit.script(model) if kind == "scripted" else torch.jit.trace(model, torch.zeros(1, 3))
    archive.save(str(tmp_path / "model.pt"))
    assert is_torchscript(tmp_path / "model.pt")
    found, expected = read_torchscript(tmp_path / "model.pt"), torch.jit.load(str(tmp_path / "model.pt")).state_dict()
    assert found.keys() == expected.keys() and "blocks.0.mask" not in found
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value), name


def test_what_an_archive_wants_to_run_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    torch.jit.script(Spy(str(trace))).save(str(tmp_path / "spy.pt"))
    torch.jit.load(str(tmp_path / "spy.pt"))
    assert trace.exists()  # so torch does
    trace.unlink()
    assert is_torchscript(tmp_path / "spy.pt")
    with pytest.raises(ModelError, match="without weights that can be read as data"):
        read_state_dict(tmp_path / "spy.pt")
    assert not trace.exists()


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def rewritten(path: Path, change: dict[str, bytes]) -> Path:
    """A copy of an archive with some of its parts replaced."""
    changed = path.with_name(f"changed-{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            part = name.partition("/")[2]
            new.writestr(name, change.get(part, old.read(name)))
    return changed


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    torch.jit.script(Inner()).save(str(tmp_path / "model.pt"))
    with zipfile.ZipFile(tmp_path / "model.pt") as archive:
        content = archive.read("model/data.pkl")
    trace = tmp_path / "it-ran"
    evil = rewritten(tmp_path / "model.pt", {"data.pkl": pickle.dumps(Evil(trace), 2)})
    with pytest.raises(ModelError, match="more than weights"):
        read_state_dict(evil)
    assert not trace.exists()
    for old, new in ((b"(K\x02K\x03t", b"(J\xff\xff\xff\x7fK\x03t"), (b"FloatStorage", b"FloatStoragf")):
        assert old in content
        with pytest.raises(ModelError):
            read_state_dict(rewritten(tmp_path / "model.pt", {"data.pkl": content.replace(old, new)}))
    with pytest.raises(ModelError):
        read_state_dict(rewritten(tmp_path / "model.pt", {"data/0": b""}))
