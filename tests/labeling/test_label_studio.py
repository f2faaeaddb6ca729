"""From the queue to the labels, through the real Label Studio in a real browser."""

import json
import re
import stat
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, Route
from studio import Studio

from drawing.mannequin import LOOKS, line_art, sample_mannequin
from genga import tags
from genga.params import LabelFaces, load_params
from genga.pictures import encode_png
from genga.skeleton import JOINTS, J
from genga.store import StoreWriter, picture_id
from labeling.account import Home, LabelStudioError, one_sentence
from labeling.agreement import compare
from labeling.configs import tags_config
from labeling.exports import read_exports, write_tasks
from labeling.formats import Labeled, to_label_studio
from labeling.keypoints import BAD, VERDICTS
from labeling.pictures import Entry
from labeling.progress import progress_of
from labeling.projects import KINDS, Project, ensure_project, labeling_url
from labeling.pull import Pulled, pull
from labeling.push import Guesses, present, push, queue_number, tasks_of, unanswered
from labeling.tasks import NOTHING, PoseGuess, TagGuess, label_regions, pose_regions, verdict_region
from stages.labels import labels

pytestmark = pytest.mark.label_studio

REPO = Path(__file__).parents[2]
SIDE = 400
NEXT_TASK = re.compile("next_task")
SECTION = LabelFaces(human_only=True, pose_tolerance=0.1, ties="newest")
FIGURES = load_params(REPO / "params.yaml").draw_figures.mannequins


def entry(picture: np.ndarray) -> Entry:
    return Entry(picture_id(picture), partial(np.asarray, picture))


def figures(count: int, seed: int) -> tuple[list[Entry], dict[str, np.ndarray]]:
    """Drawn figures, and the pose of each."""
    rng = np.random.default_rng(seed)
    drawn = [sample_mannequin(FIGURES, LOOKS, rng) for _ in range(count)]
    found = [entry(line_art(figure, SIDE)) for figure in drawn]
    return found, {each.id: figure.pose for each, figure in zip(found, drawn, strict=True)}


def noise(count: int, seed: int) -> list[Entry]:
    rng = np.random.default_rng(seed)
    return [entry(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(count)]


def pose_guesses(poses: dict[str, np.ndarray], version: str = "stick-pose/1 figure-pose/1") -> Guesses:
    return Guesses(version, lambda pictures: [PoseGuess(poses[picture_id(picture)], np.linspace(0.3, 0.9, 11)) for picture in pictures])


def tag_guesses(values: tags.Labels, version: str = "tagger/1") -> Guesses:
    return Guesses(version, lambda pictures: [TagGuess(dict.fromkeys(tags.columns(), 0.1), values) for _ in pictures])


def pushed(studio: Studio, project: Project, entries: Sequence[Entry], guesses: Guesses | None, *, queue: bool = True) -> tuple[int, int, int]:
    done = push(studio.client, project, studio.home, entries, guesses, studio.params, queue=queue)
    return done.created, done.reguessed, done.requeued


def tables(tmp_path: Path) -> tuple[dict[str, Any], dict[tuple[str, str], str]]:
    """What the labels stage makes of tmp_path/annotations: poses by picture, tags by picture and name."""
    with StoreWriter(tmp_path / "imported", {}) as writer:
        writer.append_encoded({"id": "other", "labels": None}, b"")
    write_tasks(tmp_path / "annotations.json", [])
    labels(SECTION, tmp_path / "imported", tmp_path, tmp_path / "annotations", tmp_path / "labels")
    poses = {row["id"]: row for row in pq.read_table(tmp_path / "labels" / "poses.parquet").to_pylist()}
    return poses, {(row["id"], row["name"]): row["value"] for row in pq.read_table(tmp_path / "labels" / "tags.parquet").to_pylist()}


def pulled(studio: Studio, tmp_path: Path) -> Pulled:
    (tmp_path / "annotations").mkdir(exist_ok=True)
    return pull(tmp_path / "annotations", studio.home)


def first_task(page: Page, studio: Studio, project: Project) -> str:
    """Opens the queue and gives the picture id of the task that Label Studio shows."""
    told: list[str] = []

    def listen(route: Route) -> None:
        response = route.fetch()
        told.append(response.json()["data"]["id"])
        route.fulfill(response=response)

    page.route(NEXT_TASK, listen)
    page.goto(labeling_url(studio.client, project))
    page.get_by_role("button", name="Submit").first.wait_for()
    page.wait_for_timeout(1500)  # the canvas takes its size
    page.unroute(NEXT_TASK)
    return told[-1]


def submit(page: Page) -> None:
    with page.expect_response(lambda response: response.request.method == "POST" and "/annotations" in response.url) as told:
        page.get_by_role("button", name="Submit").first.click()
    assert told.value.status == 201


def say(client: httpx.Client, task: int, result: list[dict[str, Any]]) -> int:
    return int(client.post(f"/api/tasks/{task}/annotations/", json={"result": result, "lead_time": 1}).raise_for_status().json()["id"])


@pytest.fixture
def first(studio: Studio) -> httpx.Client:
    return httpx.Client(base_url=studio.account.url, headers={"Authorization": f"Token {studio.account.token}"}, timeout=60)


# --- the server


def test_it_answers_on_loopback_alone_and_its_secrets_are_private(studio: Studio) -> None:
    assert stat.S_IMODE(studio.home.account.stat().st_mode) == 0o600
    assert stat.S_IMODE(studio.home.dir.stat().st_mode) == 0o700
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ports = {tuple(row[1].split(":")) for row in listening if row[3] == "0A"}
    assert {host for host, port in ports if int(port, 16) == studio.params.port} == {"0100007F"}
    assert [row for row in Path("/proc/net/tcp6").read_text().splitlines()[1:] if f":{studio.params.port:04X} " in row] == []


def test_it_serves_exported_pictures_and_no_other_file_and_only_to_its_people(studio: Studio, first: httpx.Client) -> None:
    project = studio.fresh("tags")
    (picture,) = noise(1, 1)
    pushed(studio, project, [picture], None)
    address = f"/data/local-files/?d=tags/{picture.id}.png"
    assert first.get(address).headers["content-type"] == "image/png"
    assert httpx.get(f"{studio.account.url}{address}").status_code in (401, 403)
    for outside in ("../account.json", "../../etc/passwd", str(studio.home.account.absolute())):
        answer = first.get("/data/local-files/", params={"d": outside})
        assert answer.status_code >= 400 and studio.account.password not in answer.text


def test_strangers_cannot_make_an_account_and_uploads_reach_no_local_address(studio: Studio, first: httpx.Client) -> None:
    signup = httpx.post(f"{studio.account.url}/user/signup/", data={"email": "a@b.co", "password": "long-enough-1"})
    assert signup.status_code in (400, 403)
    answer = first.post(f"/api/projects/{studio.project('tags').id}/import", data={"url": f"{studio.account.url}/api/version"})
    assert answer.status_code == 400 and "reserved" in answer.text


def test_a_wrong_key_is_one_sentence(studio: Studio) -> None:
    from label_studio_sdk import LabelStudio

    with pytest.raises(LabelStudioError, match="does not take the key"), one_sentence(studio.account.url):
        LabelStudio(base_url=studio.account.url, api_key="0" * 40).projects.list()
    with pytest.raises(LabelStudioError, match="no Label Studio answers"), one_sentence("http://127.0.0.1:1"):
        LabelStudio(base_url="http://127.0.0.1:1", api_key="0" * 40).projects.list()


# --- projects


def test_projects_are_made_once_and_a_new_tag_keeps_what_was_said(studio: Studio, first: httpx.Client) -> None:
    project = studio.fresh("tags")
    assert studio.project("tags").id == project.id
    (picture,) = noise(1, 2)
    pushed(studio, project, [picture], None)
    task = present(studio.client, project)[picture.id].task
    said = say(first, task, label_regions({"hair_color": "blue", "glasses": True}))

    changed = tags_config().replace('<Choice value="smile"', '<Choice value="wings"/><Choice value="smile"')
    ensure_project(studio.client, studio.account.url, replace(KINDS["tags"], config=lambda: changed), studio.home, studio.params)
    assert "wings" in studio.client.projects.get(project.id).label_config
    assert first.get(f"/api/annotations/{said}/").json()["result"][0]["value"] == {"choices": ["blue"]}

    without = tags_config().replace('value="blue"', 'value="navy"')
    ensure_project(studio.client, studio.account.url, replace(KINDS["tags"], config=lambda: without), studio.home, studio.params)
    assert first.get(f"/api/annotations/{said}/").json()["result"][0]["value"] == {"choices": ["blue"]}
    assert studio.project("tags").id == project.id


# --- push


def test_a_thousand_tasks_go_in_within_a_minute_and_never_twice(studio: Studio) -> None:
    project = studio.fresh("tags")
    pictures = noise(1000, 3)
    started = time.monotonic()
    assert pushed(studio, project, [*pictures, pictures[0]], tag_guesses({"hair_color": "blue"}), queue=False) == (1000, 0, 0)
    assert time.monotonic() - started < 60
    assert pushed(studio, project, pictures, tag_guesses({"hair_color": "blue"}), queue=False) == (0, 0, 0)
    assert len(present(studio.client, project)) == studio.client.projects.get(project.id).task_number == 1000


def test_a_push_that_was_killed_goes_on(studio: Studio) -> None:
    project, pictures = studio.fresh("tags"), noise(6, 4)

    def dies(shown: Sequence[Any]) -> Any:
        raise KeyboardInterrupt

    pushed(studio, project, pictures[:4], None, queue=False)
    with pytest.raises(KeyboardInterrupt):
        pushed(studio, project, pictures, Guesses("tagger/1", dies), queue=False)
    assert pushed(studio, project, pictures, None, queue=False) == (2, 0, 0)
    assert studio.client.projects.get(project.id).task_number == 6


def test_a_newer_models_guess_replaces_the_older_one_where_nobody_has_labeled(studio: Studio, first: httpx.Client) -> None:
    project, pictures = studio.fresh("tags"), noise(3, 5)
    pushed(studio, project, pictures, tag_guesses({"hair_color": "blue"}, "tagger/1"), queue=False)
    done = present(studio.client, project)[pictures[0].id].task
    say(first, done, label_regions({"hair_color": "red"}))
    assert pushed(studio, project, pictures, tag_guesses({"hair_color": "pink"}, "tagger/2"), queue=False) == (0, 2, 0)
    assert pushed(studio, project, pictures, tag_guesses({"hair_color": "pink"}, "tagger/2"), queue=False) == (0, 0, 0)
    versions = {id_: task.versions for id_, task in present(studio.client, project).items()}
    assert versions == {pictures[0].id: {"tagger/1"}, pictures[1].id: {"tagger/2"}, pictures[2].id: {"tagger/2"}}
    blind = Guesses("tagger/3", lambda shown: [None for _ in shown])
    assert [pushed(studio, project, pictures, blind, queue=False) for _ in range(2)] == [(0, 2, 0), (0, 0, 0)]
    assert [predicted.result for predicted in studio.client.predictions.list(project=project.id) if predicted.model_version == "tagger/3"] == [[], []]


def test_pictures_in_which_the_models_see_nothing_go_in_and_are_queued_and_guessed_once(studio: Studio) -> None:
    project, pictures = studio.fresh("tags"), noise(3, 34)
    blind = Guesses("tagger/blind", lambda shown: [None for _ in shown])
    assert pushed(studio, project, pictures[:2], blind) == (2, 0, 0)
    pushed(studio, project, pictures[2:], None, queue=False)
    assert [pushed(studio, project, pictures, blind) for _ in range(2)] == [(0, 1, 3), (0, 0, 3)]
    assert {queue_number(task.data) for task in present(studio.client, project).values()} == {3}
    assert [predicted.result for predicted in studio.client.predictions.list(project=project.id)] == [[], [], []]


def test_what_waits_asks_for_no_tag_that_is_gone_and_for_none_that_is_new_and_what_is_answered_is_not_chosen_again(
    studio: Studio, first: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, pictures = studio.fresh("tags"), noise(3, 20)
    pushed(studio, project, pictures, None)
    unsure = [{"id": "v", "from_name": "verdict", "to_name": "image", "type": "choices", "value": {"choices": ["unsure"]}}]
    say(first, present(studio.client, project)[pictures[0].id].task, unsure)
    assert unanswered(studio.client, project, pictures, 1, again=True) == pictures[1:]
    monkeypatch.setattr(tags, "flags", lambda: ["glasses", "wings"])
    assert pushed(studio, project, pictures[:2], None, queue=False) == (0, 0, 0)
    there = present(studio.client, project)
    asks = [there[picture.id].data["asks"] for picture in pictures]
    assert [("wings" in names, "smile" in names) for names in asks] == [(False, True), (False, False), (False, False)]
    assert there[pictures[1].id].data["question"] == f"Asked: {', '.join(tags.groups()).replace('_', ' ')}, glasses"
    new = replace(pictures[1], asks=("wings",))  # may be open on a screen without wings: these are asked for in another task
    assert pushed(studio, project, [new], None) == (1, 0, 0)
    assert present(studio.client, project)[new.id].data["asks"] == ["wings"]


def test_what_waits_and_asks_for_tags_that_are_no_more_asks_for_the_others(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    project, pictures = studio.fresh("tags"), noise(2, 27)
    guesses = tag_guesses({"hair_color": "blue", "smile": True})
    pushed(studio, project, [replace(pictures[0], asks=("hair_color", "smile")), replace(pictures[1], asks=("smile",))], guesses)
    monkeypatch.setattr(tags, "flags", lambda: ["glasses", "wings"])
    assert [pushed(studio, project, pictures, guesses, queue=False) for _ in range(2)] == [(1, 0, 0), (0, 0, 0)]
    there = present(studio.client, project)
    assert [there[picture.id].data["question"] for picture in pictures] == ["Asked: hair color", "Asked: everything"]
    (empty,) = [task for task in tasks_of(studio.client, project) if task.replaced]
    assert (empty.data["id"], empty.data["asks"], empty.data["question"]) == (pictures[1].id, [], NOTHING)


def test_a_queue_asks_for_what_it_says_and_a_later_one_for_something_else(studio: Studio) -> None:
    project, pictures = studio.fresh("tags"), noise(2, 21)
    guesses = tag_guesses({"hair_color": "blue", "eye_color": "red", "glasses": True, "smile": True})
    pushed(studio, project, pictures, guesses, queue=False)
    for asks, words in ((("smile", "hair_color"), "Asked: hair color, smile"), (("glasses",), "Asked: glasses")):
        before = present(studio.client, project)[pictures[0].id]
        assert pushed(studio, project, [replace(pictures[0], asks=asks)], guesses) == (1, 0, 0)
        left = {task.task: task for task in tasks_of(studio.client, project)}
        assert len(left) == 3  # what the queue before replaced is gone, what this one replaced stays as it was
        assert left[before.task].replaced and left[before.task].data == before.data | {"queue": ""}
        for _ in range(2):  # a push of everything leaves it what it is asked for
            task = present(studio.client, project)[pictures[0].id]
            (prediction,) = studio.client.predictions.list(task=task.task)
            guessed = {choice for region in prediction.result for choice in region["value"]["choices"]}
            assert task.data["question"] == words and guessed == {"smile": {"blue", "smile"}, "glasses": {"glasses"}}[asks[0]]
            assert pushed(studio, project, pictures, guesses, queue=False) == (0, 0, 0)
    assert present(studio.client, project)[pictures[1].id].data["question"] == "Asked: everything"


def test_a_picture_is_asked_again_for_what_nobody_said_of_it(studio: Studio, first: httpx.Client, tmp_path: Path) -> None:
    project, pictures = studio.fresh("tags"), noise(2, 23)
    guesses = tag_guesses({"hair_color": "blue", "eye_color": "red", "glasses": True})
    pushed(studio, project, [replace(pictures[0], asks=("hair_color", "smile"))], guesses)
    say(first, present(studio.client, project)[pictures[0].id].task, label_regions({"hair_color": "green"}))
    (left, whole) = unanswered(studio.client, project, pictures, 1, again=True)
    assert whole.asks == () and set(left.asks) == {*tags.groups(), *tags.flags()} - {"hair_color", "smile"}
    assert unanswered(studio.client, project, [replace(pictures[0], asks=("smile",))], 1, again=True) == []
    assert pushed(studio, project, [left, whole], guesses, queue=False) == (1, 0, 0)  # no queue asks twice
    again = replace(left, asks=("eye_color", "glasses"))
    assert [pushed(studio, project, [again], guesses) for _ in range(2)] == [(1, 0, 0), (0, 0, 1)]
    waiting = present(studio.client, project)[pictures[0].id]
    assert (waiting.answers, waiting.data["question"], waiting.said) == (0, "Asked: eye color, glasses", {"hair_color", "smile"})
    say(first, waiting.task, label_regions({"eye_color": "red"}))
    assert [len(each.asks) for each in unanswered(studio.client, project, pictures[:1], 1, again=True)] == [len(left.asks) - 2]
    assert len(tasks_of(studio.client, project)) == 3
    assert pulled(studio, tmp_path).added == 2
    told = {name: value for (id_, name), value in tables(tmp_path)[1].items() if id_ == pictures[0].id}
    assert told == {"hair_color": "green", "smile": "false", "eye_color": "red", "glasses": "false"}


def test_what_somebody_called_a_bad_picture_is_not_asked_for_its_other_tags(studio: Studio, first: httpx.Client) -> None:
    """That answer, being newer, would take the word back."""
    project, pictures = studio.fresh("tags"), noise(2, 24)
    pushed(studio, project, [replace(picture, asks=("hair_color",)) for picture in pictures], None)
    there = present(studio.client, project)
    say(first, there[pictures[0].id].task, [verdict_region(BAD)])
    say(first, there[pictures[1].id].task, [verdict_region(VERDICTS[0])])
    assert [each.id for each in unanswered(studio.client, project, pictures, 1, again=True)] == [pictures[1].id]


def test_a_task_that_somebody_has_begun_stays_with_what_it_asks_until_it_is_submitted(studio: Studio, first: httpx.Client) -> None:
    """Label Studio keeps the ticks of a person who went away as a draft, and a task takes its drafts along when it is deleted."""
    project, (one, two) = studio.fresh("tags"), noise(2, 29)
    pushed(studio, project, [replace(one, asks=("hair_color",)), replace(two, asks=("hair_color",))], None)
    begun = present(studio.client, project)[one.id].task
    draft = {"result": label_regions({"hair_color": "blue"}), "lead_time": 1, "draft_id": 0}
    first.post(f"/api/tasks/{begun}/drafts", json=draft).raise_for_status()
    assert pushed(studio, project, [replace(one, asks=("glasses",)), replace(two, asks=("glasses",))], None) == (1, 0, 1)
    there = present(studio.client, project)
    assert (there[one.id].task, there[one.id].data["asks"], there[two.id].data["asks"]) == (begun, ["hair_color"], ["glasses"])
    assert queue_number(there[one.id].data) == 2
    late = there[two.id].task  # begun once another task has replaced it
    pushed(studio, project, [replace(two, asks=("smile",))], None)
    first.post(f"/api/tasks/{late}/drafts", json=draft).raise_for_status()
    pushed(studio, project, [replace(two, asks=("blush",))], None)
    assert late in {task.task for task in tasks_of(studio.client, project)}
    say(first, begun, label_regions({"hair_color": "blue"}))
    assert pushed(studio, project, [replace(one, asks=("glasses",))], None) == (1, 0, 0)


def test_what_all_who_are_asked_have_skipped_is_in_no_later_queue(studio: Studio, first: httpx.Client) -> None:
    project, pictures = studio.fresh("tags"), noise(2, 30)
    pushed(studio, project, pictures, None)
    task = present(studio.client, project)[pictures[0].id].task
    first.post(f"/api/tasks/{task}/annotations/", json={"result": [], "was_cancelled": True}).raise_for_status()
    assert present(studio.client, project)[pictures[0].id].skips == 1
    assert unanswered(studio.client, project, pictures, 1, again=True) == pictures[1:]
    assert unanswered(studio.client, project, pictures, 2, again=True) == pictures


def test_a_group_that_somebody_answered_may_leave_the_screen(studio: Studio, first: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Label Studio refuses a screen without a question that has answers."""
    project, (picture,) = studio.fresh("tags"), noise(1, 31)
    pushed(studio, project, [picture], None)
    say(first, present(studio.client, project)[picture.id].task, label_regions({"skin_tone": "tan", "hair_color": "blue"}))
    left = {name: values for name, values in tags.groups().items() if name != "skin_tone"}
    monkeypatch.setattr(tags, "groups", lambda: left)
    for _ in range(2):
        assert studio.project("tags").id == project.id
        config = studio.client.projects.get(project.id).label_config
        assert config.count('name="skin_tone"') == 1 and config.index('name="skin_tone"') > config.index("display: none")
        assert "skin_tone" not in config.partition("display: none")[0]
    monkeypatch.undo()
    assert studio.project("tags").id == project.id
    assert "display: none" not in studio.client.projects.get(project.id).label_config


def test_a_push_of_everything_leaves_out_what_somebody_answered_in_part(studio: Studio, first: httpx.Client) -> None:
    project, pictures = studio.fresh("tags"), noise(3, 25)
    asked = [replace(picture, asks=("hair_color",)) for picture in pictures[:2]]
    pushed(studio, project, asked, None)
    for picture in pictures[:2]:
        say(first, present(studio.client, project)[picture.id].task, label_regions({"hair_color": "blue"}))
    pushed(studio, project, [replace(pictures[1], asks=("smile",))], None)
    assert [each.id for each in unanswered(studio.client, project, pictures, 1, again=False)] == [picture.id for picture in pictures[1:]]


def test_a_queue_without_a_guess_leaves_none_of_what_it_does_not_ask(studio: Studio) -> None:
    project, pictures = studio.fresh("tags"), noise(2, 26)
    pushed(studio, project, pictures, tag_guesses({"hair_color": "blue", "smile": True}), queue=False)
    assert pushed(studio, project, [replace(pictures[0], asks=("glasses",)), pictures[1]], None) == (1, 0, 1)
    there = present(studio.client, project)
    assert [len(studio.client.predictions.list(task=there[picture.id].task)) for picture in pictures] == [0, 1]


def test_what_is_doubted_is_asked_without_a_guess_then_and_later(studio: Studio) -> None:
    project, (one, two) = studio.fresh("tags"), noise(2, 28)
    pushed(studio, project, [one, two], tag_guesses({"hair_color": "blue", "glasses": True}), queue=False)
    doubted = replace(one, asks=("hair_color",), guess=False)
    assert [pushed(studio, project, [doubted], None) for _ in range(2)] == [(1, 0, 0), (0, 0, 1)]
    newer = tag_guesses({"hair_color": "pink", "glasses": True}, "tagger/2")
    assert pushed(studio, project, [one, two], newer, queue=False) == (0, 1, 0)
    task = present(studio.client, project)[one.id]
    assert task.data["guess"] is False and studio.client.predictions.list(task=task.task) == []
    asked = replace(two, asks=("glasses",))
    assert pushed(studio, project, [asked], newer) == (1, 0, 0)
    assert pushed(studio, project, [replace(asked, guess=False)], newer) == (1, 0, 0)  # what is there shows a guess
    assert pushed(studio, project, [asked], newer) == (0, 0, 1)
    assert studio.client.predictions.list(task=present(studio.client, project)[two.id].task) == []


def test_what_was_replaced_and_answered_stays(studio: Studio, first: httpx.Client) -> None:
    project, pictures = studio.fresh("tags"), noise(2, 29)
    pushed(studio, project, [replace(picture, asks=("hair_color",)) for picture in pictures], None)
    there = present(studio.client, project)
    assert pushed(studio, project, [replace(picture, asks=("smile",)) for picture in pictures], None) == (2, 0, 0)
    say(first, there[pictures[0].id].task, label_regions({"hair_color": "blue"}))
    assert progress_of(studio.home, {"tags": 1}, studio.params).total == 2  # nobody waits for what was replaced
    assert pushed(studio, project, [replace(pictures[0], asks=("smile",))], None) == (0, 0, 1)
    left = [(task.data["id"], task.data["asks"]) for task in tasks_of(studio.client, project)]
    assert sorted(left) == sorted([(pictures[0].id, ["hair_color"]), (pictures[0].id, ["smile"]), (pictures[1].id, ["smile"])])
    assert present(studio.client, project)[pictures[0].id].said == {"hair_color"}


def test_regions_carry_scores_and_the_model(studio: Studio, first: httpx.Client) -> None:
    project = studio.fresh("poses")
    (figure,), poses = figures(1, 6)
    pushed(studio, project, [figure], pose_guesses(poses))
    task = present(studio.client, project)[figure.id].task
    (prediction,) = first.get(f"/api/tasks/{task}/").json()["predictions"]
    assert prediction["model_version"] == "stick-pose/1 figure-pose/1" and prediction["score"] == pytest.approx(0.3)
    scores = {region["value"]["keypointlabels"][0]: region["score"] for region in prediction["result"] if region["type"] == "keypointlabels"}
    assert [scores[joint] for joint in JOINTS] == pytest.approx(np.linspace(0.3, 0.9, 11))


def test_the_newest_queue_comes_first_in_its_order(studio: Studio, labeling_page: Page) -> None:
    project, pictures = studio.fresh("tags"), noise(4, 7)
    a, b, c, d = pictures
    assert pushed(studio, project, [a, b, c], None) == (3, 0, 0)
    assert first_task(labeling_page, studio, project) == a.id
    studio.fresh("tags")  # a task that was opened stays locked for its annotator
    pushed(studio, project, [a, b, c], None)
    assert pushed(studio, project, [d, c], None) == (1, 0, 1)
    view = studio.client.views.list(project=project.id)[0]
    shown = [task.data["id"] for task in studio.client.tasks.list(view=view.id, fields="all")]
    assert shown == [d.id, c.id, a.id, b.id]
    assert first_task(labeling_page, studio, project) == d.id


# --- in the browser


def test_a_dragged_wrist_moves_the_pose_in_the_labels_by_the_same_amount(studio: Studio, labeling_page: Page, tmp_path: Path) -> None:
    page, project = labeling_page, studio.fresh("poses")
    found, poses = figures(3, 8)
    pushed(studio, project, found, pose_guesses(poses))
    assert first_task(page, studio, project) == found[0].id
    guess = poses[found[0].id]
    area = page.locator(".konvajs-content").first
    box = area.bounding_box()
    assert box is not None and box["y"] + box["height"] < 740  # above the buttons
    shown = min(box["width"], box["height"])
    x, y = np.array([box["x"], box["y"]]) + guess[J["l_wrist"]] * shown
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 30, steps=8)
    page.mouse.up()
    page.wait_for_timeout(500)
    page.mouse.click(x + 40, y + 30)
    page.get_by_text("This joint is").wait_for()
    page.keyboard.press("x")
    submit(page)

    assert (pulled(studio, tmp_path).added, pulled(studio, tmp_path).is_new) == (1, False)
    placed, _ = tables(tmp_path)
    row = placed[found[0].id]
    moved = (np.array([[row[f"x{j}"], row[f"y{j}"]] for j in range(11)]) - guess) * SIDE
    expected = np.zeros((11, 2))
    expected[J["l_wrist"]] = np.array([40, 30]) * SIDE / shown
    np.testing.assert_allclose(moved, expected, atol=1)
    assert row["origin"] == "human" and row["hidden"] == ["l_wrist"]


def test_a_pose_can_be_placed_by_keys_and_clicks_alone(studio: Studio, labeling_page: Page, tmp_path: Path) -> None:
    page, project = labeling_page, studio.fresh("poses")
    (figure,), poses = figures(1, 9)
    pushed(studio, project, [figure], None)
    first_task(page, studio, project)
    box = page.locator(".konvajs-content").first.bounding_box()
    assert box is not None
    shown = min(box["width"], box["height"])
    for key, place in zip("1234567890q", poses[figure.id], strict=True):
        if key == "q":  # while a joint is chosen its key would make that one the right ankle
            page.mouse.click(*(box[axis] + share * shown for axis, share in zip("xy", poses[figure.id][0], strict=True)))
            page.get_by_text("This joint is").wait_for()
            page.keyboard.press("Escape")
            page.get_by_text("This joint is").wait_for(state="hidden")
        page.keyboard.press(key)
        page.mouse.click(box["x"] + place[0] * shown, box["y"] + place[1] * shown)
        page.wait_for_timeout(80)
    submit(page)
    pulled(studio, tmp_path)
    row = tables(tmp_path)[0][figure.id]
    apart = np.linalg.norm((np.array([[row[f"x{j}"], row[f"y{j}"]] for j in range(11)]) - poses[figure.id]) * SIDE, axis=1)
    assert apart.max() < 1


def test_tags_are_corrected_by_their_keys(studio: Studio, labeling_page: Page, tmp_path: Path) -> None:
    page, project = labeling_page, studio.fresh("tags")
    pictures = noise(2, 10)
    pushed(studio, project, pictures, tag_guesses({"hair_color": "blue", "eye_color": "red", "glasses": True, "smile": True}))
    assert first_task(page, studio, project) == pictures[0].id
    for key in "-[fzn":  # white hair, gray eyes, dark skin, no glasses, bangs
        page.keyboard.press(key)
        page.wait_for_timeout(80)
    last = page.get_by_text("bad picture").bounding_box()
    assert last is not None and last["y"] + last["height"] < 740
    submit(page)
    pulled(studio, tmp_path)
    told = {name: value for (id_, name), value in tables(tmp_path)[1].items() if id_ == pictures[0].id}
    no = dict.fromkeys(tags.flags(), "false")
    assert told == {"hair_color": "white", "eye_color": "gray", "skin_tone": "dark", **no, "smile": "true", "bangs": "true"}


def test_who_is_asked_for_some_tags_says_nothing_of_the_others(studio: Studio, labeling_page: Page, tmp_path: Path) -> None:
    page, project = labeling_page, studio.fresh("tags")
    (picture,) = noise(1, 22)
    guesses = tag_guesses({"hair_color": "blue", "eye_color": "red", "glasses": True, "smile": True})
    pushed(studio, project, [replace(picture, asks=("eye_color", "glasses", "bangs"))], guesses)
    assert first_task(page, studio, project) == picture.id
    page.get_by_text("Asked: eye color, glasses, bangs", exact=True).wait_for()
    page.keyboard.press("[")  # gray eyes
    page.wait_for_timeout(80)
    submit(page)
    pulled(studio, tmp_path)
    told = {name: value for (id_, name), value in tables(tmp_path)[1].items() if id_ == picture.id}
    assert told == {"eye_color": "gray", "glasses": "true", "bangs": "false"}


def test_an_open_task_can_be_submitted_and_says_what_it_asked_whatever_was_pushed_meanwhile(
    studio: Studio, labeling_page: Page, tmp_path: Path
) -> None:
    page, project = labeling_page, studio.fresh("tags")
    (picture,) = noise(1, 30)
    asked = replace(picture, asks=("hair_color", "glasses"))
    pushed(studio, project, [asked], tag_guesses({"hair_color": "blue"}, "tagger/1"))
    assert first_task(page, studio, project) == picture.id
    newer = tag_guesses({"hair_color": "pink", "smile": True}, "tagger/2")
    assert pushed(studio, project, [picture], newer, queue=False) == (0, 1, 0)
    (changed,) = studio.client.predictions.list(project=project.id)
    assert (changed.model_version, changed.result[0]["value"]) == ("tagger/2", {"choices": ["pink"]})
    assert pushed(studio, project, [replace(picture, asks=("smile", "bangs"))], newer) == (1, 0, 0)
    submit(page)
    pulled(studio, tmp_path)
    assert {name: value for (id_, name), value in tables(tmp_path)[1].items() if id_ == picture.id} == {"hair_color": "blue", "glasses": "false"}


def test_an_unsure_answer_is_listed_with_a_link_that_opens_it(studio: Studio, labeling_page: Page, tmp_path: Path) -> None:
    page, project = labeling_page, studio.fresh("tags")
    (picture,) = noise(1, 11)
    pushed(studio, project, [picture], tag_guesses({"hair_color": "blue"}))
    first_task(page, studio, project)
    page.keyboard.press("k")
    submit(page)
    (problem,) = pulled(studio, tmp_path).problems
    assert problem.reason == "the annotator says: unsure"
    task = present(studio.client, project)[picture.id].task
    with page.expect_response(lambda response: f"/api/tasks/{task}" in response.url) as opened:
        page.goto(problem.task)
    assert opened.value.status == 200
    assert tables(tmp_path)[1] == {}


# --- pull


def test_changed_and_deleted_answers_are_followed_and_every_change_is_a_revision(studio: Studio, first: httpx.Client, tmp_path: Path) -> None:
    studio.fresh("poses")
    project, pictures = studio.fresh("tags"), noise(3, 12)
    pushed(studio, project, pictures, None)
    there = present(studio.client, project)
    said = [say(first, there[picture.id].task, label_regions({"hair_color": "blue"})) for picture in pictures]
    once = pulled(studio, tmp_path)
    assert (once.revision, once.is_new, once.added) == (1, True, 3)
    snapshot = tmp_path / "annotations" / f"project-{project.id}.json"
    before = snapshot.read_bytes()
    again = pulled(studio, tmp_path)
    assert (again.revision, again.is_new) == (1, False) and snapshot.read_bytes() == before

    first.patch(f"/api/annotations/{said[0]}/", json={"result": label_regions({"hair_color": "red"})}).raise_for_status()
    first.delete(f"/api/annotations/{said[1]}/").raise_for_status()
    studio.client.tasks.delete(id=str(there[pictures[2].id].task))
    later = pulled(studio, tmp_path)
    assert (later.revision, later.added, later.changed, later.removed) == (2, 0, 1, 2)
    assert tables(tmp_path)[1][pictures[0].id, "hair_color"] == "red"
    assert {id_ for id_, _ in tables(tmp_path)[1]} == {pictures[0].id}
    revisions = [json.loads(line) for line in (tmp_path / "annotations" / "revisions" / "revisions.jsonl").read_text().splitlines()]
    for revision in revisions:
        kept = tmp_path / "annotations" / "revisions" / f"project-{project.id}-{revision['files'][snapshot.name][:12]}.json"
        assert kept.is_file()
    assert (tmp_path / "annotations" / "revisions" / f"project-{project.id}-{revisions[0]['files'][snapshot.name][:12]}.json").read_bytes() == before


def test_labels_of_a_label_studio_that_is_no_more_stay(studio: Studio, first: httpx.Client, tmp_path: Path) -> None:
    studio.fresh("poses")
    project, (old, new) = studio.fresh("tags"), noise(2, 21)
    made = studio.client.projects.get(project.id).created_at
    snapshot = tmp_path / "annotations" / f"project-{project.id}.json"
    snapshot.parent.mkdir()
    answer = {"id": 1, "result": label_regions({"hair_color": "pink"}), "created_at": (made - timedelta(days=1)).isoformat()}
    snapshot.write_text(json.dumps([{"id": 7, "data": {"id": old.id, "image": "x"}, "annotations": [answer]}]))
    assert pulled(studio, tmp_path).removed == 0
    assert not snapshot.is_file()
    pushed(studio, project, [new], None)
    say(first, present(studio.client, project)[new.id].task, label_regions({"hair_color": "blue"}))
    assert pulled(studio, tmp_path).added == 1
    assert pulled(studio, tmp_path).removed == 0
    found = tables(tmp_path)[1]
    assert (found[old.id, "hair_color"], found[new.id, "hair_color"]) == ("pink", "blue")


def test_a_file_that_somebody_put_in_the_place_of_a_snapshot_steps_aside(studio: Studio, first: httpx.Client, tmp_path: Path) -> None:
    studio.fresh("poses")
    project, (old, new) = studio.fresh("tags"), noise(2, 31)
    pushed(studio, project, [new], None)
    say(first, present(studio.client, project)[new.id].task, label_regions({"hair_color": "blue"}))
    assert pulled(studio, tmp_path).added == 1
    snapshot = tmp_path / "annotations" / f"project-{project.id}.json"
    snapshot.write_text(to_label_studio([Labeled(old.id, "ann", (32, 32), {"hair_color": "pink"}, None)]))  # tells no times
    assert pulled(studio, tmp_path).added == 1
    assert pulled(studio, tmp_path).added == 0
    found = tables(tmp_path)[1]
    assert (found[old.id, "hair_color"], found[new.id, "hair_color"]) == ("pink", "blue")


def test_only_what_changed_is_asked_for_and_a_killed_pull_goes_on(
    studio: Studio, first: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.fresh("poses")
    project, pictures = studio.fresh("tags"), noise(6, 13)
    pushed(studio, project, pictures, None)
    tasks = [task.task for task in present(studio.client, project).values()]
    for task in tasks:
        say(first, task, label_regions({"hair_color": "blue"}))
    import labeling.pull as module

    real, asked = module._export, []

    def watched(client: Any, of: Project, ids: Sequence[str]) -> list[dict[str, Any]]:
        if len(asked) == 1 and not done:
            raise KeyboardInterrupt
        asked.append(list(ids))
        return real(client, of, ids)

    done: list[bool] = []
    monkeypatch.setattr(module, "CHUNK", 4)
    monkeypatch.setattr(module, "_export", watched)
    with pytest.raises(KeyboardInterrupt):
        pulled(studio, tmp_path)
    done.append(True)
    assert pulled(studio, tmp_path).added == 6
    assert [len(ids) for ids in asked] == [4, 2]
    say(first, tasks[3], label_regions({"hair_color": "red"}))
    assert pulled(studio, tmp_path).changed == 1
    assert asked[2:] == [[str(tasks[3])]]


def test_incomplete_and_impossible_poses_are_listed_with_links_and_kept_out(studio: Studio, first: httpx.Client, tmp_path: Path) -> None:
    studio.fresh("tags")
    project = studio.fresh("poses")
    found, poses = figures(4, 14)
    pushed(studio, project, found, None)
    there = present(studio.client, project)
    whole = [pose_regions(poses[figure.id], SIDE, SIDE) for figure in found]
    outside = [{**whole[1][0], "value": {**whole[1][0]["value"], "x": 104}}, *whole[1][1:]]
    twice = [*whole[2], {**whole[2][0], "id": "again"}]
    for figure, result in zip(found, (whole[0][:9], outside, twice, whole[3]), strict=True):
        say(first, there[figure.id].task, result)
    problems = {problem.task: problem.reason for problem in pulled(studio, tmp_path).problems}
    assert problems == {
        project.task_url(there[found[0].id].task): "l_ankle, r_ankle missing",
        project.task_url(there[found[1].id].task): "head outside the picture",
        project.task_url(there[found[2].id].task): "head placed more than once",
    }
    assert list(tables(tmp_path)[0]) == [found[3].id]
    assert len(json.loads((tmp_path / "annotations" / f"project-{project.id}.json").read_text())) == 4  # nothing is lost


def test_an_answer_about_a_picture_that_somebody_uploaded_is_listed_and_stops_nothing(studio: Studio, first: httpx.Client, tmp_path: Path) -> None:
    studio.fresh("poses")
    project, (picture,) = studio.fresh("tags"), noise(1, 32)
    pushed(studio, project, [picture], None)
    ours = present(studio.client, project)[picture.id].task
    upload = {"file": ("mine.png", encode_png(noise(1, 33)[0].read()), "image/png")}
    first.post(f"/api/projects/{project.id}/import", files=upload).raise_for_status()
    (uploaded,) = (task.id for task in studio.client.tasks.list(project=project.id) if task.id != ours)
    for task in (ours, uploaded):
        say(first, task, label_regions({"hair_color": "blue"}))
    once = pulled(studio, tmp_path)
    assert once.added == 2 and [(problem.task, problem.reason[:25]) for problem in once.problems] == [
        (project.task_url(uploaded), "does not name its picture")
    ]
    assert {key: value for key, value in tables(tmp_path)[1].items() if value != "false"} == {(picture.id, "hair_color"): "blue"}
    studio.client.tasks.delete(id=str(uploaded))
    later = pulled(studio, tmp_path)
    assert (later.removed, later.problems) == (1, [])


# --- two people


def test_two_people_on_the_same_thirty_tasks(studio: Studio, first: httpx.Client, labeling_page: Page, tmp_path: Path) -> None:
    tag_project, pose_project = studio.fresh("tags"), studio.fresh("poses")
    pictures = noise(30, 15)
    found, poses = figures(30, 16)
    pushed(studio, tag_project, pictures, None)
    pushed(studio, pose_project, found, None)
    invitation = f"{studio.account.url}{studio.client.organizations.invites.get_invite_link().invite_url}"
    context = labeling_page.context.browser.new_context()  # type: ignore[union-attr]
    page = context.new_page()
    page.goto(invitation)
    page.fill("input[name=email]", "second@example.com")
    page.fill("input[name=password]", "a-long-password-2")
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/signup" not in address)
    token = page.request.get(f"{studio.account.url}/api/current-user/token").json()["token"]
    context.close()
    second = httpx.Client(base_url=studio.account.url, headers={"Authorization": f"Token {token}"}, timeout=60)

    colours = ["blue", "red"]
    tasks = present(studio.client, tag_project)
    for at, picture in enumerate(pictures):
        task = tasks[picture.id].task
        say(first, task, label_regions({"hair_color": colours[at % 2], "glasses": at % 3 == 0}))
        say(second, task, label_regions({"hair_color": colours[at % 2 if at < 27 else 1 - at % 2], "glasses": at % 3 == 0}))
    tasks = present(studio.client, pose_project)
    rng = np.random.default_rng(17)
    for at, figure in enumerate(found):
        near = np.clip(poses[figure.id] + rng.normal(0, 0.004, (11, 2)), 0, 1)
        if at == 0:
            near[J["l_wrist"]] = 1 - near[J["l_wrist"]]
        say(first, tasks[figure.id].task, pose_regions(poses[figure.id], SIDE, SIDE))
        say(second, tasks[figure.id].task, pose_regions(near, SIDE, SIDE))
    pulled(studio, tmp_path)

    agreement = compare(read_exports(sorted((tmp_path / "annotations").glob("*.json"))).annotations, SECTION)
    assert (agreement.people, agreement.pictures) == (2, 60)
    assert agreement.scores["hair_color"]["pairs"] == 30
    assert agreement.scores["hair_color"]["kappa"] == pytest.approx(0.8, abs=0.01)  # 27 of 30 equal, half by chance
    assert agreement.scores["glasses"]["kappa"] == 1
    assert agreement.scores["pose"]["oks"] > 0.97 and 329 / 330 <= agreement.scores["pose"]["pck"] < 1
    differ = {(row.picture_id, row.name): row for row in agreement.disagreements}
    assert set(differ) == {(picture.id, "hair_color") for picture in pictures[27:]} | {(found[0].id, "pose")}
    told = tables(tmp_path)[1]
    for at, picture in enumerate(pictures[27:], start=27):
        row = differ[picture.id, "hair_color"]
        assert row.counts == told[picture.id, "hair_color"] == colours[1 - at % 2] and row.rule == "the newest answer counts"
        assert row.task.startswith(tag_project.url)

    star = first.get(f"/api/tasks/{present(studio.client, tag_project)[pictures[27].id].task}/").json()["annotations"]
    mine = next(annotation["id"] for annotation in star if annotation["result"][0]["value"]["choices"] == [colours[1]])
    first.patch(f"/api/annotations/{mine}/", json={"ground_truth": True}).raise_for_status()
    pulled(studio, tmp_path)
    assert tables(tmp_path)[1][pictures[27].id, "hair_color"] == colours[1]


# --- any other Label Studio


def test_one_that_does_not_serve_the_pictures_is_one_sentence(studio: Studio, tmp_path: Path) -> None:
    wanted = r"does not serve the pictures in .*/elsewhere/pictures/tags \(.*\), expected one that runs on this machine"
    with pytest.raises(LabelStudioError, match=wanted), one_sentence(studio.account.url):
        ensure_project(studio.client, studio.account.url, KINDS["tags"], Home(tmp_path / "elsewhere"), studio.params)


def test_the_environment_and_a_personal_access_token_open_it_too(
    studio: Studio, first: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, (picture,) = studio.fresh("tags"), noise(1, 19)
    pushed(studio, project, [picture], None)
    say(first, present(studio.client, project)[picture.id].task, label_regions({"hair_color": "green"}))
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.account.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", first.post("/api/token/").raise_for_status().json()["token"])
    assert len(pull(tmp_path, Home(tmp_path / "nothing")).files) >= 1
    assert len(pull(tmp_path, Home(tmp_path / "nothing")).files) == 0
    said = read_exports([tmp_path / f"project-{project.id}.json"]).annotations
    assert [each.labels["hair_color"] for each in said] == ["green"]
