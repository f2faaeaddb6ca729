"""`genga label`: what a newcomer is told, and what is said when a piece is missing."""

import argparse
import fcntl
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_release import make_release

from cli import guessing, label_up
from cli.guessing import guesses_for, open_engine
from cli.label import add_label_commands
from cli.queueing import order, placed_poses
from drawing.mannequin import LOOKS, line_art, sample_mannequin
from flows.turns import LOCK
from genga import tags
from genga.door import run
from genga.errors import DataError, GengaError
from genga.gallery import EVEN, distance
from genga.params import load_params
from genga.pictures import encode_png
from genga.store import StoreWriter, picture_id
from genga.tags import column_slices, flags, groups
from labeling import account, projects, push
from labeling.exports import read_exports, write_tasks
from labeling.formats import Labeled, from_coco, to_coco, to_label_studio
from labeling.ordering import NEAR_POSE
from labeling.pictures import Entry
from labeling.projects import KINDS, Project
from labeling.pull import Pulled
from labeling.push import Present, Pushed
from labeling.tasks import verdict_region


def label(*words: str) -> None:
    parser = argparse.ArgumentParser(prog="genga")
    add_label_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(["label", *words])
    run(lambda: args.do(args))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "params.yaml").write_text((Path(__file__).parents[2] / "params.yaml").read_text())
    (tmp_path / "annotations").mkdir()
    monkeypatch.chdir(tmp_path)


class Told(NamedTuple):
    """What one push would have written."""

    chosen: list[Entry]
    guesses: Any
    queue: bool


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """All but Label Studio itself: what would be pushed there, where nothing is yet."""
    found: list[Told] = []

    def pushed(_client: Any, _project: Project, _home: Any, chosen: Sequence[Entry], guesses: Any, _params: Any, *, queue: bool) -> Pushed:
        found.append(Told(list(chosen), guesses, queue))
        return Pushed(len(chosen), 0, 0)

    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(account, "connect", lambda _: None)
    monkeypatch.setattr(projects, "ensure_project", lambda _client, url, kind, *_: Project(1, kind, url))
    monkeypatch.setattr(push, "present", lambda *_: {})
    monkeypatch.setattr(push, "push", pushed)
    return found


@pytest.mark.parametrize("action", ["up", "push", "queue", "pull", "agreement", "import", "export", "open"])
def test_every_action_explains_itself_in_sentences(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        label(action, "--help")
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert len(told) > 200 and "." in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pull"], "start one with `make label-studio`"),
        (["push"], "start one with `make label-studio`"),
        (["push", "--doubtful", "x.json", "--only", "poses"], "leave one of the two out"),
        (["open"], "start one with `make label-studio`"),
        (["push", "--limit", "-1"], "--limit -1 was asked for, expected at least 1"),
        (["queue", "0"], "a queue of 0 pictures was asked for"),
        (["export", "coco", "missing/out.json"], "no answers are in annotations, missing/out.json is not written; pull or import some first"),
        (["agreement", "--csv", "missing/d.csv"], "missing/d.csv cannot be written (No such file or directory); give a file in a folder"),
        (["import", "coco", "missing.json"], "no file missing.json; give the one that was exported"),
    ],
)
def test_what_is_missing_is_one_sentence_and_ends_with_2(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        label(*words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and message in told and told.count("\n") == 1


def test_an_export_of_nothing_leaves_the_file_that_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.json").write_text("precious")
    (tmp_path / "elsewhere").mkdir()
    for place, file, sentence in (
        (".", "my.json", "no answers are in annotations, my.json is not written"),
        ("elsewhere", "../my.json", "params.yaml"),
    ):
        monkeypatch.chdir(tmp_path / place)
        with pytest.raises(SystemExit) as ended:
            label("export", "coco", file)
        assert ended.value.code == 2 and sentence in capsys.readouterr().err
    assert (tmp_path / "my.json").read_text() == "precious"


def test_answers_are_compared_exported_and_pulled_without_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pose = np.random.default_rng(0).uniform(0.1, 0.9, (11, 2))
    said = [Labeled("a" * 64, who, (100, 100), {"hair_color": colour}, pose) for who, colour in (("ann", "blue"), ("ben", "red"))]
    (tmp_path / "annotations" / "project-1.json").write_text(to_label_studio(said))
    label("agreement", "--csv", "d.csv")
    told = capsys.readouterr().out
    assert "2 people, 1 pictures" in told and "oks 1.000" in told and "hair_color" in told
    assert len((tmp_path / "d.csv").read_text().splitlines()) == 2
    with pytest.raises(SystemExit):
        label("export", "coco", "missing/out.json")
    assert "missing/out.json cannot be written (No such file or directory); give a file in a folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        label("export", "coco", ".")
    assert "error: . is a folder; give a file" in capsys.readouterr().err
    label("export", "coco", "out.json")
    assert len(from_coco((tmp_path / "out.json").read_text()).found) == 2
    assert capsys.readouterr().out == "2 answers written to out.json; coco cannot hold 2 answers' tags\n"
    line = {"id": "b" * 64, "at": "2026-01-01", "by": "cat", "width": 9, "height": 9, "labels": {"glasses": True}}
    (tmp_path / "annotations" / "review.jsonl").write_text(json.dumps(line) + "\n")
    label("pull", "--offline")
    assert "label revision 1" in capsys.readouterr().out
    label("pull", "--offline")
    assert "nothing new since label revision 1" in capsys.readouterr().out


def test_an_export_says_how_many_answers_are_kept_out_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = [Labeled(letter * 64, "ann", (100, 100), {"hair_color": "blue"}, None) for letter in "abc"]
    tasks = json.loads(to_label_studio(said))
    for task, verdict in zip(tasks, ("unsure", "bad picture"), strict=False):
        task["annotations"][0]["result"].append(verdict_region(verdict))
    (tmp_path / "annotations" / "project-1.json").write_text(json.dumps(tasks))
    label("export", "label-studio", "out.json")
    written, kept_out = capsys.readouterr().out.splitlines()
    assert written == "2 answers written to out.json" and kept_out.startswith("1 answers that are kept out")
    assert [task["data"]["id"][0] for task in json.loads((tmp_path / "out.json").read_text())] == ["b", "c"]


def test_a_pull_counts_corrections_and_says_what_is_about_no_picture_here_until_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    line = {"at": "2026-01-01", "by": "cat", "width": 64, "height": 64, "labels": {"glasses": True}}
    said = [line | {"id": id_} for id_ in (picture_id(drawn), "b" * 64, "b" * 64)]
    (tmp_path / "annotations" / "review.jsonl").write_text("".join(json.dumps(each) + "\n" for each in said))
    counts = "0 tasks new, 0 changed, 0 no longer labeled; {} corrections new; 0 answers kept out"
    absent = "{} answers are about pictures that are not here: {}; they count once these are imported"
    label("pull", "--offline")
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == [counts.format(3), absent.format(3, ", ".join(sorted([picture_id(drawn), "b" * 64])))]
    (tmp_path / "own-figures" / "figures").mkdir(parents=True)
    (tmp_path / "own-figures" / "figures" / "1.png").write_bytes(encode_png(drawn))
    label("pull", "--offline")
    assert capsys.readouterr().out.splitlines()[:2] == [counts.format(0), absent.format(2, "b" * 64)]
    with StoreWriter(tmp_path / "data" / "faces" / "imported", {}) as writer:
        writer.append_encoded({"id": "b" * 64, "name": "b.png", "width": 64, "height": 64, "duplicates": []}, b"")
    label("pull", "--offline")
    assert capsys.readouterr().out.splitlines()[:2] == [counts.format(0), "nothing new since label revision 1"]


def test_an_export_counts_what_is_written_and_one_that_can_hold_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pose = np.random.default_rng(0).uniform(0.1, 0.9, (11, 2))
    said = [Labeled("a" * 64, "ann", (9, 9), {"glasses": True}, None), Labeled("b" * 64, "ann", (9, 9), {}, pose)]
    (tmp_path / "annotations" / "project-1.json").write_text(to_label_studio(said))
    label("export", "coco", "out.json")
    label("export", "cvat", "out.xml")
    assert capsys.readouterr().out.splitlines() == [
        "1 answers written to out.json; coco cannot hold 1 answers' tags",
        "2 answers written to out.xml",
    ]
    (tmp_path / "annotations" / "project-1.json").write_text(to_label_studio(said[:1]))
    before = (tmp_path / "out.json").read_bytes()
    with pytest.raises(SystemExit) as ended:
        label("export", "coco", "out.json")
    assert ended.value.code == 2 and (tmp_path / "out.json").read_bytes() == before
    assert "none of the 1 answers in annotations is written to out.json; coco cannot hold 1 answers' tags; write" in capsys.readouterr().err


def test_a_pull_takes_turns_with_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pull(*_: Any, offline: bool) -> Pulled:
        with LOCK.open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Pulled(3, False, {}, 0, 0, 0, 0, [])

    monkeypatch.setattr("labeling.pull.pull", pull)
    label("pull", "--offline")


def test_a_tag_that_is_gone_stops_neither_a_pull_nor_the_agreement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [Labeled("a" * 64, who, (9, 9), {"hair_color": "blue", "smile": True}, None) for who in ("ann", "ben")]
    (tmp_path / "annotations" / "project-1.json").write_text(to_label_studio(said))
    monkeypatch.setattr(tags, "flags", lambda: ["glasses"])
    label("pull", "--offline")
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == [f"kept out: project-1.json task {number}  smile is no tag any more" for number in (1, 2)]
    label("agreement")
    told = capsys.readouterr().out.splitlines()
    assert any(line.split()[0] == "hair_color" for line in told) and not any("smile" in line for line in told)


def test_a_label_studio_that_ends_by_itself_is_one_sentence_with_its_code_and_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def running(*_: Any) -> Iterator[subprocess.Popen[bytes]]:
        yield subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])

    monkeypatch.setattr(label_up, "running", running)
    for name in ("connect", "ensure_project", "tasks_of", "ask_today", "disconnect"):
        monkeypatch.setattr(label_up, name, lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        label("up")
    assert ended.value.code == 2
    assert "error: Label Studio ended with code 3; the end of .label-studio/label-studio.log says why" in capsys.readouterr().err


def test_a_label_studio_is_not_started_here_while_another_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://team.example:8080")
    monkeypatch.setattr(label_up, "running", lambda *_: pytest.fail("started"))
    with pytest.raises(SystemExit) as ended:
        label("up")
    assert ended.value.code == 2 and "go on asking http://team.example:8080; unset it to start a Label Studio here" in capsys.readouterr().err


def test_an_import_finds_pictures_by_their_names_and_says_which_it_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StoreWriter(tmp_path / "data" / "faces" / "imported", {}) as writer:
        writer.append_encoded({"id": "a" * 64, "name": "faces/one.png", "width": 50, "height": 50, "duplicates": []}, b"")
    said = Labeled("one", "ann", (100, 100), {}, np.random.default_rng(0).uniform(0.1, 0.9, (11, 2)))
    (tmp_path / "x.json").write_text(to_coco([said, *(replace(said, picture=f"gone-{number}") for number in range(6))]))
    label("import", "coco", "x.json")
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "labels of 1 pictures are written to annotations/coco-x.json; `genga repro` reads them",
        "left out: 6 names that fit no picture here, or several: gone-0.png, gone-1.png, gone-2.png, gone-3.png, gone-4.png ...",
    ]
    (read,) = read_exports([tmp_path / "annotations" / "coco-x.json"]).annotations
    assert read.picture_id == "a" * 64
    (tmp_path / "z.json").write_text(to_coco([replace(said, pose=said.pose - 1)]))
    label("import", "coco", "z.json")
    assert capsys.readouterr().out.startswith("kept out: coco-z.json task 1  head, neck, ")
    odd = json.loads(to_coco([said, replace(said, by="ben")]))
    odd["annotations"][1]["keypoints"][2] = 0
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    label("import", "coco", "odd.json")
    assert capsys.readouterr().out.splitlines() == [
        "kept out: figure 2 on one.png  lacks head; place every joint, hidden ones with v = 1",
        "labels of 1 pictures are written to annotations/coco-odd.json; `genga repro` reads them",
    ]
    (tmp_path / "id.json").write_text(to_coco([replace(said, picture="b" * 64)]))
    label("import", "coco", "id.json")
    assert capsys.readouterr().out.splitlines() == [
        "labels of 1 pictures are written to annotations/coco-id.json; `genga repro` reads them",
        f"1 of these pictures are not here: {'b' * 64}; their labels count once they are imported",
    ]
    (tmp_path / "y.json").write_text(to_coco([replace(said, picture="gone")]))
    with pytest.raises(SystemExit) as ended:
        label("import", "coco", "y.json")
    assert ended.value.code == 2
    assert "none of the 1 pictures that y.json names is known here (gone.png)" in capsys.readouterr().err
    assert not (tmp_path / "annotations" / "coco-y.json").exists()


# --- the order of a queue, from deployed models, without a server


def write_faces(store_dir: Path, pictures: np.ndarray) -> list[Entry]:
    found = [Entry(picture_id(picture), partial(np.asarray, picture)) for picture in pictures]
    with StoreWriter(store_dir, {"64": (64, 64, 3)}) as writer:
        writer.append([{"id": entry.id} for entry in found], **{"64": pictures})
    return found


def faces(count: int) -> np.ndarray:
    """Plain colours, and each of them once more with one other pixel."""
    pictures = np.random.default_rng(0).integers(0, 256, (count, 1, 1, 3), dtype=np.uint8).repeat(64, axis=1).repeat(64, axis=2)
    again = pictures.copy()
    again[:, 0, 0] ^= 1
    return np.concatenate([pictures, again])


def write_labels(labels_dir: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """Who said it: a person. `rows`: picture, name, value."""
    labels_dir.mkdir(exist_ok=True)
    table = [{"id": picture, "name": name, "value": value, "origin": "human"} for picture, name, value in rows]
    schema = pa.schema([(column, pa.string()) for column in ("id", "name", "value", "origin")])
    pq.write_table(pa.Table.from_pylist(table, schema), labels_dir / "tags.parquet")


def test_faces_are_queued_by_what_the_deployed_tagger_does_not_know_and_no_two_alike(tmp_path: Path) -> None:
    make_release(tmp_path / "release", families=("tagger",))
    engine = open_engine(tmp_path / "release")
    found = write_faces(tmp_path / "faces", faces(10))
    write_labels(tmp_path / "labels", [])
    unlabeled = [found[row] for row in np.random.default_rng(1).permutation(len(found))][:-1]  # their order is not that of the store
    queue = order("tags", unlabeled, engine, tmp_path / "faces", tmp_path / "labels", 20)
    colours = [next(row for row, entry in enumerate(found) if entry.id == each.id) % 10 for each in queue]
    assert len(set(colours)) == len(colours) > 5
    guesses = guesses_for(engine, KINDS["tags"])
    assert guesses is not None
    told = np.array([list(guess.probabilities.values()) for guess in guesses.make([entry.read() for entry in unlabeled])])  # type: ignore[union-attr]
    telling = np.zeros(len(told))
    for part in column_slices().values():
        telling += (told[:, part] * (1 - told[:, part])).mean(axis=1)  # of a flag yes and no have the same
    assert queue[0].id in {entry.id for entry, each in zip(unlabeled, telling, strict=True) if each > telling.max() - 1e-4}
    assert order("tags", unlabeled[::-1], engine, tmp_path / "faces", tmp_path / "labels", 4) == queue[:4]
    said_of = {entry.id for entry in found[:10]}  # of each colour one: of some everything, of the others the hair
    left = [entry.without(["hair_color"]) if entry.id in said_of else entry for entry in unlabeled if entry.id not in [each.id for each in found[:5]]]
    again = order("tags", [entry for entry in left if entry], engine, tmp_path / "faces", tmp_path / "labels", 20)
    assert {entry.id for entry in again} <= said_of and len(again) > 2 and all("hair_color" not in entry.asks for entry in again)
    assert order("tags", [], engine, tmp_path / "faces", tmp_path / "labels", 4) == []
    with pytest.raises(GengaError, match="no stick-pose and figure-pose are deployed"):
        order("poses", unlabeled, engine, tmp_path / "faces", tmp_path / "labels", 4)


def test_faces_are_asked_for_a_few_tags_of_which_there_are_few_labels(tmp_path: Path) -> None:
    make_release(tmp_path / "release", families=("tagger",))  # of random weights: unsure of everything
    engine = open_engine(tmp_path / "release")
    found = write_faces(tmp_path / "faces", faces(10))
    values = groups() | {flag: ["true", "false"] for flag in flags()[2:]}
    write_labels(tmp_path / "labels", [(entry.id, name, each[at % len(each)]) for at, entry in enumerate(found) for name, each in values.items()])
    queue = order("tags", found, engine, tmp_path / "faces", tmp_path / "labels", 3, 2)
    assert [len(entry.asks) for entry in queue] == [2, 2, 2]
    assert set(flags()[:2]) <= {name for entry in queue for name in entry.asks}
    assert not {name for entry in queue for name in entry.asks} & set(flags()[2:])
    with pytest.raises(DataError, match="dvc repro labels"):
        order("tags", found, engine, tmp_path / "faces", tmp_path / "nowhere", 3, 2)


def test_a_new_tag_is_asked_for_though_the_deployed_tagger_does_not_know_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], add_a_tag: Callable[[], None], told: list[Told]
) -> None:
    make_release(tmp_path / "release", families=("tagger", "stick-pose", "figure-pose"))
    found = write_faces(tmp_path / "data" / "faces" / "prepared", faces(5))
    write_labels(tmp_path / "data" / "labels", [(entry.id, flag, "true") for entry in found[:3] for flag in flags()])
    add_a_tag()
    label("queue", "4", "--only", "tags")
    assert "tags: without a guess: the released tagger was trained for another list of tags than genga/tags.yaml has now" in capsys.readouterr().out
    label("push", "--only", "tags", "--no-guess")
    assert "without" not in capsys.readouterr().out
    label("push", "--only", "tags")
    assert "tags: without a guess: the released tagger was trained for another list" in capsys.readouterr().out
    queued, plain, again = told
    asks = [entry.asks for entry in queued.chosen]
    assert len(asks) == 4 and queued.queue and asks[0][0] == "hat" and sum("hat" in each for each in asks) >= 2
    for blind in (plain, again):
        assert [entry.asks for entry in blind.chosen] == [()] * len(found) and blind.guesses is None and not blind.queue
    guess = label_up._guessing(tmp_path / "release")
    assert guess is not None and guess(KINDS["tags"]) is None and guess(KINDS["poses"]) is not None


def test_faces_are_queued_where_nothing_is_deployed_by_labels_and_looks_alone(tmp_path: Path) -> None:
    found = write_faces(tmp_path / "faces", faces(10))
    write_labels(tmp_path / "labels", [(entry.id, name, "true") for entry in found[:4] for name in flags()[1:]])
    queue = order("tags", found, None, tmp_path / "faces", tmp_path / "labels", 20, 1)
    colours = [next(row for row, entry in enumerate(found) if entry.id == each.id) % 10 for each in queue[:5]]
    assert len(set(colours)) == 5
    assert queue[0].asks == (flags()[0],)
    with pytest.raises(GengaError, match=r"no stick-pose and figure-pose are deployed.*have faces alone put into order with `--only tags`"):
        order("poses", found, None, tmp_path / "faces", tmp_path / "labels", 4)


def test_figures_are_queued_once_for_each_pose_that_the_deployed_networks_read(tmp_path: Path) -> None:
    make_release(tmp_path / "release", families=("stick-pose", "figure-pose"))
    engine = open_engine(tmp_path / "release")
    rng = np.random.default_rng(0)
    figures = [line_art(sample_mannequin(load_params().draw_figures.mannequins, LOOKS, rng), 128) for _ in range(3)]
    wider = np.pad(figures[0], ((0, 40), (90, 0)), constant_values=255)  # the same figure elsewhere on its paper
    blank = np.full((64, 64), 255, np.uint8)
    pictures = dict(zip(("first", "second", "third", "wider", "blank", "empty"), [*figures, wider, blank, blank], strict=True))
    unlabeled = [Entry(name, partial(np.asarray, picture)) for name, picture in pictures.items()]
    queue = [entry.id for entry in order("poses", unlabeled, engine, tmp_path, tmp_path, 6)]
    guesses = guesses_for(engine, KINDS["poses"])
    assert guesses is not None
    read = {name: guesses.make([pictures[name]])[0].pose * pictures[name].shape[::-1] for name in ("first", "second", "third", "wider")}  # type: ignore[union-attr]

    def near(name: str, others: Iterable[str]) -> bool:  # the networks' weights are random: figures may be read alike
        return any(distance(read[name][None], read[other], EVEN)[0] <= NEAR_POSE for other in others)

    assert queue[:2] == ["blank", "empty"]
    assert near("first", ["wider"])
    assert len(queue) > 2
    for name in read:
        assert near(name, set(queue[2:]) - {name}) == (name not in queue)
    placed = queue[2]
    left = [entry.id for entry in order("poses", unlabeled, engine, tmp_path, tmp_path, 6, placed=[read[placed]])]
    assert left[:2] == queue[:2]
    assert placed not in left
    for name in read.keys() - {placed}:
        assert near(name, {placed, *left[2:]} - {name}) == (name not in left)


def test_poses_that_people_have_placed_are_in_pixels_those_pulled_and_those_beside_the_drawings(tmp_path: Path) -> None:
    poses = np.random.default_rng(0).uniform(0.1, 0.9, (2, 11, 2))
    said = [Labeled("a" * 64, "ann", (100, 200), {}, poses[0]), Labeled("b" * 64, "ann", (9, 9), {"smile": True}, None)]
    (tmp_path / "annotations" / "project-1.json").write_text(to_label_studio(said))
    np.testing.assert_allclose(placed_poses(tmp_path / "annotations", [poses[1] * 64, None]), [poses[0] * (100, 200), poses[1] * 64])
    assert placed_poses(tmp_path / "nowhere", [None]).shape == (0, 11, 2)


def test_drawings_whose_joints_lie_beside_them_are_not_pushed(tmp_path: Path, told: list[Told]) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    (tmp_path / "own-figures" / "figures").mkdir(parents=True)
    for number, picture in enumerate(drawn):
        (tmp_path / "own-figures" / "figures" / f"{number}.png").write_bytes(encode_png(picture))
    pose = np.random.default_rng(0).uniform(0.1, 0.9, (11, 2))
    write_tasks(tmp_path / "own-figures" / "x.json", [{"id": None, "name": "0.png", "width": 64, "height": 64, "pose": pose.ravel()}])
    label("push", "--only", "poses", "--no-guess")
    assert [entry.id for entry in told[0].chosen] == [picture_id(drawn[1])]


def test_doubtful_faces_go_to_the_front_of_the_queue_without_a_guess_and_answered_ones_stay_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: list[Told]
) -> None:
    ids = [entry.id for entry in write_faces(tmp_path / "data" / "faces" / "prepared", faces(3))]
    doubtful, said = [ids[4], ids[1], ids[0], ids[3], "gone"], [Labeled(ids[1], "ann", (64, 64), {"hair_color": "blue"}, None)]
    (tmp_path / "doubtful.json").write_text(json.dumps({"pictures": [{"id": id_, "name": "hair_color"} for id_ in doubtful]}))
    (tmp_path / "annotations" / "project-1.json").write_text(to_label_studio(said))
    monkeypatch.setattr(push, "present", lambda *_: {ids[0]: Present(1, {"id": ids[0]}, 1, frozenset(), frozenset({"hair_color"}))})
    monkeypatch.setattr(guessing, "guesses_for", lambda *_: "the tagger's")
    label("push", "--doubtful", "doubtful.json")
    label("push", "--doubtful", "doubtful.json", "--limit", "1")
    label("push", "--only", "tags", "--limit", "1")  # what was asked for some tags and answered takes no place where no queue asks again
    doubted = [([ids[4], ids[3]], [False, False], None, True), ([ids[4]], [False], None, True)]
    pushed = [([entry.id for entry in each.chosen], [entry.guess for entry in each.chosen], each.guesses, each.queue) for each in told]
    assert pushed == [*doubted, ([ids[1]], [True], "the tagger's", False)]
    assert "tags: 2 new tasks" in capsys.readouterr().out
    (tmp_path / "doubtful.json").write_text(json.dumps({"pictures": [{"id": id_, "name": "hair_color"} for id_ in ids[:2]]}))
    with pytest.raises(SystemExit) as ended:
        label("push", "--doubtful", "doubtful.json")
    assert ended.value.code == 2
    assert "none of the 2 pictures that doubtful.json names is here and not labeled by people" in capsys.readouterr().err
