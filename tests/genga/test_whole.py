"""Files written whole: what stands beside them stays, and a write that fails leaves the old one."""

from pathlib import Path

import pytest

from genga.whole import write_whole


@pytest.mark.parametrize("data", ["älter\n", b"\x00\xff"])
def test_the_new_content_stands_there_and_nothing_else_has_changed(tmp_path: Path, data: str | bytes) -> None:
    for name in ("tags.csv", "tags.partial", "tags.json"):
        (tmp_path / name).write_text(f"own {name}")
    write_whole(tmp_path / "tags.csv", data)
    assert (tmp_path / "tags.csv").read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "tags.csv"} == {
        name: f"own {name}" for name in ("tags.partial", "tags.json")
    }


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \udc80")
    assert path.read_text() == "old"


def test_a_name_may_be_as_long_as_names_can_be_and_a_folder_in_its_place_leaves_no_draft(tmp_path: Path) -> None:
    write_whole(tmp_path / ("あ" * 85), "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "taken", "new")
    assert not (tmp_path / "taken.partial").exists()
