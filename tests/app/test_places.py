"""The page opens folders below its root alone, by whatever path or link they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from piaa.app.places import Root
from piaa.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Root:
    for name in ("root/a/deep", "root/B", "root/.hidden", "rooted"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("root/a/1.jpg", "root/a/deep/2.PNG", "rooted/secret.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "root/a/notes.txt").touch()
    (tmp_path / "root/way-out").symlink_to(tmp_path / "rooted")
    (tmp_path / "root/a/way-out").symlink_to(tmp_path / "rooted")
    (tmp_path / "root/way-in").symlink_to(tmp_path / "root/a")
    return Root.at(tmp_path / "root")


def test_listings_lead_down_and_up(root: Root) -> None:
    top = root.listing("")
    assert top["folders"] == ["a", "B", "way-in"] and top["parent"] is None and top["pictures"] == 0
    below = root.listing("a")
    assert (below["path"], below["parent"], below["folders"], below["pictures"]) == ("a", "", ["deep"], 1)
    assert root.listing("a/deep")["parent"] == "a"
    assert root.listing(str(root.path / "a")) == below


@pytest.mark.parametrize("path", ["..", "../rooted", "a/../../rooted", "way-out", "a/way-out", "/", "~root/..", "/etc"])
def test_nothing_outside_is_opened(root: Root, path: str) -> None:
    for ask in (root.folder, root.listing):
        with pytest.raises(InputError, match="not below"):
            ask(path)


def test_pictures_behind_links_that_lead_out_are_left_out_and_named(root: Root) -> None:
    found = root.pictures(root.folder("a"))
    assert [Path(item.id).name for item in found.items] == ["1.jpg", "2.PNG"]
    assert found.others == 1 and "1 pictures are links to outside" in found.unreadable[0][1]
    with pytest.raises(InputError, match="no picture"):
        root.pictures(root.folder("B"))


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        Root.at(tmp_path / "nowhere")
