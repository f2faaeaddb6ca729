"""A guess goes in as Label Studio wants it, and reads back as the labels that it is when nobody changes it."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from genga import tags
from genga.skeleton import JOINTS, STICKS
from labeling.configs import KEYBOARD, hotkeys, poses_config, tags_config
from labeling.exports import read_result
from labeling.keypoints import VERDICTS
from labeling.tasks import EVERYTHING, PoseGuess, TagGuess, about, asked, asking, pose_regions, prediction, sight_regions

POSE = np.random.default_rng(0).uniform(0.05, 0.95, (11, 2))
CONFIDENCE = np.linspace(0.3, 0.9, 11)


def tag_guess(values: tags.Labels) -> TagGuess:
    probabilities = dict.fromkeys(tags.columns(), 0.1) | {"hair_color=blue": 0.7, "glasses": 0.8}
    return TagGuess(probabilities, values)


def test_an_accepted_pose_reads_back_and_its_sticks_are_no_joints() -> None:
    predicted = prediction(PoseGuess(POSE, CONFIDENCE), 200, 100, "figure-pose/3")
    said = read_result(predicted["result"])
    assert said.fault == "" and said.hidden == frozenset() and said.size == (200, 100) and said.pose is not None
    np.testing.assert_allclose(said.pose, POSE, atol=1e-12)
    assert (predicted["model_version"], predicted["score"]) == ("figure-pose/3", pytest.approx(0.3))
    assert [region.get("score") for region in predicted["result"]] == [*CONFIDENCE.tolist(), None]


def test_the_sticks_join_the_joints_and_cannot_be_moved() -> None:
    *_, sticks = prediction(PoseGuess(POSE, CONFIDENCE), 200, 100, "figure-pose/3")["result"]
    assert sticks["readonly"] is True
    vertices = {vertex["id"]: vertex for vertex in sticks["value"]["vertices"]}
    assert {(vertex["prevPointId"], name) for name, vertex in vertices.items() if vertex["prevPointId"]} == {
        (JOINTS[start], JOINTS[end]) for start, end in STICKS
    }
    assert [vertices[joint]["x"] for joint in JOINTS] == pytest.approx(100 * POSE[:, 0])


def test_a_guessed_joint_outside_the_picture_is_brought_to_its_edge() -> None:
    pose = POSE.copy()
    pose[0] = [-0.2, 1.3]
    *joints, sticks = prediction(PoseGuess(pose, CONFIDENCE), 200, 100, "stick-pose/1")["result"]
    assert (joints[0]["value"]["x"], joints[0]["value"]["y"]) == (0, 100)
    assert (sticks["value"]["vertices"][0]["x"], sticks["value"]["vertices"][0]["y"]) == (0, 100)
    assert read_result([*joints, sticks]).fault == ""  # accepted there
    assert read_result(pose_regions(pose, 200, 100)).fault == "head outside the picture"  # what a person said is not moved


def test_hidden_joints_read_back() -> None:
    points = pose_regions(POSE, 200, 100)
    hidden = frozenset({"r_wrist", "l_ankle"})
    assert read_result([*points, *sight_regions(hidden, points)]).hidden == hidden


def test_accepted_tags_read_back_with_a_no_for_every_empty_box() -> None:
    values: tags.Labels = {"hair_color": "blue", "glasses": True}
    predicted = prediction(tag_guess(values), 128, 128, "tagger/2")
    assert read_result(predicted["result"], tags.flags()).labels == {**dict.fromkeys(tags.flags(), False), **values}
    assert read_result(predicted["result"]).labels == values  # a screen that offered no boxes says nothing about them
    assert {region["from_name"]: region["score"] for region in predicted["result"]} == {"hair_color": 0.7, "flags": pytest.approx(0.8)}
    assert predicted["score"] == pytest.approx(0.7)


def test_an_answer_in_which_all_is_left_open_is_a_no_for_every_empty_box() -> None:
    """The screen says: a box that stays empty is a no, a group is left open where nothing fits."""
    assert read_result([], tags.flags()).labels == dict.fromkeys(tags.flags(), False)
    assert read_result([]).labels == {}


@pytest.mark.parametrize("verdict", ["unsure", "bad picture"])
def test_an_answer_that_the_annotator_doubts_is_listed_and_kept_out(verdict: str) -> None:
    doubt = {"id": "v", "from_name": "verdict", "to_name": "image", "type": "choices", "value": {"choices": [verdict]}}
    said = read_result([*prediction(tag_guess({"hair_color": "blue"}), 9, 9, "t")["result"], doubt, *pose_regions(POSE, 9, 9)], tags.flags())
    assert (said.labels, said.pose, said.fault) == ({}, None, f"the annotator says: {verdict}")
    assert said.bad == (verdict == "bad picture")


def test_every_choice_has_a_key_of_its_own_and_neighbours_lie_side_by_side() -> None:
    questions = {**tags.groups(), "flags": tags.flags(), "verdict": ["unsure", "bad picture"]}
    given = hotkeys(questions)
    keys = [key for name, values in questions.items() for key in (given[name][value] for value in values)]
    assert len(keys) == len(set(keys)) == sum(map(len, questions.values()))
    for name, values in questions.items():
        assert any("".join(given[name][value] for value in values) in row for row in KEYBOARD), name


def test_a_question_longer_than_any_row_has_no_keys() -> None:
    assert hotkeys({"many": [str(n) for n in range(20)], "few": ["a"]})["many"] == {}


def test_a_task_that_asks_for_some_tags_carries_a_guess_of_these_and_reads_back_as_these() -> None:
    names = ("glasses", "hair_color", "bangs")
    data = asking(names)
    assert data == {"asks": ["hair_color", "glasses", "bangs"], "question": "Asked: hair color, glasses, bangs"}
    guess = tag_guess({"hair_color": "blue", "eye_color": "red", "glasses": True, "smile": True, "bangs": False})
    predicted = prediction(about(guess, asked(data)), 10, 10, "tagger/1")
    assert [(region["from_name"], region["value"]["choices"]) for region in predicted["result"]] == [("hair_color", ["blue"]), ("flags", ["glasses"])]
    assert predicted["score"] == pytest.approx(0.7)  # of hair color; of the boxes it is 0.8, of smile, which is not asked for, 0.9
    assert read_result(predicted["result"], data["asks"]).labels == {"hair_color": "blue", "glasses": True, "bangs": False}


def test_a_task_asks_for_everything_where_nothing_is_named_as_those_of_an_older_push_do() -> None:
    every = [*tags.groups(), *tags.flags()]
    assert asking() == asking(every) == {"asks": every, "question": EVERYTHING}
    assert asked({"id": "x"}) == asked({"asks": tags.flags()}) == asked(asking()) == every
    assert asked({"asks": ["glasses"]}) == [*tags.groups(), "glasses"]
    pose = PoseGuess(POSE, CONFIDENCE)
    assert about(pose, ["glasses"]) is pose


def test_a_new_tag_is_not_asked_for_by_what_asked_for_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asking()
    monkeypatch.setattr(tags, "flags", lambda: ["glasses", "wings"])
    assert asked(before) == [*tags.groups(), "glasses"] and "wings" in asking()["asks"]


def test_a_tag_that_is_no_more_is_asked_for_no_longer() -> None:
    assert asked(asking(["hair_color", "glasses"]) | {"asks": ["hair_color", "gone", "glasses"]}) == ["hair_color", "glasses"]


def test_the_readme_names_the_keys_of_both_screens() -> None:
    poses, tagged = (
        {choice.get("value"): choice.get("hotkey") for choice in ET.fromstring(config).iter("Choice")} for config in (poses_config(), tags_config())
    )
    text = " ".join((Path(__file__).parents[2] / "README.md").read_text().split())
    unsure, bad = VERDICTS
    assert f"press `{poses['hidden']}` on a chosen joint" in text
    assert f"unsure press `{poses[unsure]}`, for a bad picture `{poses[bad]}`; on the screen of tags" in text
    assert f"`{tagged[unsure]}` and `{tagged[bad]}`." in text
