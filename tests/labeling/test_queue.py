"""The annotator sees the worst first."""

from typing import Any

import numpy as np
import pytest

from genga.errors import DataError
from labeling.queue import pose_order, sureness

SURE = np.full((4, 11), 0.9)
SURE[0, 4] = 0.0  # one lost wrist: mean of three 0.6
SURE[1, [2, 4, 5]] = 0.2  # a lost arm and more
SURE[3] = 0.5


def test_the_three_least_sure_joints_say_how_sure_a_picture_is() -> None:
    np.testing.assert_allclose(sureness(SURE), [0.6, 0.2, 0.9, 0.5])


def test_the_least_sure_picture_comes_first_and_as_many_come_as_were_asked_for() -> None:
    assert pose_order(SURE, 4).tolist() == [1, 3, 0, 2]
    assert pose_order(SURE, 2).tolist() == [1, 3]
    assert pose_order(SURE, 9).tolist() == [1, 3, 0, 2]


def test_pictures_that_are_as_sure_keep_their_order() -> None:
    assert pose_order(np.full((4, 11), 0.5), 4).tolist() == [0, 1, 2, 3]


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
        pose_order(confidences, 2)
