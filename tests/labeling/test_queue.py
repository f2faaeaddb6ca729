"""The annotator sees the worst first."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genga.errors import DataError
from genga.skeleton import JOINTS
from labeling.exports import read_exports
from labeling.queue import label_queue, sureness, write_queue

POSES = np.random.default_rng(0).uniform(0.05, 0.95, (4, 11, 2))
ROWS = [{"id": name * 64, "name": f"/data/local-files/?d={name}.png", "width": 200, "height": 100, "source": "a test"} for name in "abcd"]
SURE = np.full((4, 11), 0.9)
SURE[0, 4] = 0.0  # one lost wrist: mean of three 0.6
SURE[1, [2, 4, 5]] = 0.2  # a lost arm and more
SURE[3] = 0.5


def order(tasks: list[dict[str, Any]]) -> str:
    return "".join(task["data"]["id"][0] for task in tasks)


def test_the_three_least_sure_joints_say_how_sure_a_picture_is() -> None:
    np.testing.assert_allclose(sureness(SURE), [0.6, 0.2, 0.9, 0.5])


def test_the_least_sure_picture_comes_first() -> None:
    assert order(label_queue(ROWS, POSES, SURE, (), "stick-pose/1")) == "bdac"


def test_pictures_that_are_as_sure_keep_their_order() -> None:
    assert order(label_queue(ROWS, POSES, np.full((4, 11), 0.5), (), "stick-pose/1")) == "abcd"


def test_labelled_pictures_are_left_out() -> None:
    assert order(label_queue(ROWS, POSES, SURE, {"b" * 64, "c" * 64, "x" * 64}, "stick-pose/1")) == "da"
    assert label_queue(ROWS, POSES, SURE, [row["id"] for row in ROWS], "stick-pose/1") == []


def test_a_task_is_what_label_studio_imports() -> None:
    task = label_queue(ROWS, POSES, SURE, (), "stick-pose/1")[0]
    assert task.keys() == {"data", "predictions"}
    assert task["data"] == {"image": "/data/local-files/?d=b.png", "id": "b" * 64}
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "stick-pose/1" and prediction["score"] == pytest.approx(0.2)
    assert [region["value"]["keypointlabels"] for region in prediction["result"]] == [[joint] for joint in JOINTS]
    for joint, region in enumerate(prediction["result"]):
        assert (region["type"], region["from_name"], region["to_name"]) == ("keypointlabels", "joints", "image")
        assert (region["original_width"], region["original_height"]) == (200, 100)
        assert [region["value"][axis] for axis in "xy"] == pytest.approx(100 * POSES[1, joint])
        assert region["score"] == SURE[1, joint]


def test_a_guess_outside_the_picture_is_brought_to_its_edge() -> None:
    poses = POSES.copy()
    poses[1, 0] = [-0.2, 1.3]
    head = label_queue(ROWS, poses, SURE, (), "stick-pose/1")[0]["predictions"][0]["result"][0]
    assert (head["value"]["x"], head["value"]["y"]) == (0, 100)


def test_a_guess_that_is_accepted_reads_back_as_the_pose(tmp_path: Path) -> None:
    tasks = label_queue(ROWS, POSES, SURE, (), "stick-pose/1")
    write_queue(tmp_path / "queue.json", tasks)
    written = json.loads((tmp_path / "queue.json").read_text())
    assert written == tasks
    accepted = [task | {"id": 1, "annotations": [{"id": 1, "result": task["predictions"][0]["result"]}]} for task in written]
    (tmp_path / "project-1.json").write_text(json.dumps(accepted))
    exports = read_exports([tmp_path / "project-1.json"])
    assert exports.problems == []
    for annotation, row in zip(exports.annotations, (1, 3, 0, 2), strict=True):
        assert annotation.picture_id == ROWS[row]["id"] and annotation.labels == {}
        assert annotation.pose is not None
        np.testing.assert_allclose(annotation.pose, POSES[row], atol=1e-12)


@pytest.mark.parametrize(
    ("rows", "poses", "confidences", "message"),
    [
        (ROWS, POSES, SURE[:, :10], r"confidences of shape \(4, 10\) were found, expected \(N, 11\)"),
        (ROWS, POSES, SURE[0], r"confidences of shape \(11,\)"),
        (ROWS, POSES, SURE + 0.2, "a confidence outside 0 to 1"),
        (ROWS, POSES, SURE * np.nan, "a confidence outside 0 to 1"),
        (ROWS[:3], POSES, SURE, "3 pictures, 4 poses and 4 rows of confidences"),
        (ROWS, POSES[:2], SURE, "4 pictures, 2 poses and 4 rows of confidences"),
        (ROWS, POSES[..., 0], SURE, r"expected \(..., 11, 2\)"),
        (ROWS, POSES * np.inf, SURE, "not a finite number"),
    ],
)
def test_what_does_not_fit_together_is_refused(rows: list[dict[str, Any]], poses: np.ndarray, confidences: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        label_queue(rows, poses, confidences, (), "stick-pose/1")
