"""What a pull keeps of an answer, and of a file that is in its way; the rest of it is tested against the real Label Studio."""

import json
from datetime import UTC, datetime
from pathlib import Path

from labeling.account import Home
from labeling.exports import read_annotations
from labeling.formats import Labeled, to_label_studio
from labeling.keypoints import annotator
from labeling.pull import _make_way, _signed, pull


def test_an_answer_of_a_deleted_account_is_kept() -> None:
    said = {"id": 1, "result": [], "updated_at": "2026-01-01"}
    for who in (None, {"id": None, "email": None}):
        signed = _signed(said | {"completed_by": who}, {3: "ann@example.com"})
        assert (signed["updated_at"], annotator(signed)) == ("2026-01-01", "a deleted account")
    assert annotator(_signed(said | {"completed_by": 3}, {3: "ann@example.com"})) == "ann@example.com"


def test_a_snapshots_place_is_left_by_what_tells_no_times_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    path, seen, got = tmp_path / "project-1.json", tmp_path / "revisions" / "seen-1.json", tmp_path / "revisions" / "got-1.jsonl"
    seen.parent.mkdir()
    for picture in "ab":  # the second time this project is known here
        path.write_text(to_label_studio([Labeled(picture * 64, "ann", (9, 9), {"glasses": True}, None)]))
        seen.write_text("{}")
        _make_way(path, datetime(2026, 1, 1, tzinfo=UTC), seen, got)
        assert not path.exists() and not seen.exists()
    assert sorted(said.picture_id for said in read_annotations(tmp_path).annotations) == ["a" * 64, "b" * 64]


def test_a_revision_whose_line_was_cut_is_made_again(tmp_path: Path) -> None:
    """As on a full disk."""
    annotations_dir, log = tmp_path / "annotations", tmp_path / "annotations" / "revisions" / "revisions.jsonl"
    annotations_dir.mkdir()

    def corrected(hair: str) -> tuple[int, bool]:
        line = {"id": "a" * 64, "at": "2026-01-01T00:00:00+00:00", "by": "ann", "width": 9, "height": 9, "labels": {"hair_color": hair}}
        with (annotations_dir / "review.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        pulled = pull(annotations_dir, Home(tmp_path / "home"), offline=True)
        return pulled.revision, pulled.is_new

    assert [corrected(hair) for hair in ("blue", "red")] == [(1, True), (2, True)]
    whole = log.read_text()
    log.write_text(whole[:-20])
    again = pull(annotations_dir, Home(tmp_path / "home"), offline=True)
    assert (again.revision, again.is_new) == (2, True)
    assert [json.loads(line)["revision"] for line in log.read_text().splitlines()] == [1, 2]
