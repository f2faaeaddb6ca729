"""The order in which people are asked: what teaches most first, no two alike, the same for the same pictures."""

import time
from typing import Any

import numpy as np
import pytest

from genga.errors import DataError
from genga.tags import column_slices, columns, groups
from labeling import ordering
from labeling.ordering import Wanted, pose_order, sureness, tag_order

rng = np.random.default_rng(0)


def sure_of_all(count: int) -> np.ndarray:
    """Probabilities of 1 for the first value of each group and of 0 for the flags."""
    found = np.zeros((count, len(columns())), np.float32)
    found[:, [column_slices()[group].start for group in groups()]] = 1
    return found


def unsure_of(found: np.ndarray, row: int, name: str, share: float = 1.0) -> None:
    part = column_slices()[name]
    even = 1 / (part.stop - part.start) if name in groups() else 0.5
    found[row, part] = found[row, part] * (1 - share) + even * share


def ids_of(count: int) -> list[str]:
    return [f"{at:03d}" for at in range(count)]


def none_known() -> dict[str, np.ndarray]:
    return {name: np.zeros(max(2, part.stop - part.start), np.int64) for name, part in column_slices().items()}


def rows_of(found: np.ndarray, features: np.ndarray, ids: list[str], count: int) -> list[int]:
    return [wanted.row for wanted in tag_order(found, features, ids, count, none_known())]


def test_the_least_certain_come_first_and_are_asked_for_what_is_uncertain() -> None:
    found, features = sure_of_all(30), rng.normal(size=(30, 8)).astype(np.float32)
    unsure_of(found, 7, "eye_color")
    unsure_of(found, 21, "eye_color", 0.5)
    unsure_of(found, 21, "glasses", 0.1)
    assert tag_order(found, features, ids_of(30), 1, none_known(), tags_each=1) == [Wanted(7, ("eye_color",))]
    first, second = tag_order(found, features, ids_of(30), 2, none_known(), tags_each=2)
    assert {first.row, second.row} == {7, 21}
    assert set((first, second)[first.row == 7].tags) == {"eye_color", "glasses"}
    assert len(tag_order(found, features, ids_of(30), 1, none_known())[0].tags) == len(column_slices())


def test_a_value_with_few_labels_is_asked_for_before_one_with_many() -> None:
    """Two pictures as uncertain: between two values that have a hundred labels, and between two that have one."""
    start, found = column_slices()["hair_color"].start, sure_of_all(2)
    found[0, start : start + 4], found[1, start : start + 4] = [0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]
    known, features = none_known(), np.eye(2, dtype=np.float32)
    known["hair_color"][:2] = 100
    known["hair_color"][2:4] = 1
    assert [wanted.row for wanted in tag_order(found, features, ids_of(2), 2, known)] == [1, 0]
    known["hair_color"][:4] = [1, 1, 100, 100]
    assert [wanted.row for wanted in tag_order(found, features, ids_of(2), 2, known)] == [0, 1]


def test_what_was_asked_for_counts_as_known() -> None:
    """Ten pictures between the same two hair colours, one a little less uncertain of its glasses: that one is not asked last."""
    found, features = sure_of_all(11), np.eye(11, dtype=np.float32)
    start = column_slices()["hair_color"].start
    found[:10, start : start + 2] = 0.5
    unsure_of(found, 10, "glasses", 0.05)
    order = tag_order(found, features, ids_of(11), 11, none_known(), tags_each=1)
    assert order[0].row < 10 and 0 < [wanted.row for wanted in order].index(10) < 10


def test_only_open_tags_are_asked_for() -> None:
    found, features = sure_of_all(3), np.eye(3, dtype=np.float32)
    unsure_of(found, 0, "hair_color")
    unsure_of(found, 1, "glasses", 0.2)
    may = np.array([[name in ("glasses", "smile") for name in column_slices()]]).repeat(3, axis=0)
    assert tag_order(found, features, ids_of(3), 1, none_known(), may, tags_each=1) == [Wanted(1, ("glasses",))]
    may[1] = [name == "smile" for name in column_slices()]
    unsure_of(found, 2, "smile", 0.1)
    order = tag_order(found, features, ids_of(3), 3, none_known(), may)
    assert order[0] == Wanted(2, ("smile", "glasses")) and {(wanted.row, set(wanted.tags) == {"smile"}) for wanted in order[1:]} == {
        (0, False),
        (1, True),
    }


def test_of_equally_uncertain_pictures_the_farthest_from_what_is_chosen_comes_next() -> None:
    found = sure_of_all(4)
    for row in range(4):
        unsure_of(found, row, "hair_color")
    features = np.array([[0.0, 0], [0.35, 0], [2, 0], [0.9, 0]], np.float32)
    order = rows_of(found, features, ids_of(4), 4)
    assert order[:2] == [0, 2] and order[-1] == 1


def test_near_duplicates_are_passed_over() -> None:
    found = sure_of_all(12)
    for row in range(12):
        unsure_of(found, row, "hair_color", 0.5)
    features = rng.normal(size=(4, 6)).astype(np.float32).repeat(3, axis=0) + rng.normal(size=(12, 6)).astype(np.float32) * 0.01
    order = rows_of(found, features, ids_of(12), 12)
    assert sorted(row // 3 for row in order) == [0, 1, 2, 3]


def test_near_duplicates_of_labelled_pictures_are_passed_over_but_one_that_is_asked_for_more_is_none_of_itself() -> None:
    found = sure_of_all(6)
    for row in range(6):
        unsure_of(found, row, "hair_color", 0.5)
    features = rng.normal(size=(6, 8)).astype(np.float32)
    labelled = {"elsewhere": features[2] + np.float32(0.01), "004": features[4]}
    order = tag_order(found, features, ids_of(6), 6, none_known(), labelled=labelled)
    assert sorted(wanted.row for wanted in order) == [0, 1, 3, 4, 5]
    order = tag_order(found, features, ids_of(6), 6, none_known(), labelled=labelled | {"another": features[4] + np.float32(0.01)})
    assert sorted(wanted.row for wanted in order) == [0, 1, 3, 5]


def test_pictures_of_which_something_is_said_are_no_duplicates_of_themselves_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "BLOCK", 2)
    found, features = sure_of_all(5), rng.normal(size=(5, 8)).astype(np.float32)
    for row in range(5):
        unsure_of(found, row, "hair_color", 0.5)
    labelled = dict(zip(ids_of(5), features, strict=True))
    order = tag_order(found, features, ids_of(5), 5, none_known(), labelled=labelled)
    assert sorted(wanted.row for wanted in order) == [0, 1, 2, 3, 4]


def test_a_short_queue_looks_beyond_near_duplicates_of_labelled_pictures() -> None:
    found, features = sure_of_all(20), rng.normal(size=(20, 8)).astype(np.float32)
    features[:19] = features[0]
    for row in range(20):
        unsure_of(found, row, "hair_color", 1 if row < 19 else 0.5)
    order = tag_order(found, features, ids_of(20), 1, none_known(), labelled={"elsewhere": features[0]})
    assert [wanted.row for wanted in order] == [19]


def test_of_equally_uncertain_pictures_the_farthest_from_what_is_labelled_comes_first() -> None:
    found = sure_of_all(3)
    for row in range(3):
        unsure_of(found, row, "hair_color")
    features = np.array([[0.0, 0], [0.5, 0], [3, 0]], np.float32)
    assert rows_of(found, features, ids_of(3), 1) == [0]
    order = tag_order(found, features, ids_of(3), 3, none_known(), labelled={"x": np.array([0.1, 0], np.float32)})
    assert [wanted.row for wanted in order] == [2, 1]


def test_many_labelled_pictures_are_compared_in_a_second() -> None:
    """More than one block of them; the last ones count, too."""
    features = rng.normal(size=(10_000, 64)).astype(np.float32)
    found = sure_of_all(10_000)
    found[:, column_slices()["hair_color"]] = 1 / len(groups()["hair_color"])
    labelled = {f"x{at}": vector for at, vector in enumerate(rng.normal(size=(3000, 64)).astype(np.float32))}
    labelled |= {f"y{at}": vector for at, vector in enumerate(features[:1000])}
    started = time.process_time()
    order = tag_order(found, features, ids_of(10_000), 20, none_known(), tags_each=2, labelled=labelled)
    assert time.process_time() - started < 5
    assert len(order) == 20 and min(wanted.row for wanted in order) >= 1000


def test_the_order_does_not_depend_on_how_the_rows_lie() -> None:
    count = 60
    found = rng.dirichlet(np.ones(len(columns())), count).astype(np.float32)
    found[10:20] = found[0]
    features, ids = rng.normal(size=(count, 5)).astype(np.float32), np.array(ids_of(count))
    order = tag_order(found, features, ids.tolist(), 20, none_known(), tags_each=3)
    shuffled = rng.permutation(count)
    again = tag_order(found[shuffled], features[shuffled], ids[shuffled].tolist(), 20, none_known(), tags_each=3)
    assert [(ids[wanted.row], wanted.tags) for wanted in order] == [(ids[shuffled][wanted.row], wanted.tags) for wanted in again]
    assert len({wanted.row for wanted in order}) == 20


def test_fewer_pictures_than_asked_for_are_all_given_and_none_of_none() -> None:
    found, features = sure_of_all(3), rng.normal(size=(3, 4)).astype(np.float32)
    assert sorted(rows_of(found, features, ids_of(3), 10)) == [0, 1, 2]
    assert rows_of(found[:0], features[:0], [], 5) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"count": 0}, "1 or more"),
        ({"probabilities": np.zeros((3, 2), np.float32)}, "one for each tag"),
        ({"features": np.zeros((2, 4), np.float32)}, "as many of each"),
        ({"ids": ["a"]}, "as many of each"),
        ({"features": np.full((3, 4), np.nan, np.float32)}, "no number"),
        ({"probabilities": np.full((3, len(columns())), 1.5, np.float32)}, "outside 0 to 1"),
        ({"known": {"hair_color": np.zeros(12, np.int64)}}, "no number of labels was found for bangs"),
        ({"open_tags": np.ones((3, 2), bool)}, "one for each picture and tag"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(change: dict[str, object], sentence: str) -> None:
    given: dict[str, object] = {"probabilities": sure_of_all(3), "features": np.zeros((3, 4), np.float32), "known": none_known(), "ids": ids_of(3)}
    with pytest.raises(DataError, match=sentence):
        tag_order(**({"count": 2} | given | change))  # type: ignore[arg-type]


# --- poses

SURE = np.full((4, 11), 0.9)
SURE[0, 4] = 0.0  # one lost wrist: mean of three 0.6
SURE[1, [2, 4, 5]] = 0.2  # a lost arm and more
SURE[3] = 0.5
POSES = np.random.default_rng(0).uniform(size=(4, 11, 2))


def test_the_three_least_sure_joints_say_how_sure_a_picture_is() -> None:
    np.testing.assert_allclose(sureness(SURE), [0.6, 0.2, 0.9, 0.5])


def test_the_least_sure_picture_comes_first_and_as_many_come_as_were_asked_for() -> None:
    assert pose_order(SURE, POSES, 4).tolist() == [1, 3, 0, 2]
    assert pose_order(SURE, POSES, 2).tolist() == [1, 3]
    assert pose_order(SURE, POSES, 9).tolist() == [1, 3, 0, 2]
    assert pose_order(SURE[:0], POSES[:0], 9).tolist() == []


def test_pictures_that_are_as_sure_keep_their_order() -> None:
    assert pose_order(np.full((4, 11), 0.5), POSES, 4).tolist() == [0, 1, 2, 3]


def test_a_pose_near_one_that_is_chosen_is_passed_over_wherever_and_however_large_it_stands() -> None:
    smaller = POSES[1] * 0.4 + 0.3
    read_again = POSES[3] + np.random.default_rng(1).normal(size=(11, 2)) * 0.02
    other_hand = POSES[0].copy()
    other_hand[4] += 0.5
    confidences = np.full((7, 11), [[0.1], [0.2], [0.3], [0.4], [0.5], [0.6], [0.7]])
    assert pose_order(confidences, [*POSES, smaller, read_again, other_hand], 7).tolist() == [0, 1, 2, 3, 6]
    assert pose_order(confidences[::-1], [*POSES, smaller, read_again, other_hand], 2).tolist() == [6, 5]


def test_a_pose_near_one_that_people_have_placed_is_passed_over() -> None:
    placed = np.concatenate([np.random.default_rng(2).uniform(size=(2000, 11, 2)), POSES[1:2] * 300 + 20, np.zeros((1, 11, 2))])
    assert pose_order(SURE, POSES, 4, placed).tolist() == [3, 0, 2]
    other_hand = POSES[1].copy()
    other_hand[4] += 0.5
    assert pose_order(SURE, POSES, 4, [other_hand]).tolist() == [1, 3, 0, 2]


def test_pictures_in_which_no_pose_was_read_are_not_alike() -> None:
    assert pose_order(np.zeros((3, 11)), np.zeros((3, 11, 2)), 3, np.zeros((1, 11, 2))).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("confidences", "message"),
    [
        (np.ones((3, 10)), r"confidences of shape \(3, 10\) were found, expected \(N, 11\)"),
        (np.full((3, 11), 1.2), "a confidence outside 0 to 1 was found"),
        (np.full((3, 11), np.nan), "a confidence outside 0 to 1 was found"),
    ],
)
def test_what_is_no_confidence_is_refused(confidences: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pose_order(confidences, POSES, 2)


@pytest.mark.parametrize("poses", [np.zeros((3, 11, 2)), np.zeros((4, 22)), np.full((4, 11, 2), np.nan)])
def test_what_is_no_pose_of_each_picture_is_refused(poses: Any) -> None:
    with pytest.raises(DataError, match=r"poses of shape .* for 4 confidences were found"):
        pose_order(SURE, poses, 2)
