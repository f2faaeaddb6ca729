import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
import pytest

from genga.door import run
from genga.errors import DataError
from genga.params import LabelFaces
from genga.skeleton import JOINTS
from genga.store import StoreWriter
from labeling.exports import write_tasks
from stages.labels import labels, main

POSE = np.random.default_rng(0).uniform(0.2, 0.8, (11, 2))


BAD = {"verdict": "bad picture"}


class Project:
    """The inputs of the stage in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "annotations").mkdir()
        (root / "annotations" / "README.md").write_text("exports go here")
        self.sample({})
        self.imported({"unlabeled": None})

    def imported(self, labels_of: Mapping[str, dict[str, Any] | None]) -> None:
        with StoreWriter(self.root / "imported", {}) as writer:
            for id_, known in labels_of.items():
                writer.append_encoded({"id": id_, "labels": json.dumps(known) if known else None}, b"")

    def sample(self, labels_of: Mapping[str, dict[str, Any]]) -> None:
        (self.root / "sample").mkdir(exist_ok=True)
        rows = [{"id": id_, "name": id_, "width": 1, "height": 1, "labels": json.dumps(known)} for id_, known in labels_of.items()]
        write_tasks(self.root / "sample" / "annotations.json", rows)

    def export(self, name: str, *answers: tuple[str, str, dict[str, Any]], at: str = "2026-01-01", asks: list[str] | None = None) -> None:
        """`answers`: annotator, picture id, and either tags or {"pose": 11 x, y}; `asks`: what a task of tags asks for."""
        tasks = []
        for number, (annotator, picture_id, said) in enumerate(answers, start=1):
            if "pose" in said:
                result = [
                    {"type": "keypointlabels", "from_name": "joints", "value": {"x": x * 100, "y": y * 100, "width": 0.8, "keypointlabels": [joint]}}
                    for joint, (x, y) in zip(JOINTS, np.asarray(said["pose"]), strict=False)
                ]
            else:
                result = [{"type": "choices", "from_name": tag, "value": {"choices": [choice]}} for tag, choice in said.items()]
            annotation = {"id": number, "completed_by": annotator, "updated_at": at, "result": result}
            data = {"image": "x", "id": picture_id} | ({} if asks is None else {"asks": asks})
            tasks.append({"id": number, "data": data, "annotations": [annotation]})
        (self.root / "annotations" / f"{name}.json").write_text(json.dumps(tasks))

    def run(self, human_only: bool = False, ties: Literal["newest", "leave_out"] = "leave_out") -> None:
        section = LabelFaces(human_only=human_only, pose_tolerance=0.1, ties=ties)
        labels(section, self.root / "imported", self.root / "sample", self.root / "annotations", self.root / "labels")

    def tags(self) -> dict[tuple[str, str], tuple[str, str]]:
        rows = pq.read_table(self.root / "labels" / "tags.parquet").to_pylist()
        return {(row["id"], row["name"]): (row["value"], row["origin"]) for row in rows}

    def poses(self) -> dict[str, tuple[np.ndarray, str]]:
        rows = pq.read_table(self.root / "labels" / "poses.parquet").to_pylist()
        return {row["id"]: (np.array([[row[f"x{j}"], row[f"y{j}"]] for j in range(11)]), row["origin"]) for row in rows}

    def problems(self) -> list[tuple[str, str, str]]:
        with (self.root / "labels" / "problems.csv").open(newline="") as file:
            return [(row["task"], row["id"], row["reason"]) for row in csv.DictReader(file)]

    def bad(self, kind: Literal["faces", "figures"]) -> list[str]:
        return (self.root / "labels" / f"bad-{kind}.csv").read_text().splitlines()[1:]

    def revision(self) -> dict[str, Any]:
        revision: dict[str, Any] = json.loads((self.root / "labels" / "revision.json").read_text())
        return revision


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_with_nothing_labeled_the_tables_are_empty_but_there(project: Project) -> None:
    project.run()
    assert (project.tags(), project.poses(), project.problems()) == ({}, {}, [])
    assert project.revision()["counts"] == {"pictures": 0, "tags": 0, "poses": 0, "problems": 0, "bad": 0}
    assert project.bad("faces") == project.bad("figures") == []


def test_a_person_goes_before_the_data_and_the_data_before_the_drawing(project: Project) -> None:
    project.imported({"real": {"hair_color": "blue", "eye_color": "red"}})
    project.sample({"drawn": {"hair_color": "pink", "glasses": True}})
    project.export("p", ("ann", "real", {"hair_color": "aqua", "smile": "no"}), ("ann", "drawn", {"glasses": "no"}))
    project.run()
    assert project.tags() == {
        ("real", "hair_color"): ("aqua", "human"),
        ("real", "eye_color"): ("red", "imported"),
        ("real", "smile"): ("false", "human"),
        ("drawn", "hair_color"): ("pink", "drawn"),
        ("drawn", "glasses"): ("false", "human"),
    }
    assert project.revision()["origins"]["hair_color"] == {"drawn": 1, "human": 1}


def test_the_imported_sample_stays_drawn(project: Project) -> None:
    project.imported({"face": {"hair_color": "pink"}, "other": {"hair_color": "red"}})
    project.sample({"face": {"hair_color": "pink"}})
    project.run()
    assert project.tags() == {("face", "hair_color"): ("pink", "drawn"), ("other", "hair_color"): ("red", "imported")}


def test_labels_that_came_with_the_data_can_be_left_out(project: Project) -> None:
    project.imported({"real": {"hair_color": "blue"}})
    project.sample({"drawn": {"glasses": True}})
    project.export("p", ("ann", "real", {"smile": "yes"}))
    project.run(human_only=True)
    assert project.tags() == {("real", "smile"): ("true", "human"), ("drawn", "glasses"): ("true", "drawn")}


def test_the_majority_of_people_decides(project: Project) -> None:
    project.export("p", *((who, "a", {"hair_color": colour}) for who, colour in (("ann", "blue"), ("ben", "aqua"), ("cat", "blue"))))
    project.run()
    assert project.tags() == {("a", "hair_color"): ("blue", "human")}


def test_a_tie_is_listed_and_left_out_even_where_the_data_has_a_label(project: Project) -> None:
    project.imported({"a": {"hair_color": "blue", "eye_color": "red"}})
    project.export("p", ("ann", "a", {"hair_color": "blue"}), ("ben", "a", {"hair_color": "aqua"}))
    project.run()
    assert project.tags() == {("a", "eye_color"): ("red", "imported")}
    assert project.problems() == [("p.json task 2", "a", "hair_color: a tie, 1 say aqua and 1 say blue; left out")]


def test_or_the_newest_answer_counts_and_the_tie_is_listed_all_the_same(project: Project) -> None:
    project.export("p", ("ann", "a", {"hair_color": "blue"}), at="2026-01-02")
    project.export("q", ("ben", "a", {"hair_color": "aqua"}), at="2026-01-01")
    project.run(ties="newest")
    assert project.tags() == {("a", "hair_color"): ("blue", "human")}
    assert project.problems() == [("p.json task 1", "a", "hair_color: a tie, 1 say aqua and 1 say blue; the newest answer counts")]


def test_a_picture_that_most_people_call_bad_has_no_labels_and_is_listed(project: Project) -> None:
    project.imported({"a": {"eye_color": "red"}, "b": {"eye_color": "red"}})
    good = {"hair_color": "blue"}
    project.export("p", ("ann", "a", BAD), ("ben", "a", BAD), ("cat", "a", good), ("ann", "b", BAD), ("ben", "b", good))
    project.run()
    assert project.bad("faces") == ["a"]
    assert project.tags() == {("b", "hair_color"): ("blue", "human"), ("b", "eye_color"): ("red", "imported")}
    project.export("q", ("ben", "a", good), at="2026-01-02")
    project.run()
    assert project.bad("faces") == []


def test_bad_pictures_are_told_apart_by_what_was_asked_and_where_nothing_tells_they_are_both(project: Project) -> None:
    """A task of joints names no tags; an export of ours names none of a bad picture; another person's may say nothing of a face."""
    project.imported({"face": None, "told nothing": None})
    project.export("tags", ("ann", "face", BAD), ("ann", "one of several faces", BAD), asks=["hair_color", "smile"])
    project.export("poses", ("ann", "figure", BAD), ("ann", "told nothing", BAD))
    project.export("export", ("ann", "either", BAD), ("ann", "face", BAD), asks=[])
    project.run()
    assert project.bad("faces") == ["either", "face", "one of several faces", "told nothing"]
    assert project.bad("figures") == ["either", "figure", "told nothing"]
    assert project.revision()["counts"]["bad"] == 5


def test_of_one_person_the_newest_answer_counts_wherever_it_was_exported(project: Project) -> None:
    project.export("project-1", ("ann", "a", {"glasses": "no"}), at="2026-01-02T10:00:00Z")
    project.export("project-2", ("ann", "a", {"glasses": "yes"}), at="2026-01-01T10:00:00Z")
    project.run()
    assert project.tags() == {("a", "glasses"): ("false", "human")}


def test_agreement_is_the_share_of_equal_pairs(project: Project) -> None:
    answers = [("ann", "a", "blue"), ("ben", "a", "blue"), ("cat", "a", "red"), ("ann", "b", "red"), ("ben", "b", "red"), ("ann", "c", "red")]
    project.export("p", *((who, picture, {"hair_color": colour}) for who, picture, colour in answers))
    project.run()
    assert project.revision()["agreement"] == {"hair_color": {"pairs": 4, "equal": 0.5, "kappa": pytest.approx(0.5)}}


def test_people_who_agree_on_a_pose_give_its_median(project: Project) -> None:
    project.export("p", *((f"{n}", "a", {"pose": POSE + shift}) for n, shift in enumerate((-0.01, 0.0, 0.02))))
    project.run()
    pose, origin = project.poses()["a"]
    np.testing.assert_allclose(pose, POSE, atol=1e-9)
    assert origin == "human"
    agreement = project.revision()["agreement"]["pose"]
    box = float(np.ptp(POSE, axis=0).max())
    assert (agreement["pairs"], agreement["pck"]) == (3, 1.0)
    assert agreement["mean_distance"] == pytest.approx(np.sqrt(2) * (0.01 + 0.02 + 0.03) / 3 / box)


def test_people_who_differ_on_a_joint_leave_the_pose_out(project: Project) -> None:
    swapped = POSE.copy()
    swapped[[2, 3]] = swapped[[3, 2]]
    project.export("p", ("ann", "a", {"pose": POSE}), ("ben", "a", {"pose": swapped}))
    project.run()
    assert project.poses() == {}
    assert project.problems() == [("p.json task 2", "a", "pose: people differ on l_elbow, r_elbow; left out")]


def test_or_the_newest_answer_counts_for_the_joints_on_which_they_differ(project: Project) -> None:
    moved = POSE + 0.01
    moved[[2, 3]] = moved[[3, 2]]
    project.export("p", ("ann", "a", {"pose": POSE}), at="2026-01-01")
    project.export("q", ("ben", "a", {"pose": moved}), at="2026-01-02")
    project.run(ties="newest")
    expected = POSE + 0.005
    expected[[2, 3]] = moved[[2, 3]]
    np.testing.assert_allclose(project.poses()["a"][0], expected, atol=1e-9)


def test_one_of_three_who_differs_is_outvoted(project: Project) -> None:
    swapped = POSE.copy()
    swapped[[2, 3]] = swapped[[3, 2]]
    project.export("p", ("ann", "a", {"pose": POSE}), ("ben", "a", {"pose": swapped}), ("cat", "a", {"pose": POSE}))
    project.run()
    np.testing.assert_allclose(project.poses()["a"][0], POSE)


def test_a_pose_that_is_not_whole_is_listed(project: Project) -> None:
    project.export("p", ("ann", "a", {"pose": POSE[:10]}))
    project.run()
    assert project.poses() == {}
    assert project.problems() == [("p.json task 1", "a", "r_ankle missing")]


def test_the_revision_follows_the_labels_and_nothing_else(project: Project) -> None:
    revisions = []
    for name, colour in (("p", "blue"), ("renamed", "blue"), ("renamed", "red")):
        for path in (project.root / "annotations").glob("*.json"):
            path.unlink()
        project.export(name, ("ann", "a", {"hair_color": colour}))
        project.run()
        revisions.append(project.revision()["revision"])
    assert revisions[0] == revisions[1] != revisions[2]


def test_the_same_labels_give_the_same_bytes(project: Project) -> None:
    project.imported({"real": {"hair_color": "blue"}})
    project.export("p", ("ann", "a", {"pose": POSE}), ("ann", "b", {"smile": "yes"}))
    project.run()
    first = {path.name: path.read_bytes() for path in (project.root / "labels").iterdir()}
    project.run()
    assert {path.name: path.read_bytes() for path in (project.root / "labels").iterdir()} == first
    assert sorted(first) == ["bad-faces.csv", "bad-figures.csv", "poses.parquet", "problems.csv", "revision.json", "tags.parquet"]


def test_a_damaged_export_stops_with_its_name(project: Project) -> None:
    (project.root / "annotations" / "bad.json").write_text("{")
    with pytest.raises(DataError, match=r"bad.json is not readable JSON"):
        project.run()


def test_answers_that_come_while_labels_are_read_are_not_passed_over(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DVC would take note of them as read."""
    for name in ("params.yaml", "dvc.yaml", ".dvcignore"):
        shutil.copy(name, project.root)
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("DVC_STAGE", "labels")
    monkeypatch.setattr("genga.params._deps_at_start", {})
    monkeypatch.setattr("genga.params._first_read", {})
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["labels", "imported", "sample", "annotations", "labels"])
    run(main)
    monkeypatch.setattr("stages.labels.labels", lambda *_: Path("annotations/project-1.json").write_text("[]"))
    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 2
    assert "error: annotations changed while labels ran, so what it made was not recorded; run `genga repro` again" in capsys.readouterr().err
