"""What a pull keeps of an answer, and of a file that is in its way; the rest of it is tested against the real Label Studio."""

from datetime import UTC, datetime
from pathlib import Path

from labeling.exports import read_annotations
from labeling.formats import Labeled, to_label_studio
from labeling.keypoints import annotator
from labeling.pull import _make_way, _signed


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
