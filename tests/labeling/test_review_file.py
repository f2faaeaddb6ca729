"""Corrections from the page become answers like those of Label Studio."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genga import tags
from genga.errors import DataError
from labeling.account import Home, LabelStudioError
from labeling.agreement import Key, answers_of
from labeling.exports import read_exports
from labeling.pull import _make_way, pull

POSE = np.random.default_rng(0).uniform(0.1, 0.9, (11, 2)).tolist()


def line(**said: Any) -> str:
    return json.dumps({"id": "a" * 64, "at": "2026-01-01T10:00:00Z", "by": "ann", "width": 30, "height": 20, **said}) + "\n"


def pulled(annotations: Path) -> Any:
    return pull(annotations, Home(annotations / "none"), offline=True)


def test_a_pull_without_a_server_takes_the_newest_correction_of_each_person(tmp_path: Path) -> None:
    review = tmp_path / "review.jsonl"
    no = dict.fromkeys(tags.flags(), False)
    review.write_text(
        line(labels={"hair_color": "red"}) + line(labels={"hair_color": "blue", **no}) + line(pose=POSE, hidden=["hip"]) + line(by="ben", pose=POSE)
    )
    done = pulled(tmp_path)
    assert (done.revision, done.is_new, done.problems) == (1, True, [])
    said = {(each.annotator, each.pose is None): each for each in read_exports([tmp_path / "review.json"]).annotations}
    assert set(said) == {("ann", True), ("ann", False), ("ben", False)}
    assert said["ann", True].labels == {"hair_color": "blue", **no}
    assert said["ben", False].hidden is None
    assert said["ann", False].hidden == frozenset({"hip"}) and said["ann", False].size == (30, 20)
    np.testing.assert_allclose(said["ben", False].pose, POSE)  # type: ignore[arg-type]
    assert not pulled(tmp_path).is_new
    with review.open("a") as file:
        file.write(line(by="cat", labels={"glasses": False}) + '{"id": "cut')
    assert pulled(tmp_path).revision == 2
    assert [each.labels for each in read_exports([tmp_path / "review.json"]).annotations if each.annotator == "cat"] == [{"glasses": False}]


def test_corrections_that_are_new_are_counted(tmp_path: Path) -> None:
    review = tmp_path / "review.jsonl"
    review.write_text(line(by="ben", labels={"hair_color": "red"}) + line(by="ben", pose=POSE))
    assert [pulled(tmp_path).corrections, pulled(tmp_path).corrections] == [2, 0]
    review.write_text(line(labels={"glasses": True}) + review.read_text())
    assert [pulled(tmp_path).corrections, pulled(tmp_path).corrections] == [1, 0]


def test_a_last_line_that_an_editor_left_without_its_end_counts(tmp_path: Path) -> None:
    (tmp_path / "review.jsonl").write_text((line(labels={"glasses": True}) + line(by="ben", labels={"hair_color": "red"})).rstrip("\n"))
    pulled(tmp_path)
    assert {each.annotator for each in read_exports([tmp_path / "review.json"]).annotations} == {"ann", "ben"}


def test_a_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "review.jsonl").write_bytes(line(pose=POSE).encode() + b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"review\.jsonl line 2 is no correction"):
        pulled(tmp_path)


def test_a_tag_that_is_gone_is_listed_and_the_rest_of_a_correction_counts(tmp_path: Path) -> None:
    (tmp_path / "review.jsonl").write_text(line(labels={"hat": True, "hair_color": "red", "eye_color": "plaid"}))
    done = pulled(tmp_path)
    assert [problem.reason for problem in done.problems] == ["plaid is no eye_color any more; hat is no tag any more"]
    (said,) = read_exports([tmp_path / "review.json"]).annotations
    assert said.labels == {"hair_color": "red"}


def test_a_later_correction_takes_nothing_back_that_it_does_not_name(tmp_path: Path) -> None:
    """The tagger abstained on hair when she opened the picture again; she placed joints again and said nothing of which one sees."""
    (tmp_path / "review.jsonl").write_text(
        line(labels={"hair_color": "red", "glasses": True}, at="2026-01-01T10:00:00Z")
        + line(pose=POSE, hidden=["hip"], at="2026-01-01T11:00:00Z")
        + line(labels={"eye_color": "blue", "glasses": False}, at="2026-01-02T10:00:00Z")
        + line(pose=POSE[::-1], at="2026-01-02T11:00:00Z")
        + line(by="ben", pose=POSE)
    )
    pulled(tmp_path)
    answers = answers_of(read_exports([tmp_path / "review.json"]).annotations)
    ann = {key.name: answer.value for key, given in answers.items() for answer in given if answer.annotator == "ann"}
    np.testing.assert_allclose(ann.pop("pose"), POSE[::-1])
    assert ann == {"hair_color": "red", "eye_color": "blue", "glasses": False, "hidden": frozenset({"hip"})}
    assert [answer.annotator for answer in answers[Key("a" * 64, "hidden")]] == ["ann"]


def test_corrections_are_taken_whatever_label_studio_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "none")
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    with pytest.raises(LabelStudioError, match="no Label Studio is known here"):
        pull(tmp_path, home)
    (tmp_path / "review.jsonl").write_text(line(labels={"hair_color": "red"}))
    assert pull(tmp_path, home).revision == 1  # none is known
    monkeypatch.setenv("LABEL_STUDIO_URL", "")
    assert not pull(tmp_path, home).is_new
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "x")
    (tmp_path / "review.jsonl").write_text(line(labels={"hair_color": "blue"}))
    with pytest.raises(LabelStudioError, match="no Label Studio answers"):
        pull(tmp_path, home)
    assert [each.labels for each in read_exports([tmp_path / "review.json"]).annotations] == [{"hair_color": "blue"}]


def test_two_label_studios_with_projects_of_one_number_keep_what_was_said_in_each(tmp_path: Path) -> None:
    path, seen, got = tmp_path / "project-1.json", tmp_path / "seen-1.json", tmp_path / "got-1.jsonl"
    first, second = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2))
    for made, text in ((second, "[]"), (first, "[ ]")):  # the older one is asked last
        _make_way(path, made, seen, got)
        assert not path.exists() and not seen.exists()
        path.write_text(text)
        seen.write_text("{}")
    _make_way(path, first, seen, got)
    assert path.read_text() == "[ ]" and seen.exists()  # the same one again
    for made, text in ((second, "[]"), (first, "[ ]"), (second, "[]")):
        _make_way(path, made, seen, got)
        assert path.read_text() == text and not seen.exists()
        assert len(list(tmp_path.glob("project-1*.json"))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense\n", "review.jsonl line 1 is no correction"),
        ("[" * 100_000 + "\n", "review.jsonl line 1 is no correction"),
        (line(labels=[1]), "line 1 .*sequence"),
        (line(pose=POSE) + line(pose=[[1, 2]]), "line 2 .*a pose of shape"),
        (line(labels={"glasses": True}) + line(), "line 2 .*labels"),
    ],
)
def test_a_damaged_review_stops_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "review.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        pulled(tmp_path)
