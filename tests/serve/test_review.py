"""A correction on the page becomes a line that the labels can read."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from browsing import png, upload
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect
from tiny_release import make_release

from drawing.stick import draw_stick, sample_style
from genga.errors import GengaError
from genga.pictures import Limits, decode, encode_png
from genga.store import picture_id
from genga.tags import flags
from labeling.account import Home
from labeling.exports import read_exports
from labeling.pull import pull
from serve.app import create_app
from serve.review import check_file
from serve.server import serve

POSE = np.random.default_rng(1).uniform(0.2, 0.8, (11, 2)).round(3).tolist()
PNG = png(20, 30)
ID = picture_id(decode(PNG, Limits(10**6, 10**6, 1)))


@pytest.fixture(scope="module")
def release_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    release_dir = tmp_path_factory.mktemp("review") / "release"
    make_release(release_dir, families=["tagger"])
    return release_dir


@pytest.fixture
def client(release_dir: Path, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(release_dir, tmp_path / "annotations" / "review.jsonl")) as client:
        yield client


def send(client: TestClient, said: Any, data: bytes = PNG, **headers: str) -> Any:
    form = {"said": said if isinstance(said, str) else json.dumps(said)}
    return client.post("/api/review", files={"file": ("a.png", data)}, data=form, headers={"X-Genga-Review": "test"} | headers)


def test_corrections_reach_the_labels_by_the_pictures_id(client: TestClient, tmp_path: Path) -> None:
    assert send(client, {"by": "ann", "labels": {"hair_color": "blue", "glasses": False}}).json() == {"id": ID}
    assert send(client, {"by": "ann", "pose": POSE, "hidden": ["l_wrist"]}).status_code == 200
    assert pull(tmp_path / "annotations", Home(tmp_path), offline=True).is_new
    tagged, posed = sorted(read_exports([tmp_path / "annotations" / "review.json"]).annotations, key=lambda said: said.pose is not None)
    assert (tagged.picture_id, tagged.annotator, tagged.labels) == (ID, "ann", {"hair_color": "blue", "glasses": False})
    assert (posed.size, posed.hidden) == ((30, 20), frozenset({"l_wrist"}))
    np.testing.assert_allclose(posed.pose, POSE)  # type: ignore[arg-type]


def test_which_joints_one_sees_is_an_answer_only_where_it_is_given(client: TestClient, tmp_path: Path) -> None:
    for said in ({}, {"hidden": []}):
        assert send(client, {"by": "ann", "pose": POSE, **said}).status_code == 200
    first, second = map(json.loads, (tmp_path / "annotations" / "review.jsonl").read_text().splitlines())
    assert "hidden" not in first and second["hidden"] == []


def test_what_a_crash_cut_off_does_not_spoil_the_next_correction(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "annotations" / "review.jsonl"
    path.parent.mkdir()
    path.write_text('{"whole": 1}\n{"id": "cut')
    assert send(client, {"by": "ann", "labels": {"hair_color": "blue"}}).status_code == 200
    first, second = path.read_text().splitlines()
    assert first == '{"whole": 1}' and json.loads(second)["labels"] == {"hair_color": "blue"}


def test_an_editor_that_leaves_the_last_line_without_its_end_loses_no_correction(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "annotations" / "review.jsonl"
    for hair in ("blue", "red"):
        assert send(client, {"by": "ann", "labels": {"hair_color": hair}}).status_code == 200
        path.write_text(path.read_text().rstrip("\n"))
    pull(tmp_path / "annotations", Home(tmp_path), offline=True)
    said = read_exports([tmp_path / "annotations" / "review.json"]).annotations
    assert [each.labels["hair_color"] for each in said] == ["blue", "red"]
    assert [json.loads(line)["labels"]["hair_color"] for line in path.read_text().splitlines()] == ["blue", "red"]


@pytest.mark.parametrize("text", ['[{"id": 1, "annotations": []}]', "notes\n", '{"id": "a", "pose": []}', '{"id": "cut\n'])
def test_a_file_that_is_not_ours_is_refused_and_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(GengaError, match=r"export\.json begins with no correction, expected a file that this server wrote, or none; give another"):
        serve(tmp_path / "no release", "127.0.0.1", 0, path)
    assert path.read_text() == text


@pytest.mark.parametrize("text", ['[{"id": 1, "annotations": []}]', "notes\nand more", '[\n{"id": "a"}\n]'])
def test_a_file_that_is_not_ours_stays_also_where_it_came_while_the_server_runs(client: TestClient, tmp_path: Path, text: str) -> None:
    path = tmp_path / "annotations" / "review.jsonl"
    path.parent.mkdir()
    path.write_text(text)
    answer = send(client, {"by": "ann", "labels": {"hair_color": "blue"}})
    assert answer.status_code == 503
    assert "review.jsonl ends with no correction, expected a file that this server wrote; move it away" in answer.json()["error"]
    assert path.read_text() == text


@pytest.mark.parametrize("cut", [0, 1, 12, None])
def test_a_file_of_ours_is_taken_also_where_a_crash_cut_its_first_line(client: TestClient, tmp_path: Path, cut: int | None) -> None:
    path = tmp_path / "annotations" / "review.jsonl"
    assert send(client, {"by": "ann", "labels": {"hair_color": "blue"}}).status_code == 200
    path.write_text(path.read_text()[:cut])
    check_file(path)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"by": "ann"}, "either a pose or labels"),
        ({"by": "ann", "pose": POSE, "labels": {"glasses": True}}, "either a pose or labels"),
        ({"by": "ann", "pose": POSE[:10]}, "pose"),
        ({"by": "ann", "pose": [[1.2, 0], *POSE[1:]]}, "pose"),
        ({"by": "ann", "pose": POSE, "hidden": ["tail"]}, "tail"),
        ({"by": "ann", "pose": [[0.5, 0.5]] * 11}, "all joints lie in one place"),
        ({"by": "ann", "labels": {"wings": True}}, "unknown tag 'wings'"),
        ({"by": "ann", "labels": {"hair_color": "rainbow"}}, "hair_color is 'rainbow'"),
        ({"by": "", "labels": {"glasses": True}}, "by"),
        ("{", "said is not valid JSON (EOF"),
    ],
)
def test_what_is_no_correction_is_refused_and_nothing_is_written(client: TestClient, tmp_path: Path, said: Any, message: str) -> None:
    answer = send(client, said)
    assert answer.status_code == 422 and message in answer.json()["error"]
    assert not (tmp_path / "annotations" / "review.jsonl").exists()


def test_a_correction_that_cannot_be_written_says_where_and_why(release_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "annotations").write_text("a file")
    with TestClient(create_app(release_dir, tmp_path / "annotations" / "review.jsonl"), raise_server_exceptions=False) as client:
        answer = send(client, {"by": "ann", "labels": {"glasses": True}})
    assert answer.status_code == 503
    assert "review.jsonl could not be written (File exists); make room or let the server write there" in answer.json()["error"]


def test_while_another_program_has_the_file_models_go_on_and_then_the_correction_is_kept(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "annotations" / "review.jsonl"
    path.parent.mkdir()
    said = {"by": "ann", "labels": {"glasses": True}}
    num_cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(num_cores + 1) as callers, path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting = [callers.submit(send, client, said) for _ in range(num_cores)]
        time.sleep(0.5)
        assert callers.submit(client.post, "/api/tags", files={"file": PNG}).result(timeout=4).status_code == 200
        assert not any(each.done() for each in waiting)
        fcntl.flock(file, fcntl.LOCK_UN)
        assert [each.result().status_code for each in waiting] == [200] * num_cores
    assert len(path.read_text().splitlines()) == num_cores


def test_a_file_that_another_program_never_lets_go_is_said(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.review.LOCK_SECONDS", 0.1)
    path = tmp_path / "annotations" / "review.jsonl"
    path.parent.mkdir()
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        answer = send(client, {"by": "ann", "labels": {"glasses": True}})
    assert answer.status_code == 503 and "could not be written (another program keeps it locked)" in answer.json()["error"]


def test_only_a_page_of_ours_may_correct_and_only_pictures(client: TestClient, release_dir: Path) -> None:
    said = {"by": "ann", "labels": {"glasses": True}}
    assert send(client, said, **{"X-Genga-Review": ""}).status_code == 403
    assert send(client, said, b"no picture").status_code == 415
    with TestClient(create_app(release_dir)) as closed:
        answer = send(closed, said)
    assert answer.status_code == 503 and "--review" in answer.json()["error"]


def test_tags_are_corrected_on_the_page(genga: Page, page_review: Path) -> None:
    genga.get_by_role("tab", name="Tags").click()
    upload(genga, "#tags-file", "face.png", PNG)
    expect(genga.locator("#tags-made")).to_contain_text("tagger/")
    eyes = genga.get_by_role("group", name="Eye colour: not sure, perhaps")
    expect(eyes.get_by_role("radio", name="Not said")).to_be_checked()
    expect(genga.get_by_role("checkbox", name="Blush")).to_be_checked(indeterminate=True)
    genga.get_by_label("Your name").fill("ann")
    genga.get_by_label("Your name").blur()
    genga.get_by_role("group", name="Hair colour").get_by_label("Aqua").check()
    genga.get_by_role("checkbox", name="Glasses").check()
    genga.get_by_role("checkbox", name="Smile").uncheck()
    genga.get_by_role("button", name="Keep as a correction").last.click()
    expect(genga.locator("#tags-made")).to_contain_text("Kept")
    said = json.loads(page_review.read_text().splitlines()[-1])
    assert (said["id"], said["by"]) == (ID, "ann")
    assert (said["labels"]["hair_color"], said["labels"]["glasses"], said["labels"]["smile"]) == ("aqua", True, False)
    assert set(flags()) - {"blush"} <= set(said["labels"])
    assert not {"blush", "eye_color"} & set(said["labels"])  # nobody has said anything about what the tagger is not sure of


def test_what_a_person_does_not_know_is_not_said_whatever_the_tagger_guessed(genga: Page, page_review: Path) -> None:
    guess = httpx.post(f"{genga.url.partition('#')[0]}api/tags", files={"file": PNG}).raise_for_status().json()
    guess |= {"unsure": [], "groups": guess["groups"] | {"hair_color": "blue", "eye_color": "red"}, "flags": dict.fromkeys(flags(), True)}
    genga.route("**/api/tags", lambda route: route.fulfill(json=guess))
    genga.get_by_role("tab", name="Tags").click()
    upload(genga, "#tags-file", "face.png", PNG)
    smile = genga.get_by_role("checkbox", name="Smile")
    expect(smile).to_be_checked()
    hair = genga.get_by_role("group", name="Hair colour")
    hair.get_by_role("radio", name="Not said").focus()
    genga.keyboard.press("Space")
    expect(hair.get_by_role("radio", checked=True)).to_have_accessible_name("Not said")
    genga.get_by_role("button", name="Glasses: not said").press("Enter")
    expect(genga.get_by_role("checkbox", name="Glasses")).to_be_checked(indeterminate=True)
    smile.press("Delete")
    expect(smile).to_be_checked(indeterminate=True)
    expect(smile).to_be_focused()
    keeping = genga.get_by_role("button", name="Keep as a correction").last
    keeping.click()
    expect(genga.locator("#tags-made")).to_contain_text("Kept")
    labels = json.loads(page_review.read_text().splitlines()[-1])["labels"]
    assert labels["eye_color"] == "red" and labels["open_mouth"] is True
    assert not {"hair_color", "glasses", "smile"} & set(labels)
    for choice in genga.get_by_role("radio", name="Not said").all():
        choice.check()
    for box in genga.locator("#tags-questions").get_by_role("checkbox").all():
        box.press("Backspace")
    keeping.click()
    expect(genga.locator("#tags-message")).to_have_text("Nothing is answered yet; choose at least one tag.")


def test_what_a_person_has_corrected_outlives_an_outage_and_no_picture_takes_anothers_tags(page: Page, page_server: str) -> None:
    page.goto(page_server)
    expect(page.locator("#character-picture")).to_be_visible()
    page.get_by_role("tab", name="Tags").click()
    upload(page, "#tags-file", "face.png", PNG)
    expect(page.locator("#tags-made")).to_contain_text("tagger/")
    aqua = page.get_by_role("group", name="Hair colour").get_by_label("Aqua")
    aqua.check()
    page.route("**/api/release", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#banner")).to_be_visible()
    page.unroute("**/api/release")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#banner")).to_be_hidden()
    expect(aqua).to_be_checked()
    page.route("**/api/tags", lambda route: route.abort())
    upload(page, "#tags-file", "other.png", png(24, 24))
    expect(page.locator("#tags-message")).not_to_be_empty()
    for chosen in page.locator("#tags-questions").get_by_role("radio", checked=True).all():
        expect(chosen).to_have_accessible_name("Not said")
    expect(page.get_by_role("checkbox", name="Glasses")).to_be_checked(indeterminate=True)


def test_a_pose_is_corrected_on_the_page_in_shares_of_its_own_picture(posing: Page, page_review: Path) -> None:
    """A wide picture stands in the middle of the square stage; what is kept is in the picture's own width and height."""
    expect(posing.get_by_role("button", name="Keep as a correction")).to_have_count(0)
    square = draw_stick(np.array(POSE), 200, sample_style(("bold-filled",), np.random.default_rng(0)), np.random.default_rng(0))
    wide = cv2.copyMakeBorder(square, 0, 0, 100, 100, cv2.BORDER_CONSTANT, value=255)
    sure = {"confidence": [1.0] * 11}  # whatever a network says that was never trained
    posing.route("**/api/pose", lambda route: route.fulfill(json=route.fetch().json() | sure))
    with posing.expect_response(lambda response: response.url.endswith("/api/pose")) as told:
        upload(posing, "#pose-file", "wide.png", encode_png(wide))
    keep = posing.get_by_role("button", name="Keep as a correction")
    expect(keep).to_be_visible()
    expect(posing.locator("#stage-help")).to_contain_text("Joints read by")
    keep.click()
    expect(posing.locator("#stage-help")).to_contain_text("Kept")
    said = json.loads(page_review.read_text().splitlines()[-1])
    assert (said["width"], said["height"]) == (400, 200)
    np.testing.assert_allclose(said["pose"], told.value.json()["pose"], atol=1e-9)
