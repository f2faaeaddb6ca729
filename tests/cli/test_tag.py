"""`genga tag FOLDER` on a release of its own: what it writes, and what it leaves alone."""

import csv
import json
import os
import re
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from cli.main import build_parser
from cli.tag import Tagger, column_of, parse_thresholds, words, write_sidecar
from genga.door import run
from genga.errors import CheckpointError, DataError
from genga.params import load_params
from genga.pictures import decode
from genga.release import Entry, locked, write_release
from genga.tags import columns, flags, groups, translate, vocabularies_for
from models.export import load_model, save_model
from models.metrics.tags import batch_logits
from models.networks import build
from models.networks.tagger import probabilities
from models.targets import names, value_names
from serve.reading import fit_square
from serve.schemas import PICTURE_LIMITS

MODEL = {"arch": "tagger", "resolution": 32, "width": 8, "dropout": 0.0, "mirrored": False}


def write_tagger(root: Path, **more: Any) -> Path:
    """A release whose tagger is sure of everything, however wrong."""
    torch.manual_seed(0)
    network = build(MODEL)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    card = {
        "family": "tagger",
        "model": MODEL,
        "columns": columns(),
        "temperatures": dict.fromkeys(names(), 2000.0),  # its logits are that large
        "thresholds": dict.fromkeys(flags(), 0.5),
        "sure": {name: dict.fromkeys(value_names(name), 0.0) for name in names()},
    } | more
    save_model(root / "weights", network, card)
    entry = Entry("7", root / "weights", {}, ["CC0-1.0"], ["a test"], [], {}, "c0ffee")
    (root / "release").mkdir(exist_ok=True)
    with locked(root / "release" / ".lock"):
        write_release(root / "release", {"tagger": entry}, 1, lambda _: None)
    return root / "release"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a release and pictures in `faces`, one of them in a folder within it, and we stand in it."""
    write_tagger(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "faces" / "more").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "more/c.webp"):
        coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "faces" / name), cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_CUBIC))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def genga_tag(*words: str) -> None:
    args = build_parser().parse_args(["tag", "faces", *words])
    args.do(args)


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_the_table_holds_tags_probabilities_and_the_version_and_is_labels_to_the_import(here: Path) -> None:
    genga_tag()
    found = table(here / "faces" / "tags.csv")
    assert sorted(found) == ["a.png", "b.jpg", "more/c.webp"]
    for row in found.values():
        assert row["version"] == "tagger/7"
        hair = {value: float(row[f"hair_color={value}"]) for value in groups()["hair_color"]}
        assert sum(hair.values()) == pytest.approx(1, abs=1e-3)
        best = max(hair, key=lambda value: hair[value])
        labels = translate(vocabularies_for(list(row)), row).labels
        assert labels["hair_color"] == best
        assert {flag for flag in flags() if float(row[flag]) >= 0.5} == {name for name, value in labels.items() if value is True}
        assert False not in labels.values()


def test_json_says_the_same(here: Path) -> None:
    genga_tag()
    genga_tag("--format", "json")
    rows, document = table(here / "faces" / "tags.csv"), json.loads((here / "faces" / "tags.json").read_text())
    assert {file: " ".join(entry["tags"]) for file, entry in document.items()} == {file: row["tags"] for file, row in rows.items()}
    assert document["a.png"]["probabilities"].keys() == set(columns())


def test_what_stands_is_kept_unless_asked_otherwise(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = here / "faces" / "a.txt"
    mine.write_text("my girl, Blue Hair,\n")
    genga_tag("--format", "txt")
    assert mine.read_text() == "my girl, Blue Hair,\n"
    assert "2 pictures tagged by tagger/7" in (said := capsys.readouterr().out) and "1 stood there and stay" in said
    others = (here / "faces" / "more" / "c.txt").read_text()
    assert "_" not in others and others.endswith("\n") and len(others.split(", ")) >= 3

    genga_tag("--format", "txt", "--append", "--threshold", "0")
    words_ = mine.read_text().strip().split(", ")
    assert words_[:2] == ["my girl", "Blue Hair"] and len(words_) > 3
    assert [word.lower() for word in words_].count("blue hair") == 1
    assert (here / "faces" / "more" / "c.txt").read_text().startswith(others.strip())
    before = mine.read_text()
    genga_tag("--format", "txt", "--append", "--threshold", "0")
    assert mine.read_text() == before

    genga_tag("--format", "txt", "--overwrite", "--underscores")
    assert "my girl" not in mine.read_text() and "_hair" in mine.read_text()


def test_a_table_gains_the_pictures_that_it_lacks_and_keeps_the_rest(here: Path) -> None:
    path = here / "faces" / "tags.csv"
    path.write_text("file,tags,mood\na.png,my own words,happy\n")
    with pytest.raises(DataError, match="--append"):
        genga_tag()
    assert path.read_text() == "file,tags,mood\na.png,my own words,happy\n"
    genga_tag("--append")
    found = table(path)
    assert (found["a.png"]["tags"], found["a.png"]["mood"]) == ("my own words", "happy")
    assert found["b.jpg"]["version"] == "tagger/7" and found["b.jpg"]["mood"] == ""
    genga_tag("--overwrite")
    assert "my own words" not in path.read_text()
    path.write_text("file,tags,mood\n")
    genga_tag("--append")
    assert {row["mood"] for row in table(path).values()} == {""} and len(table(path)) == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,tags\na.png,smile\na.png,my own\n", r"tags\.csv has 2 rows of a\.png, expected one"),
        ("file,tags\nb.jpg,one,a note\n", r"tags\.csv has more cells than names of columns in the row of b\.jpg"),
        ("file,tags,note,note\nb.jpg,smile,one,two\n", r"tags\.csv has 2 columns note, expected one; give each a name of its own"),
        (",file,tags\n7,b.jpg,one\n", r"tags\.csv has more cells than names of columns in the row of b\.jpg"),
    ],
)
def test_a_table_that_an_append_would_shorten_is_left_alone(here: Path, text: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = here / "faces" / "tags.csv"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        run(lambda: genga_tag("--append"))
    assert ended.value.code == 2 and re.search(sentence, capsys.readouterr().err)
    assert path.read_text() == text


def test_tags_after_a_byte_order_mark_are_not_doubled_and_utf_16_is_left_alone(
    here: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    marked, empty, wide = here / "faces" / "a.txt", here / "faces" / "b.txt", here / "faces" / "more" / "c.txt"
    marked.write_bytes("glasses, 1girl".encode("utf-8-sig"))
    empty.write_bytes(BOM_UTF8)
    wide.write_bytes(before := "glasses, 1girl\r\n".encode("utf-16"))
    genga_tag("--format", "txt", "--append", "--threshold", "0")
    words_ = marked.read_text(encoding="utf-8-sig").strip().split(", ")
    assert words_[:2] == ["glasses", "1girl"] and words_.count("glasses") == 1 and len(words_) > 2
    assert not empty.read_text(encoding="utf-8-sig").startswith(",")
    assert wide.read_bytes() == before
    assert "c.txt is written in UTF-16" in caplog.text
    assert "2 pictures tagged" in (said := capsys.readouterr().out) and "1 stood there and stay as they are; 0 could not" in said


@pytest.mark.parametrize(
    ("own", "whole"),
    [
        ("1girl\npink hair\nsmile\n", "1girl\npink hair\nsmile\nlong hair\nblush\n"),
        ("1girl\r\npink hair\r\nsmile\r\n", "1girl\r\npink hair\r\nsmile\r\nlong hair\r\nblush\r\n"),
        ("1girl pink_hair long_hair smile", "1girl pink_hair long_hair smile blush\n"),
        ("1girl pink_hair\nsmile solo\n", "1girl pink_hair\nsmile solo long_hair blush\n"),
        ("1girl\npink_hair\n", "1girl\npink_hair\nlong_hair\nsmile\nblush\n"),
        ("1girl, Pink_Hair, o_o, smile", "1girl, Pink_Hair, o_o, smile, long_hair, blush\n"),
        ("1girl,pink hair,o_o,\n", "1girl,pink hair,o_o,long hair,smile,blush\n"),
        ("1girl,\r\nlong hair\r\n", "1girl,\r\nlong hair,\r\npink hair,\r\nsmile,\r\nblush\r\n"),
        ("a girl with pink hair\n", "a girl with pink hair, long hair, smile, blush\n"),
        ("1girl solo smile blush\n", "1girl solo smile blush, pink hair, long hair\n"),
        ("1girl, Orange hair, very short hair", "1girl, Orange hair, very short hair, smile, blush\n"),
        ("dark green hair, tan lines", "dark green hair, tan lines, long hair, smile, blush\n"),
        ("black hair, blonde hair, evil smile", "black hair, blonde hair, evil smile, long hair, smile, blush\n"),
        ("pink_hair", "pink_hair, long_hair, smile, blush\n"),
        ("", "pink hair, long hair, smile, blush\n"),
    ],
)
def test_what_is_added_to_a_text_is_parted_and_written_as_its_own_tags_are(tmp_path: Path, own: str, whole: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(own.encode())
    for _ in range(2):
        assert write_sidecar(path, ["pink_hair", "long_hair", "smile", "blush"], "append", underscores=False)
        assert path.read_bytes().decode() == whole


def test_underscores_that_are_asked_for_are_written_whatever_stands_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("pink hair, solo")
    write_sidecar(tmp_path / "a.txt", ["pink_hair", "long_hair"], "append", underscores=True)
    assert (tmp_path / "a.txt").read_text() == "pink hair, solo, long_hair\n"


def test_what_is_a_link_stays_one_and_its_file_is_written(here: Path) -> None:
    (here / "elsewhere").mkdir()
    for name in ("a.txt", "tags.csv"):
        (here / "faces" / name).symlink_to(here / "elsewhere" / name)
    (here / "elsewhere" / "a.txt").write_text("my girl\n")
    genga_tag("--format", "txt", "--append")
    genga_tag()
    assert (here / "elsewhere" / "a.txt").read_text().startswith("my girl, ")
    assert len(table(here / "elsewhere" / "tags.csv")) == 3
    assert all((here / "faces" / name).is_symlink() for name in ("a.txt", "tags.csv"))
    (here / "faces" / "b.txt").unlink()
    (here / "faces" / "b.txt").symlink_to("a.txt")
    with pytest.raises(DataError, match=r"faces/a\.png and faces/b\.jpg would both have their tags in faces/b\.txt; rename"):
        genga_tag("--format", "txt", "--append")


def test_what_systems_leave_behind_gets_no_tags_and_links_to_folders_are_named(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture = (here / "faces" / "a.png").read_bytes()
    for name in (".thumbnails/a.png", ".ipynb_checkpoints/a-checkpoint.png", "__MACOSX/q.png", "._a.png", ".mine/b.png"):
        (here / "faces" / name).parent.mkdir(exist_ok=True)
        (here / "faces" / name).write_bytes(picture)
    (here / "faces" / "linked").symlink_to(here / "faces" / "more")
    genga_tag()
    assert sorted(table(here / "faces" / "tags.csv")) == ["a.png", "b.jpg", "more/c.webp"]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "1 hidden pictures are left out, the first is faces/.mine/b.png",
        "faces/linked is a link to a folder and is left out; give that folder itself",
    ]


def test_a_folder_within_that_cannot_be_read_is_said_before_anything_is_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def closed(path: Any) -> Any:
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(DataError, match=r"the folder faces/more cannot be read \(Permission denied\); allow it or take it out"):
        genga_tag()
    assert not (here / "faces" / "tags.csv").exists()


@pytest.mark.parametrize(("name", "form"), [("b.txt", "txt"), ("tags.csv", "csv")])
def test_a_file_that_is_read_only_is_said_before_anything_is_written(here: Path, name: str, form: str) -> None:
    (here / "faces" / name).write_text("file,tags\n")
    (here / "faces" / name).chmod(0o444)
    before = sorted(here.rglob("*"))
    with pytest.raises(DataError, match=rf"faces/{name} is read-only, expected a file that you may write; make it so with chmod u\+w"):
        genga_tag("--format", form, "--append")
    assert (here / "faces" / name).read_text() == "file,tags\n" and sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("form", "before", "sentence"),
    [
        ("json", b"[1, 2", "is no json file"),
        ("json", b"[" * 100_000, "is no json file"),
        ("json", rb'{"q.png": {"tags": ["\ud83d"]}}', r"tags\.json holds '\\ud83d', half a character; correct it"),
        ("csv", "file,tags\nä.png,x\n".encode("latin-1"), "is no text in UTF-8; save it as UTF-8"),
        ("csv", b'file,tags\na.png,"' + b"x" * 140_000, "is no csv file .*field larger than"),
    ],
)
def test_a_damaged_table_is_not_replaced_by_an_append(here: Path, form: str, before: bytes, sentence: str) -> None:
    path = here / "faces" / f"tags.{form}"
    path.write_bytes(before)
    with pytest.raises(DataError, match=sentence):
        genga_tag("--format", form, "--append")
    assert path.read_bytes() == before


def test_text_files_written_before_a_stop_stay_and_the_next_run_goes_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.tag.BATCH", 1)
    read, stopped_at = Tagger.read, "b.jpg"

    def stopped(self: Tagger, files: Any, pictures: Any) -> Any:
        if stopped_at in files:
            raise KeyboardInterrupt
        return read(self, files, pictures)

    monkeypatch.setattr(Tagger, "read", stopped)
    with pytest.raises(KeyboardInterrupt):
        genga_tag("--format", "txt")
    assert (here / "faces" / "a.txt").is_file() and not (here / "faces" / "b.txt").exists()
    monkeypatch.setattr(Tagger, "read", read)
    genga_tag("--format", "txt")
    assert "2 pictures tagged" in (said := capsys.readouterr().out) and "1 stood there and stay" in said


def test_thresholds_and_exclusions_are_the_callers(here: Path) -> None:
    genga_tag("--threshold", "1", "--threshold", "hair_color=0", "--exclude", "hair_length", "smile")
    for row in table(here / "faces" / "tags.csv").values():
        (tag,) = row["tags"].split()
        assert tag.endswith("_hair")
    genga_tag("--overwrite", "--threshold", "0", "--exclude", "hair_color", "blush", "blue eyes")
    for row in table(here / "faces" / "tags.csv").values():
        tags = row["tags"].split()
        assert "glasses" in tags and "blush" not in tags and "blue_eyes" not in tags
        assert not {word for column, word in words().items() if column.startswith("hair_color")} & set(tags)


def test_where_the_tagger_is_not_sure_it_says_nothing(here: Path) -> None:
    write_tagger(here, sure={name: dict.fromkeys(value_names(name), 1.0) for name in names()})
    genga_tag()
    assert {row["tags"] for row in table(here / "faces" / "tags.csv").values()} == {""}


def test_a_picture_that_does_not_decode_is_named_and_the_rest_go_on(
    here: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (here / "faces" / "bad.png").write_bytes((here / "faces" / "a.png").read_bytes()[:60])
    genga_tag()
    assert "1 could not be read" in capsys.readouterr().out
    assert "bad.png" in caplog.text
    assert len(table(here / "faces" / "tags.csv")) == 3
    genga_tag("--append")  # where the bad one alone is left
    assert "0 pictures tagged" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["csv", "txt"])
def test_where_no_picture_decodes_nothing_is_written(here: Path, form: str) -> None:
    for path in (here / "faces").rglob("*.*"):
        path.write_bytes(path.read_bytes()[:60])
    before = sorted((here / "faces").rglob("*"))
    with pytest.raises(DataError, match="none of 3 pictures in "):
        genga_tag("--format", form)
    assert sorted((here / "faces").rglob("*")) == before


@pytest.mark.parametrize(
    ("words_", "sentence"),
    [
        (["--threshold", "2"], "expected a number from 0 to 1"),
        (["--threshold", "beauty=0.5"], "no tag 'beauty'"),
        (["--exclude", "beauty"], "no such tag"),
        (["--format", "txt", "--out", "x.txt"], "leave it out"),
        (["--out", "missing/tags.csv"], "missing/tags.csv cannot be written, expected a folder missing that you may write into"),
        (["--out", "faces", "--overwrite"], "faces is a folder, expected a file to write"),
    ],
)
def test_a_wrong_request_stops_with_one_sentence_and_writes_nothing(here: Path, words_: list[str], sentence: str) -> None:
    before = sorted(here.rglob("*"))
    with pytest.raises(DataError, match=sentence):
        genga_tag(*words_)
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("words_", [[], ["--format", "txt"]])
def test_a_folder_that_may_not_be_written_into_is_said_before_pictures_are_read(
    here: Path, words_: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    monkeypatch.setattr("cli.tag._read", lambda *_: pytest.fail("pictures were read"))
    with pytest.raises(DataError, match="cannot be written"):
        genga_tag(*words_)


def test_a_table_never_takes_the_place_of_a_picture(here: Path) -> None:
    before = (here / "faces" / "a.png").read_bytes()
    with pytest.raises(DataError, match=r"a\.png is a picture by its name"):
        genga_tag("--out", "faces/a.png", "--overwrite")
    assert (here / "faces" / "a.png").read_bytes() == before


def test_pictures_that_share_a_text_file_are_refused_before_any_is_read(here: Path) -> None:
    (here / "faces" / "a.jpg").write_bytes((here / "faces" / "b.jpg").read_bytes())
    with pytest.raises(DataError, match=r"faces/a\.jpg and faces/a\.png would both have their tags in faces/a\.txt; rename"):
        genga_tag("--format", "txt")
    assert not list(here.rglob("faces/**/*.txt"))
    genga_tag()
    assert {"a.jpg", "a.png"} <= table(here / "faces" / "tags.csv").keys()


def test_a_name_that_utf_8_cannot_hold_is_written_escaped_as_the_import_does(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strange = os.fsdecode(b"\xff.png")
    (here / "faces" / "a.png").rename(here / "faces" / strange)
    genga_tag()
    assert r"\udcff.png" in table(here / "faces" / "tags.csv")
    genga_tag("--append")
    assert "0 pictures tagged" in capsys.readouterr().out.splitlines()[-1]
    genga_tag("--format", "json")
    assert r"\udcff.png" in json.loads((here / "faces" / "tags.json").read_text())
    genga_tag("--format", "txt")
    assert (here / "faces" / strange).with_suffix(".txt").is_file()


def test_empty_folders_and_releases_without_a_fitting_tagger_are_said(here: Path) -> None:
    (here / "none").mkdir()
    args = build_parser().parse_args(["tag", "none"])
    with pytest.raises(DataError, match="no pictures in none"):
        args.do(args)
    write_tagger(here, columns=columns()[::-1])
    with pytest.raises(CheckpointError, match=r"the released tagger was trained for another list of tags.*genga repro"):
        genga_tag()


def test_a_tagger_of_before_a_new_tag_is_refused_as_that(here: Path, add_a_tag: Callable[[], None]) -> None:
    add_a_tag()
    with pytest.raises(CheckpointError, match=r"the released tagger was trained for another list of tags.*genga repro"):
        genga_tag()


def test_words_are_danbooru_s_own_and_mean_just_their_tag() -> None:
    assert words()["hair_color=gray"] == "grey_hair" and words()["glasses"] == "glasses"
    assert words()["open_mouth"] == "open_mouth"
    assert column_of("hair_color", -1) is None and column_of("glasses", 0) is None
    assert column_of("glasses", 1) == "glasses" and column_of("hair_color", 3) == f"hair_color={groups()['hair_color'][3]}"
    assert parse_thresholds([]) == {}


def test_the_probabilities_are_those_of_the_trained_weights(here: Path) -> None:
    network, card = load_model(here / "weights")
    assert card["columns"] == columns() and not network.training
    genga_tag("--format", "json")
    document = json.loads((here / "faces" / "tags.json").read_text())
    faces = np.stack([fit_square(decode((here / "faces" / file).read_bytes(), PICTURE_LIMITS), 32) for file in sorted(document)])
    expected = probabilities(batch_logits(network, faces, "auto"), card["temperatures"]).numpy()
    found = [[document[file]["probabilities"][column] for column in columns()] for file in sorted(document)]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert load_params(Path(__file__).parents[2] / "params.yaml").train_tagger.model.arch == MODEL["arch"]
