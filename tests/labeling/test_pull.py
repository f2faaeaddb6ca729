"""What a pull keeps of an answer; the rest of it is tested against the real Label Studio."""

from labeling.keypoints import annotator
from labeling.pull import _signed


def test_an_answer_of_a_deleted_account_is_kept() -> None:
    said = {"id": 1, "result": [], "updated_at": "2026-01-01"}
    for who in (None, {"id": None, "email": None}):
        signed = _signed(said | {"completed_by": who}, {3: "ann@example.com"})
        assert (signed["updated_at"], annotator(signed)) == ("2026-01-01", "a deleted account")
    assert annotator(_signed(said | {"completed_by": 3}, {3: "ann@example.com"})) == "ann@example.com"
