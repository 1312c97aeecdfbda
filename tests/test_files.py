"""Files are whole or as before, their mode follows the umask, and a foreign folder is left alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from piaa.errors import InputError
from piaa.files import MARK, check_place, claim_folder, whole_file, write_json, write_text


def test_a_file_is_whole_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old\r\n")
    with pytest.raises(RuntimeError), whole_file(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == b"old\r\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_mode_follows_the_umask_whatever_the_writer_does(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with whole_file(tmp_path / "a") as aside:
            aside.unlink()  # as a library does that writes aside itself
            aside.touch(0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    write_json(tmp_path / ("n" * 255), [1])
    assert json.loads((tmp_path / ("n" * 255)).read_text()) == [1]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere/x: cannot be written: No such file"):
        write_text(tmp_path / "nowhere" / "x", "")
    with pytest.raises(InputError, match="create it first"):
        check_place(tmp_path / "nowhere" / "x")
    with pytest.raises(InputError, match="a folder"):
        check_place(tmp_path)


@pytest.mark.parametrize("name", ["labels.txt", ".hidden", "photos"])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=rf"did not write \({name}\)"):
        claim_folder(tmp_path, "piaa demo")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_own_and_empty_folders_are_taken(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").touch()
    for _ in range(2):
        assert claim_folder(tmp_path / "new" / "one", "piaa demo").is_dir()
        (tmp_path / "new" / "one" / "made").touch()
    claim_folder(tmp_path / "new" / "one", "piaa demo")
    with pytest.raises(InputError, match="'piaa report' did not write"):
        claim_folder(tmp_path / "new" / "one", "piaa report")
    (tmp_path / "new" / "one" / MARK).write_text("no JSON")
    with pytest.raises(InputError):
        claim_folder(tmp_path / "new" / "one", "piaa demo")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="a file"):
        claim_folder(tmp_path / "file", "piaa demo")
