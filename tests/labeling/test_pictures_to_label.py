"""Which pictures people are asked about."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genga import tags
from genga.errors import DataError
from genga.params import load_params
from genga.pictures import encode_png
from genga.store import StoreWriter, picture_id
from labeling.pictures import Entry, doubtful, entries, pictures_here, said_by_people
from labeling.tasks import asking


def every_tag() -> list[str]:
    return [*tags.groups(), *tags.flags()]


ENTRIES = [Entry(id_, lambda: np.zeros((8, 8, 3), np.uint8)) for id_ in "abcd"]


def named(root: Path, *ids: str) -> Path:
    (root / "doubtful.json").write_text(
        json.dumps({"pictures": [{"id": id_, "name": "eye_color" if id_ in ids[:at] else "hair_color"} for at, id_ in enumerate(ids)]})
    )
    return root / "doubtful.json"


def test_doubtful_pictures_come_in_the_order_of_their_file_and_once_and_are_asked_for_what_is_doubted(tmp_path: Path) -> None:
    found = doubtful(named(tmp_path, "c", "a", "c", "gone"), ENTRIES)
    assert [(entry.id, entry.asks) for entry in found] == [("c", ("hair_color", "eye_color")), ("a", ("hair_color",))]
    assert not any(entry.guess for entry in found)


def test_where_no_doubtful_picture_is_left_or_the_file_is_another_one_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 2 pictures .* run `genga repro`"):
        doubtful(named(tmp_path, "x", "y"), ENTRIES)
    (tmp_path / "other.json").write_text("[]")
    for path in (tmp_path / "other.json", tmp_path / "missing.json"):
        with pytest.raises(DataError, match=r"expected what `genga repro` writes"):
            doubtful(path, ENTRIES)


def test_imported_pictures_and_own_drawings_have_names_and_every_picture_here_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    monkeypatch.chdir(tmp_path)
    assert pictures_here(params, tmp_path / "imported", [tmp_path / "faces"]) == ([], {}, frozenset())
    with StoreWriter(tmp_path / "imported", {}) as writer:
        for id_, name, copies in (("A", "a/1.jpg", []), ("B", "2.jpg", ["copy/2.jpg"])):
            writer.append_encoded({"id": id_, "name": name, "width": 30, "height": 20, "duplicates": copies}, b"")
    with StoreWriter(tmp_path / "faces", {"8": (8, 8, 3), "16": (16, 16, 3)}) as writer:
        rows = [{"id": id_, "crop_id": crop_id, "duplicate_ids": copies} for id_, crop_id, copies in (("A", "cut", "[]"), ("C", "C", '["D"]'))]
        writer.append(rows, **{"8": np.zeros((2, 8, 8, 3), np.uint8), "16": np.zeros((2, 16, 16, 3), np.uint8)})
    with StoreWriter(tmp_path / "drawn", {"8": (8, 16)}) as writer:
        writer.append([{"id": "E"}], **{"8": np.zeros((1, 8, 16), np.uint8)})
    drawn = np.full((40, 50, 3), 200, np.uint8)
    for name in ("figures/1.png", "sticks/again.png"):
        (tmp_path / "own-figures" / name).parent.mkdir(parents=True)
        (tmp_path / "own-figures" / name).write_bytes(encode_png(drawn))
    (tmp_path / "own-figures" / "figures" / "broken.png").write_bytes(b"no picture")
    for number, folder in enumerate(("old", "figures/.thumbs", ".trash/figures")):  # nobody takes drawings from there
        (tmp_path / "own-figures" / folder).mkdir(parents=True)
        (tmp_path / "own-figures" / folder / "other.png").write_bytes(encode_png(drawn - np.uint8(number + 1)))
    own = picture_id(drawn)
    here = pictures_here(params, tmp_path / "imported", [tmp_path / "faces", tmp_path / "none", tmp_path / "drawn"])
    assert here.names == [
        *(("a/1.jpg", "A"), ("2.jpg", "B"), ("copy/2.jpg", "B")),
        *(("figures/1.png", own), ("sticks/again.png", own)),
    ]
    face, imported = (16, 16), (30, 20)
    assert here.drawings == {own}
    assert here.sizes == {"A": imported, "B": imported, "cut": face, "C": face, "D": face, "E": (16, 8), own: (50, 40)}
    assert [entry.id for entry in entries("poses", params, tmp_path, tmp_path)] == [own]


def test_an_own_drawing_is_told_by_its_bytes_and_not_by_its_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own-figures" / "figures").mkdir(parents=True)
    shades = {"scan.jpe": 200, "notes.txt": 150, "work.psd": 100, "thumbs.db": 50}
    for name, shade in shades.items():
        (tmp_path / "own-figures" / "figures" / name).write_bytes(encode_png(np.full((40, 50, 3), shade, np.uint8)))
    assert [name for name, _ in pictures_here(params, tmp_path, []).names] == ["figures/scan.jpe"]
    assert [entry.id for entry in entries("poses", params, tmp_path, tmp_path)] == [picture_id(np.full((40, 50, 3), 200, np.uint8))]


def test_white_lines_on_nothing_are_shown_and_known_by_their_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    monkeypatch.chdir(tmp_path)
    clear = np.full((40, 50, 4), 255, np.uint8)
    clear[:, 10:, 3] = 0
    (tmp_path / "own-figures" / "sticks").mkdir(parents=True)
    (tmp_path / "own-figures" / "sticks" / "a.png").write_bytes(encode_png(clear))
    (entry,) = entries("poses", params, tmp_path / "figures", tmp_path / "faces")
    assert entry.id == picture_id(np.full((40, 50, 3), 255, np.uint8))
    assert (entry.read()[:, :10] == 255).all() and (entry.read()[:, 10:] == 0).all()


def test_who_called_a_picture_bad_is_not_asked_again(tmp_path: Path) -> None:
    verdict = {"id": "v", "from_name": "verdict", "to_name": "image", "type": "choices", "value": {"choices": ["bad picture"]}}
    task = {"id": 1, "data": {"id": "a"}, "annotations": [{"id": 1, "completed_by": 1, "result": [verdict]}]}
    (tmp_path / "project-1.json").write_text(json.dumps([task]))
    assert said_by_people("tags", tmp_path) == said_by_people("poses", tmp_path) == {"a": set(every_tag())}


def test_of_what_people_said_the_rest_stays_open(tmp_path: Path) -> None:
    hair = {"id": "h", "from_name": "hair_color", "to_name": "image", "type": "choices", "value": {"choices": ["blue"]}}
    task = {"id": 1, "data": {"id": "a", **asking(["hair_color", "smile"])}, "annotations": [{"id": 1, "completed_by": 1, "result": [hair]}]}
    (tmp_path / "project-1.json").write_text(json.dumps([task]))
    assert said_by_people("tags", tmp_path) == {"a": {"hair_color", "smile"}} and said_by_people("poses", tmp_path) == {}
    left = ENTRIES[0].without({"hair_color", "smile"})
    assert left is not None and set(left.asks) == set(every_tag()) - {"hair_color", "smile"}
    assert left.without(set(left.asks) - {"bangs"}) == replace(ENTRIES[0], asks=("bangs",))
    assert left.without(every_tag()) is None and ENTRIES[0].without(()) is ENTRIES[0]
    copied = replace(ENTRIES[1], copies=("a", "x"))
    assert copied.still_open({"a": {"hair_color", "smile"}}) == replace(left, id="b", copies=("a", "x"), read=copied.read)
    assert copied.still_open({"c": {"hair_color"}}) is copied and copied.still_open({"a": {"smile"}, "b": set(every_tag())}) is None
    (found,) = doubtful(named(tmp_path, "a", "a"), [left])  # doubts hair color and eye color; people have said the first
    assert found.asks == ("eye_color",)
