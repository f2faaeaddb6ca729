"""How far people agree, and what counts where they do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from genga.params import LabelFaces
from labeling.agreement import Answer, Key, answers_of, bad_pictures, compare, kappa, oks, settle, write_disagreements
from labeling.exports import Annotation
from labeling.keypoints import distances

POSE = np.random.default_rng(0).uniform(0.1, 0.9, (11, 2))
SECTION = LabelFaces(human_only=True, pose_tolerance=0.1, ties="newest")


def answer(who: str, value: object, *, decides: bool = False) -> Answer:
    return Answer(who, "2026-01-01", value, decides, "task", (100, 100))


def said(who: str, picture: str, at: str = "1", **labels: str | bool) -> Annotation:
    return Annotation(picture, f"task {picture}", who, at, labels, None)


def test_the_same_pose_has_an_oks_of_one_and_it_falls_with_the_distance() -> None:
    near, far = POSE + 0.01, POSE + 0.1
    assert oks(POSE, POSE, (200, 100)) == 1
    assert 1 > oks(POSE, near, (200, 100)) > oks(POSE, far, (200, 100)) > 0
    assert oks(POSE, near, (200, 100)) == pytest.approx(oks(POSE, near, (400, 200)))


def test_oks_is_cocos() -> None:
    """One joint off by its own spread: exp(-1/8) for it, where COCO's k is twice the spread."""
    square = np.zeros((11, 2))
    square[1] = [1, 1]
    moved = square.copy()
    moved[6] += [0.107 * 100 / 100, 0]
    assert oks(square, moved, (100, 100)) == pytest.approx((10 + np.exp(-1 / 8)) / 11)


def test_kappa_is_cohens_and_says_one_for_people_who_know_one_word() -> None:
    pairs = [("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")]
    assert kappa(pairs) == pytest.approx(cohen_kappa_score(["a", "a", "b", "b"], ["a", "b", "b", "b"])) == pytest.approx(0.5)
    assert kappa([(True, True), (True, True)]) == 1


def test_a_reviewer_counts_over_the_majority_and_the_majority_over_the_newest() -> None:
    answers = [answer("ann", "blue", decides=True), answer("ben", "red"), answer("cat", "red")]
    assert settle("hair_color", answers, 0.1, "newest")[:3:2] == ("blue", "a reviewer decided")
    assert settle("hair_color", [answers[0], answer("dan", "red", decides=True)], 0.1, "newest").value == "red"  # the newer reviewer
    assert settle("hair_color", [answer("dan", "red"), *answers[1:], answer("eve", "blue")], 0.1, "newest").value == "red"
    assert settle("hair_color", [answer("ann", "blue"), answer("ben", "red")], 0.1, "newest").value == "red"
    assert settle("hair_color", [answer("ann", "blue"), answer("ben", "red")], 0.1, "leave_out").value is None


def test_a_joint_that_only_half_place_together_has_no_majority() -> None:
    poses = [POSE.copy() for _ in range(4)]
    for pose, off in zip(poses, (-0.4, -0.01, 0.01, 0.4), strict=True):
        pose[3, 0] += off
    answers = [answer(who, pose) for who, pose in zip(("ann", "ben", "cat", "dan"), poses, strict=True)]
    assert settle("pose", answers, 0.1, "leave_out").value is None
    np.testing.assert_array_equal(settle("pose", answers, 0.1, "newest").value, poses[-1])


def test_most_people_say_which_joints_are_hidden() -> None:
    answers = [answer("ann", frozenset({"hip", "head"})), answer("ben", frozenset({"hip"})), answer("cat", frozenset())]
    assert settle("hidden", answers, 0.1, "newest").value == frozenset({"hip"})


def test_where_half_say_that_a_joint_is_hidden_params_say_what_counts() -> None:
    answers = [answer("ann", frozenset({"hip", "head"})), answer("ben", frozenset({"hip", "neck"}))]
    newest = settle("hidden", answers, 0.1, "newest")
    assert (newest.value, newest.rule) == (frozenset({"hip", "neck"}), "the newest answer counts")
    assert settle("hidden", answers, 0.1, "leave_out")[:3:2] == (frozenset({"hip"}), "left out")


def test_what_people_differ_on_being_hidden_is_listed() -> None:
    pose = Annotation("a", "task a", "ann", "1", {}, POSE, frozenset({"hip", "head"}))
    others = [replace(pose, annotator="ben", hidden=frozenset({"hip"})), replace(pose, annotator="cat", hidden=frozenset())]
    (row,) = compare([pose, *others], SECTION).disagreements
    assert (row.name, row.dispute, row.counts, row.rule) == ("hidden", "1 of 3 say head, 2 of 3 say hip", "hip", "the majority")
    (row,) = compare([pose, others[0]], SECTION).disagreements
    assert (row.dispute, row.counts, row.rule) == ("1 of 2 say head", "hip", "the newest answer counts")
    (row,) = compare([pose, others[0]], SECTION.model_copy(update={"ties": "leave_out"})).disagreements
    assert (row.counts, row.rule) == ("hip", "left out")


def test_people_are_apart_by_what_one_sees_and_not_by_shares_of_a_wide_picture() -> None:
    """In a picture four times as wide as high the same share is four times as far across as it is down."""
    square = np.random.default_rng(1).uniform(0.1, 0.9, (11, 2)) * 400
    wide, high = (1600, 400), (400, 1600)
    for size in (wide, high):
        for moved, apart in ((square + np.array([60, 0]), True), (square + np.array([0, 60]), True), (square + np.array([16, 16]), False)):
            answers = [answer(who, pose / size)._replace(size=size) for who, pose in (("ann", square), ("ben", moved))]
            found = settle("pose", answers, 0.05, "leave_out")
            assert (found.value is None) == apart
    one, other = (
        Annotation("a", "task a", who, "1", {}, pose / wide, size=wide) for who, pose in (("ann", square), ("ben", square + np.array([0, 60])))
    )
    assert compare([one, other], SECTION).scores["pose"]["mean_distance"] == pytest.approx(60 / max(np.ptp(square, axis=0)))


def test_two_poses_that_mirror_each_other_are_apart_and_their_distance_is_a_number() -> None:
    """The median of each joint is one point."""
    pose = POSE - POSE.mean(axis=0)
    answers = [answer("ann", 0.5 - pose / 2), answer("ben", 0.5 + pose / 2)]
    found = settle("pose", answers, 0.1, "newest")
    assert found.dispute.startswith("people differ on ")
    np.testing.assert_array_equal(found.value, answers[1].value)
    point = np.full((11, 2), 0.5)
    assert (distances(point, point, (100, 100)) == 0).all() and np.isfinite(distances(POSE, point, (100, 100))).all()


def test_who_was_not_asked_what_is_hidden_has_no_say_in_it() -> None:
    pose = Annotation("a", "task a", "ann", "1", {}, POSE, frozenset({"hip"}))
    answers = answers_of([pose, *(replace(pose, annotator=who, hidden=None) for who in ("ben", "cat"))])
    assert [answer.annotator for answer in answers[Key("a", "hidden")]] == ["ann"]
    assert len(answers[Key("a", "pose")]) == 3
    assert Key("a", "hidden") not in answers_of([replace(pose, hidden=None)])


def test_a_star_counts_over_a_newer_answer_of_the_same_person() -> None:
    starred = replace(said("ann", "a", "1", hair_color="blue"), decides=True)
    answers = answers_of([said("ann", "a", "2", hair_color="red", glasses=True), starred])
    assert [(answer.value, answer.decides) for answer in answers[Key("a", "hair_color")]] == [("blue", True)]
    assert [(answer.value, answer.decides) for answer in answers[Key("a", "glasses")]] == [(True, False)]
    assert bad_pictures([starred, Annotation("a", "task a", "ann", "2", {}, None, bad=True)], SECTION) == []


def test_every_disagreement_is_listed_with_what_counts(tmp_path: Path) -> None:
    found = compare(
        [said("ann", "a", hair_color="blue", glasses=True), said("ben", "a", "2", hair_color="red", glasses=True), said("ann", "b", glasses=False)],
        SECTION,
    )
    assert (found.people, found.pictures) == (2, 2)
    (row,) = found.disagreements
    assert (row.task, row.name, row.dispute, row.counts) == ("task a", "hair_color", "a tie, 1 say blue and 1 say red", "red")
    assert found.scores["glasses"] == {"pairs": 1, "equal": 1.0, "kappa": 1.0}
    assert "1 disagreements" in "\n".join(found.lines())
    path = tmp_path / "d.csv"
    write_disagreements(path, found.disagreements)
    assert path.read_text().splitlines()[0] == "task,picture_id,name,dispute,counts,rule"


def test_kappa_is_of_two_people_whoever_answered_first() -> None:
    """As often as 3 of 4, by chance 1 of 2; of the first picture ben spoke last, of the others first."""
    hair = [("blue", "blue", "1"), ("blue", "blue", "3"), ("red", "red", "3"), ("red", "blue", "3")]
    anns = [said("ann", str(picture), at, hair_color=colour) for picture, (colour, _, at) in enumerate(hair)]
    bens = [said("ben", str(picture), "2", hair_color=colour) for picture, (_, colour, _) in enumerate(hair)]
    assert compare([*anns, *bens], SECTION).scores["hair_color"]["kappa"] == pytest.approx(0.5)


def test_one_person_alone_agrees_with_nobody() -> None:
    found = compare([said("ann", "a", glasses=True)], SECTION)
    assert found.scores == {} and "annotators_per_task" in found.lines()[0]
    (line,) = compare([], SECTION).lines()
    assert "nobody has labeled anything yet" in line
