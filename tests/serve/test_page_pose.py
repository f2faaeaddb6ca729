"""The page's pose tool: what an artist does with joints, strokes, pictures, files and presets, by hand and from the keyboard."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from browsing import BENT, Watch, across, decoded, drag, expect_other, expect_picture, joint, label, middle, png, reading, source, until, upload
from playwright.sync_api import Browser, Locator, Page, Response, Route, expect

from drawing.pose_files import read_pose_file
from genga.skeleton import JOINTS, STICKS, J, normalise
from serve.schemas import MAX_SKETCHES

NECK, ELBOW, WRIST, HIP = J["neck"], J["l_elbow"], J["l_wrist"], J["hip"]
UPPER_BODY = dict.fromkeys(("head", "neck", "l_elbow", "r_elbow", "l_wrist", "r_wrist"))


@pytest.fixture(scope="module")
def blank(browser: Browser, page_server: str) -> Iterator[Page]:
    """A page of the server that shows nothing: for its modules alone."""
    page = browser.new_page()
    page.goto(f"{page_server}/healthz")
    yield page
    page.close()


def lengths(pose: Any) -> Any:
    return [float(np.linalg.norm(np.subtract(pose[a], pose[b]))) for a, b in STICKS]


def asked(watch: Watch) -> Any:
    """The pose that sketches were asked for last."""
    watch.quiet()
    return np.array(watch.bodies("/api/sketch")[-1]["pose"])


def moved(before: Any, after: Any) -> set[str]:
    return {name for name, a, b in zip(JOINTS, before, after, strict=True) if np.abs(np.subtract(a, b)).max() > 1e-6}


def ink_around(sketch: Any, place: Any) -> float:
    """How dark a sketch is around a place in [0, 1], on average: 0 white, 1 black."""
    x, y = (place * len(sketch)).astype(int)
    reach = len(sketch) // 16
    return float(1 - sketch[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1].mean() / 255)


def call(page: Page, module: str, function: str, *values: Any) -> Any:
    return page.evaluate(f"async (values) => (await import('/{module}.js')).{function}(...values)", list(values))


def pull(page: Page, pose: Any, name: str, x: float, y: float) -> Any:
    return call(page, "limbs", "pull", pose, J[name], [x, y], list(JOINTS))


def choose(page: Page, preset: str) -> None:
    page.locator("#presets").get_by_role("button", name=preset, exact=True).click()


def saved(page: Page, button: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    return Path(download.value.path()).read_bytes()


# --- joints


def test_a_dragged_wrist_keeps_the_lengths_of_its_arm_and_brings_sketches_that_follow(posing: Page, watch: Watch) -> None:
    sketches = posing.locator("#sketches img")
    choose(posing, "Waving")
    before, pictures = asked(watch), [source(sketch) for sketch in sketches.all()]
    wrist = joint(posing, "Left wrist")
    drag(posing, wrist, 60, -150)
    after = asked(watch)
    assert moved(before, after) == {"l_elbow", "l_wrist"}
    assert lengths(after) == pytest.approx(lengths(before), abs=1e-6)
    dragged = [source(sketch) for sketch in sketches.all()]
    assert all(new != old for new, old in zip(dragged, pictures, strict=True)) and len(set(dragged)) == 6
    assert decoded(dragged[0]).shape == decoded(pictures[0]).shape
    posing.get_by_role("button", name="Undo").click()
    expect_picture(sketches.first, pictures[0])
    expect(wrist).to_have_attribute("aria-label", label("Left wrist", *before[WRIST]))
    posing.keyboard.press("Control+Shift+Z")
    expect_picture(sketches.first, dragged[0])


def test_the_ink_of_sketches_goes_where_a_wrist_is_dragged(posing: Page, watch: Watch) -> None:
    choose(posing, "Standing")
    before = asked(watch)
    hanging = [decoded(source(sketch)) for sketch in posing.locator("#sketches img").all()]
    drag(posing, joint(posing, "Left wrist"), 150, -250)
    place = asked(watch)[WRIST]
    assert np.linalg.norm(place - before[WRIST]) > 0.2
    raised = [decoded(source(sketch)) for sketch in posing.locator("#sketches img").all()]
    assert max(ink_around(sketch, place) for sketch in hanging) < 0.02
    assert min(ink_around(sketch, place) for sketch in raised) > 0.15, "no network has to be trained for a drawing to be bent"


def test_with_free_lengths_a_joint_moves_alone_and_the_choice_is_remembered(posing: Page, watch: Watch) -> None:
    before = asked(watch)
    box = posing.locator("#stage").bounding_box()
    assert box is not None
    posing.get_by_label("Keep limb lengths").uncheck()
    drag(posing, joint(posing, "Left wrist"), 0.2 * box["width"], -0.1 * box["height"])
    after = asked(watch)
    assert moved(before, after) == {"l_wrist"}
    assert after[WRIST] == pytest.approx(before[WRIST] + (0.2, -0.1), abs=2e-3)
    posing.reload()
    expect(posing.get_by_label("Keep limb lengths")).not_to_be_checked()


@pytest.mark.parametrize(
    ("to", "elbow", "wrist"),
    [
        ((0.5, 0.3 + 0.15 * 2**0.5), (0.5 - 0.15 / 2**0.5, 0.3 + 0.15 / 2**0.5), (0.5, 0.3 + 0.15 * 2**0.5)),  # the elbow stays on its side
        ((0.65, 0.45), (0.5, 0.45), (0.65, 0.45)),  # where it is
        ((0.95, 0.3), (0.65, 0.3), (0.8, 0.3)),  # out of reach: straight
        ((0.5, 0.95), (0.5, 0.45), (0.5, 0.6)),
    ],
)
def test_a_wrist_takes_its_arm_along(blank: Page, to: Any, elbow: Any, wrist: Any) -> None:
    pose = pull(blank, BENT, "l_wrist", *to)
    assert moved(BENT, pose) <= {"l_elbow", "l_wrist"}
    np.testing.assert_allclose([pose[ELBOW], pose[WRIST]], [elbow, wrist], atol=1e-9)


def test_an_arm_of_unequal_bones_folds_no_further_than_it_can(blank: Page) -> None:
    pose = [[0.5, 0.5] if idx == ELBOW else [0.5, 0.6] if idx == WRIST else point for idx, point in enumerate(BENT)]  # bones of 0.2 and 0.1
    folded = pull(blank, pose, "l_wrist", 0.55, 0.3)
    np.testing.assert_allclose([folded[ELBOW], folded[WRIST]], [[0.7, 0.3], [0.6, 0.3]], atol=1e-9)
    bent = pull(blank, pose, "l_wrist", 0.5, 0.55)
    assert bent[ELBOW][0] > 0.51, "a straight limb bends outward"


def test_a_limb_without_length_does_not_break(blank: Page) -> None:
    point = [[0.5, 0.5]] * len(JOINTS)
    for name in JOINTS:
        pose = pull(blank, point, name, 0.7, 0.6)
        np.testing.assert_allclose(pose, [[0.7, 0.6] if name == "hip" else [0.5, 0.5]] * len(JOINTS), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "to", "carried"),
    [
        ("l_elbow", (0.7, 0.3), {"l_elbow": (0.65, 0.3), "l_wrist": (0.65, 0.15)}),
        ("r_knee", (0.5, 0.8), {"r_knee": (0.5, 0.55 + 0.025**0.5), "r_ankle": None}),
        ("head", (0.9, 0.3), {"head": (0.6, 0.3)}),
        ("neck", (0.1, 0.55), UPPER_BODY | {"neck": (0.25, 0.55), "head": (0.15, 0.55), "l_elbow": (0.4, 0.55), "l_wrist": (0.4, 0.4)}),
    ],
)
def test_other_joints_turn_about_the_one_before_and_carry_what_hangs_on_them(blank: Page, name: str, to: Any, carried: dict[str, Any]) -> None:
    pose = pull(blank, BENT, name, *to)
    assert moved(BENT, pose) == carried.keys()
    assert lengths(pose) == pytest.approx(lengths(BENT))
    for each, place in carried.items():
        if place:
            np.testing.assert_allclose(pose[J[each]], place, atol=1e-9)


def test_the_hip_carries_the_whole_figure_up_to_the_edges(blank: Page) -> None:
    np.testing.assert_allclose(pull(blank, BENT, "hip", 0.52, 0.5), np.add(BENT, (0.02, -0.05)), atol=1e-9)
    np.testing.assert_allclose(pull(blank, BENT, "hip", 1.0, 0.55), np.add(BENT, (0.35, 0)), atol=1e-9)


def test_no_pull_leaves_the_picture_or_changes_a_length(blank: Page) -> None:
    rng = np.random.default_rng(0)
    places = rng.random((200, 2)).round(3).tolist()
    pulls = blank.evaluate(
        """async ([pose, places, joints]) => {
          const { pull } = await import("/limbs.js");
          return places.map((place, index) => pull(pose, index % joints.length, place, joints));
        }""",
        [BENT, places, list(JOINTS)],
    )
    assert np.min(pulls) >= 0 and np.max(pulls) <= 1
    np.testing.assert_allclose([lengths(pose) for pose in pulls], [lengths(BENT)] * len(pulls), atol=1e-7)


def test_joints_move_by_arrow_keys(posing: Page, watch: Watch) -> None:
    sketch = posing.locator("#sketches img").first
    before, picture = asked(watch), source(sketch)
    joint(posing, "Hip").focus()
    for _ in range(3):
        posing.keyboard.press("ArrowRight")
    posing.keyboard.press("Shift+ArrowUp")
    expect_other(sketch, picture)
    upward = min(0.05, before[:, 1].min())
    np.testing.assert_allclose(asked(watch), np.add(before, (0.03, -upward)), atol=1e-9)
    choose(posing, "Standing")
    np.testing.assert_allclose(asked(watch), before, atol=1e-9)
    posing.get_by_label("Keep limb lengths").uncheck()
    joint(posing, "Head").focus()
    posing.keyboard.press("Shift+ArrowRight")
    posing.keyboard.press("ArrowDown")
    after = asked(watch)
    assert moved(before, after) == {"head"}
    np.testing.assert_allclose(after[0], before[0] + (0.05, 0.01), atol=1e-9)


def test_a_key_after_undo_is_a_step_of_its_own(posing: Page) -> None:
    wrist, undo = joint(posing, "Left wrist"), posing.get_by_role("button", name="Undo")
    places = [wrist.get_attribute("aria-label") or ""]
    wrist.focus()
    for key in ("Shift+ArrowUp", "Control+z", "Shift+ArrowLeft"):
        posing.keyboard.press(key)
        places.append(wrist.get_attribute("aria-label") or "")
    assert places[2] == places[0] != places[3]
    undo.click()
    expect(wrist).to_have_attribute("aria-label", places[0])
    expect(undo).to_have_attribute("aria-disabled", "true")


def test_a_key_at_the_end_of_a_limbs_reach_is_no_step(posing: Page) -> None:
    wrist, undo = joint(posing, "Left wrist"), posing.get_by_role("button", name="Undo")
    wrist.focus()
    for _ in range(60):
        posing.keyboard.press("Shift+ArrowRight")
    stretched = wrist.get_attribute("aria-label") or ""
    choose(posing, "Standing")
    undo.click()
    expect(wrist).to_have_attribute("aria-label", stretched)
    wrist.focus()
    posing.keyboard.press("Shift+ArrowRight")
    expect(wrist).to_have_attribute("aria-label", stretched)
    expect(posing.get_by_role("button", name="Redo")).to_have_attribute("aria-disabled", "false")
    posing.keyboard.press("Shift+ArrowUp")
    undo.click()
    expect(wrist).to_have_attribute("aria-label", stretched)


def test_the_nearest_figures_follow_with_source_and_licence(posing: Page, page_server: str) -> None:
    gallery = httpx.get(f"{page_server}/api/release").json()["families"]["gallery"]
    figures = posing.locator("#nearest li")
    before = figures.locator("img").evaluate_all("all => all.map((img) => img.src)")
    choose(posing, "Kicking")
    posing.wait_for_function(
        "before => JSON.stringify([...document.querySelectorAll('#nearest img')].map((i) => i.src)) !== before", arg=json.dumps(before)
    )
    expect(figures.first).to_contain_text(gallery["sources"][0])
    expect(figures.first).to_contain_text(gallery["licences"][0])


# --- presets


def test_presets_are_many_and_differ(posing: Page) -> None:
    presets = call(posing, "presets", "presets", list(JOINTS))
    names, poses = [preset["name"] for preset in presets], np.array([preset["pose"] for preset in presets])
    assert len(names) >= 24 and len(set(names)) == len(names)
    assert poses.min() >= 0.099 and poses.max() <= 0.901
    assert ((poses.max(axis=1) - poses.min(axis=1)).max(axis=1) > 0.6).all()
    shapes = normalise(poses)
    distances = np.sqrt(((shapes[:, None] - shapes[None]) ** 2).sum(axis=3).mean(axis=2)) + np.eye(len(shapes))
    assert distances.min() > 0.03, [names[idx] for idx in np.unravel_index(distances.argmin(), distances.shape)]
    assert posing.locator("#presets button svg.figure").count() == len(names)


def test_the_list_of_presets_can_be_used_at_the_width_of_a_phone(posing: Page, watch: Watch) -> None:
    posing.set_viewport_size({"width": 400, "height": 860})
    before = asked(watch)
    choose(posing, "Lying prone")
    assert len(moved(before, asked(watch))) == len(JOINTS)


# --- strokes and pictures


@pytest.fixture
def held(posing: Page) -> list[Route]:
    """Readings that wait for their answer."""
    routes: list[Route] = []
    posing.route("**/api/pose", lambda route: routes.append(route))
    return routes


def draw(page: Page, x: float) -> None:
    """The first half of a stroke, pen still down."""
    page.get_by_role("button", name="Draw", exact=True).click()
    box = page.locator("#stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + x * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + 0.5 * box["height"], steps=4)


def kind_asked(route: Route) -> bytes | None:
    """What a picture or strokes are to be read as."""
    found = re.search(rb'name="kind"\s+(\w+)', route.request.post_data_buffer or b"")
    return found[1] if found else None


def drag_wrist(page: Page) -> None:
    page.get_by_role("button", name="Joints", exact=True).click()
    drag(page, joint(page, "Left wrist"), 20, -60)


@pytest.mark.parametrize("change", [lambda page: choose(page, "Kicking"), drag_wrist], ids=["preset", "drag"])
def test_a_late_reading_of_strokes_does_not_undo_what_was_done_meanwhile(posing: Page, watch: Watch, held: list[Route], change: Any) -> None:
    before = asked(watch)
    draw(posing, 0.5)
    posing.mouse.up()
    until(posing, lambda: len(held) == 1, "strokes are read")
    change(posing)
    held[0].fulfill(json=reading(BENT))
    changed = asked(watch)
    assert moved(before, changed) and moved(BENT, changed)
    posing.get_by_role("button", name="Undo").click()
    until(posing, lambda: len(held) == 2, "the stroke that undo leads back to is read")
    held[1].fulfill(json=reading(BENT))
    np.testing.assert_allclose(asked(watch), BENT)


@pytest.mark.parametrize("begun", ["taken hold of", "on its way"])
def test_a_drag_begun_before_a_reading_arrives_is_kept(posing: Page, watch: Watch, held: list[Route], begun: str) -> None:
    """A joint that is only held takes the reading and goes on from there."""
    before = asked(watch)
    upload(posing, "#pose-file", "figure.png", png(80, 80))
    until(posing, lambda: len(held) == 1, "the picture is read")
    x, y = middle(joint(posing, "Left wrist"))
    posing.mouse.move(x, y)
    posing.mouse.down()
    if begun == "on its way":
        posing.mouse.move(x + 10, y - 30, steps=3)
    held[0].fulfill(json=reading(BENT))
    watch.quiet()
    posing.mouse.move(x + 20, y - 60, steps=3)
    posing.mouse.up()
    assert moved(BENT if begun == "taken hold of" else before, asked(watch)) == {"l_elbow", "l_wrist"}


def slow_to_show(page: Page) -> None:
    """Pictures opened from now on are shown once `decoded()` is called."""
    page.evaluate(
        """() => {
          const { decode } = HTMLImageElement.prototype;
          const large = new Promise((resolve) => (window.decoded = resolve));
          HTMLImageElement.prototype.decode = async function () {
            if (this.src.startsWith("blob:")) await large;
            return decode.call(this);
          };
        }"""
    )


def test_a_drag_before_the_picture_opened_is_shown_is_not_read_over(posing: Page, watch: Watch, held: list[Route]) -> None:
    slow_to_show(posing)
    upload(posing, "#pose-file", "figure.png", png(80, 80))
    drag_wrist(posing)
    dragged = asked(watch)
    posing.evaluate("decoded()")
    expect(posing.locator("#trace-clear")).to_be_visible()
    watch.quiet()
    assert held == []
    np.testing.assert_allclose(asked(watch), dragged)


def test_strokes_before_the_picture_opened_is_shown_are_not_read_over(posing: Page, watch: Watch, held: list[Route]) -> None:
    slow_to_show(posing)
    upload(posing, "#pose-file", "figure.png", png(80, 80))
    draw(posing, 0.5)
    posing.mouse.up()
    until(posing, lambda: len(held) == 1, "the stroke is read")
    held[0].fulfill(json=reading(BENT))
    watch.quiet()
    posing.evaluate("decoded()")
    expect(posing.locator("#trace-clear")).to_be_visible()
    watch.quiet()
    assert len(held) == 1
    np.testing.assert_allclose(asked(watch), BENT)


def test_redo_with_nowhere_to_go_leaves_a_reading_alone_and_undo_takes_the_picture_back(posing: Page, watch: Watch, held: list[Route]) -> None:
    start, away = asked(watch), posing.get_by_role("button", name="Take the picture away")
    upload(posing, "#pose-file", "figure.png", png(80, 80))
    until(posing, lambda: len(held) == 1, "the picture is read")
    posing.get_by_role("button", name="Redo").focus()
    posing.keyboard.press("Enter")
    held[0].fulfill(json=reading(BENT))
    expect(posing.locator("#stage-help")).to_contain_text("Joints read by")
    np.testing.assert_allclose(asked(watch), BENT)
    upload(posing, "#pose-file", "other.png", png(80, 80))
    until(posing, lambda: len(held) == 2, "the next one is read")
    picture = posing.locator("#stage image.traced").get_attribute("href")
    posing.get_by_role("button", name="Undo").click()
    held[1].fulfill(json=reading(np.flip(BENT, 0).tolist()))
    np.testing.assert_allclose(asked(watch), BENT)
    expect(posing.locator("#stage image.traced")).not_to_have_attribute("href", picture or "")
    posing.get_by_role("button", name="Undo").click()
    np.testing.assert_allclose(asked(watch), start)
    expect(away).to_be_visible()
    posing.get_by_role("button", name="Undo").click()
    expect(away).to_be_hidden()


def test_only_joints_read_off_a_picture_or_placed_on_it_are_kept_as_its_own(posing: Page, held: list[Route]) -> None:
    keep = posing.get_by_role("button", name="Keep as a correction")
    choose(posing, "Waving")
    upload(posing, "#pose-file", "a.png", png(80, 80))
    until(posing, lambda: len(held) == 1, "the picture is read")
    expect(keep).to_be_disabled()
    choose(posing, "Kicking")
    posing.get_by_role("button", name="Mirror").click()
    expect(keep).to_be_disabled()
    drag_wrist(posing)
    expect(keep).to_have_text("Keep as a correction (first place head, neck, left elbow and 7 more)")
    expect(keep).to_be_disabled()
    posing.get_by_label("Keep limb lengths").uncheck()
    for handle in posing.locator("#stage .joint").all():
        expect(keep).to_be_disabled()
        handle.press("ArrowRight")
    expect(keep).to_have_text("Keep as a correction")
    expect(keep).to_be_enabled()
    upload(posing, "#pose-file", "b.png", png(80, 80))
    until(posing, lambda: len(held) == 2, "the next one is read")
    expect(keep).to_be_disabled()
    held[1].fulfill(json=reading(BENT))
    expect(keep).to_be_enabled()
    posing.get_by_role("button", name="Undo").click()
    expect(keep).to_be_disabled()
    posing.get_by_role("button", name="Redo").click()
    expect(keep).to_be_enabled()
    draw(posing, 0.5)
    posing.mouse.up()
    until(posing, lambda: len(held) == 3, "the stroke is read")
    expect(keep).to_be_disabled()
    held[2].fulfill(json=reading(BENT))
    expect(keep).to_be_enabled()


def test_what_was_read_with_doubt_is_kept_only_once_a_person_has_placed_it(posing: Page, held: list[Route]) -> None:
    keep = posing.get_by_role("button", name="Keep as a correction")
    upload(posing, "#pose-file", "a.png", png(80, 80))
    until(posing, lambda: len(held) == 1, "the picture is read")
    held[0].fulfill(json=reading(BENT) | {"confidence": [0.4 if idx in (HIP, WRIST) else 0.6 for idx in range(len(JOINTS))]})
    expect(keep).to_have_text("Keep as a correction (first place left wrist, hip)")
    joint(posing, "Left wrist").press("ArrowUp")
    expect(keep).to_have_text("Keep as a correction (first place hip)")
    keep.dispatch_event("click")
    expect(posing.locator("#stage-help")).not_to_contain_text("Kept")
    joint(posing, "Hip").press("ArrowUp")
    expect(keep).to_be_enabled()


def test_strokes_begun_before_the_picture_was_there_do_not_make_its_label(posing: Page, held: list[Route]) -> None:
    help_, keep = posing.locator("#stage-help"), posing.get_by_role("button", name="Keep as a correction")
    posing.get_by_label("Read as").select_option("nothing, only trace")
    draw(posing, 0.3)
    posing.mouse.up()
    until(posing, lambda: len(held) == 1, "the stroke is read")
    held[0].fulfill(json=reading(BENT))
    expect(help_).to_contain_text("Joints read by")
    upload(posing, "#pose-file", "a.png", png(80, 80))
    expect(keep).to_be_disabled()
    draw(posing, 0.6)
    posing.mouse.up()
    until(posing, lambda: len(held) == 2, "both are read")
    held[1].fulfill(json=reading(BENT))
    expect(help_).to_contain_text("Joints read by")
    expect(keep).to_be_disabled()


def test_a_hidden_joint_is_said_only_where_somebody_said_so(posing: Page, held: list[Route], page_review: Path) -> None:
    keep, sight = posing.get_by_role("button", name="Keep as a correction"), posing.get_by_role("checkbox", name="is hidden")
    wrist, elbow = joint(posing, "Left wrist"), joint(posing, "Left elbow")
    wrist.press("x")
    expect(sight).to_have_count(0)  # no picture in which one could see it
    upload(posing, "#pose-file", "a.png", png(80, 80))
    until(posing, lambda: len(held) == 1, "the picture is read")
    held[0].fulfill(json=reading(BENT))
    expect(keep).to_be_enabled()
    lines = page_review.read_text().splitlines() if page_review.exists() else []

    def kept() -> Any:
        count = len(lines)
        keep.click()
        until(posing, lambda: page_review.exists() and len(page_review.read_text().splitlines()) > count, "it is kept")
        lines[:] = page_review.read_text().splitlines()
        return json.loads(lines[-1])

    assert "hidden" not in kept()
    wrist.press("x")
    expect(wrist).to_have_attribute("aria-label", f"{label('Left wrist', *BENT[WRIST])}, hidden")
    expect(posing.get_by_role("checkbox", name="Left wrist is hidden")).to_be_checked()
    elbow.focus()
    expect(posing.get_by_role("checkbox", name="Left elbow is hidden")).not_to_be_checked()
    sight.check()
    assert kept()["hidden"] == ["l_elbow", "l_wrist"]
    posing.get_by_role("button", name="Undo").click()
    expect(sight).not_to_be_checked()
    wrist.press("x")
    assert kept()["hidden"] == []
    upload(posing, "#pose-file", "b.png", png(80, 80))
    until(posing, lambda: len(held) == 2, "the next one is read")
    held[1].fulfill(json=reading(BENT))
    expect(keep).to_be_enabled()
    assert "hidden" not in kept()


def test_a_picture_is_read_as_what_the_artist_says_or_only_traced(posing: Page, watch: Watch, held: list[Route]) -> None:
    read_as = posing.get_by_label("Read as")
    upload(posing, "#pose-file", "a.png", png(80, 80))
    until(posing, lambda: len(held) == 1, "the picture is read")
    assert kind_asked(held[0]) is None
    held[0].fulfill(json=reading(BENT))
    np.testing.assert_allclose(asked(watch), BENT)
    read_as.select_option("figure")
    until(posing, lambda: len(held) == 2, "it is read again")
    assert kind_asked(held[1]) == b"figure"
    turned = np.flip(BENT, 0).tolist()
    held[1].fulfill(json=reading(turned))
    np.testing.assert_allclose(asked(watch), turned)
    posing.get_by_role("button", name="Undo").click()
    np.testing.assert_allclose(asked(watch), BENT)
    read_as.select_option("nothing, only trace")
    picture = posing.locator("#stage image.traced").get_attribute("href") or ""
    upload(posing, "#pose-file", "b.png", png(80, 80))
    expect(posing.locator("#stage image.traced")).not_to_have_attribute("href", picture)
    np.testing.assert_allclose(asked(watch), BENT)
    assert len(held) == 2
    draw(posing, 0.5)
    posing.mouse.up()
    until(posing, lambda: len(held) == 3, "strokes are read all the same")
    held[2].fulfill(json=reading(turned))
    read_as.select_option("figure")
    until(posing, lambda: len(held) == 4, "the strokes are read again")
    assert kind_asked(held[3]) == b"figure"
    held[3].fulfill(json=reading(BENT))
    np.testing.assert_allclose(asked(watch), BENT)


def test_what_it_was_read_as_already_is_not_read_again_and_placed_joints_stay_in_another_reading(
    posing: Page, watch: Watch, held: list[Route]
) -> None:
    read_as, turned = posing.get_by_label("Read as"), np.flip(BENT, 0)
    upload(posing, "#pose-file", "a.png", png(80, 80))
    until(posing, lambda: len(held) == 1, "the picture is read")
    held[0].fulfill(json=reading(BENT))
    drag_wrist(posing)
    corrected = asked(watch)
    arm = moved(BENT, corrected)
    read_as.select_option("stick figure")
    np.testing.assert_allclose(asked(watch), corrected)
    assert len(held) == 1
    read_as.select_option("figure")
    until(posing, lambda: len(held) == 2, "it is read again")
    held[1].fulfill(json=reading(turned.tolist()) | {"kind": "figure"})
    merged = asked(watch)
    assert not moved(corrected, merged) & arm and not moved(turned, merged) - arm
    upload(posing, "#pose-file", "b.png", png(80, 80))
    until(posing, lambda: len(held) == 3, "the next one is read")
    held[2].fulfill(json=reading(BENT))
    np.testing.assert_allclose(asked(watch), BENT)


def stroke(page: Page, held: list[Route], x: float, answer: Any) -> None:
    """One, and how it and those before it are read."""
    num_read = len(held)
    draw(page, x)
    page.mouse.up()
    until(page, lambda: len(held) == num_read + 1, "strokes are read")
    held[-1].fulfill(json=answer)


def test_joints_that_a_person_has_placed_stay_when_more_is_drawn(posing: Page, watch: Watch, held: list[Route]) -> None:
    turned = np.flip(BENT, 0)
    stroke(posing, held, 0.3, reading(BENT) | {"confidence": [0.2 if idx == ELBOW else 1.0 for idx in range(len(JOINTS))]})
    expect(posing.locator("#stage-help")).to_contain_text("Joints read by")
    drag_wrist(posing)
    placed = asked(watch)
    assert moved(BENT, placed) == {"l_elbow", "l_wrist"}
    stroke(posing, held, 0.5, reading(turned.tolist()))
    more = asked(watch)
    assert not moved(turned, more) - {"l_wrist"}, "the elbow was a guess that the wrist took along"
    np.testing.assert_allclose(more[WRIST], placed[WRIST])
    undo = posing.get_by_role("button", name="Undo")
    undo.click()
    posing.get_by_role("button", name="Mirror").click()
    stroke(posing, held, 0.5, reading(turned.tolist()))
    np.testing.assert_allclose(asked(watch)[J["r_wrist"]], (1 - placed[WRIST][0], placed[WRIST][1]))
    for _ in range(3):
        undo.click()
    stroke(posing, held, 0.5, reading(turned.tolist()))
    np.testing.assert_allclose(asked(watch), turned, err_msg="nothing is placed where undo leads to")
    choose(posing, "Standing")
    drag_wrist(posing)
    stroke(posing, held, 0.5, reading(BENT))
    np.testing.assert_allclose(asked(watch), BENT, err_msg="what is placed before the first stroke is not of the drawing")


def test_the_first_strokes_are_a_stick_figure_unless_the_artist_says_otherwise(posing: Page, watch: Watch, held: list[Route]) -> None:
    for x in (0.3, 0.5, 0.7):
        stroke(posing, held, x, reading(BENT))
    choose(posing, "Standing")
    posing.get_by_label("Read as").select_option("figure")
    stroke(posing, held, 0.3, reading(BENT))
    assert [kind_asked(route) for route in held] == [b"stick", b"stick", None, b"figure"]
    watch.quiet()


def test_an_answer_that_breaks_off_is_said(posing: Page) -> None:
    posing.evaluate(
        """() => {
          const send = window.fetch;
          const broken = () => new ReadableStream({
            start: (body) => body.enqueue(new TextEncoder().encode('{"pose": [')),
            pull: (body) => body.error(new TypeError("network error")),
          });
          window.fetch = (path, options) => (path === "api/pose" ? Promise.resolve(new Response(broken())) : send(path, options));
        }"""
    )
    upload(posing, "#pose-file", "a.png", png(80, 80))
    expect(posing.locator("#pose-message")).to_have_text("The server’s answer broke off; try again.")


def test_strokes_drawn_while_a_picture_is_read_stay_and_are_read_next(posing: Page, watch: Watch, held: list[Route]) -> None:
    paths = posing.locator("#stage .ink path")
    draw(posing, 0.2)
    posing.mouse.up()
    until(posing, lambda: len(held) == 1, "the stroke is read")
    upload(posing, "#pose-file", "a.png", png(80, 80))
    until(posing, lambda: len(held) == 2, "the picture is read")
    held[1].fulfill(json=reading(BENT))
    expect(paths).to_have_count(0)  # what was drawn before has made way for the picture
    upload(posing, "#pose-file", "b.png", png(80, 80))
    until(posing, lambda: len(held) == 3, "the picture is read")
    draw(posing, 0.4)
    posing.mouse.up()
    posing.wait_for_timeout(500)  # the stroke waits for its turn
    held[2].fulfill(json=reading(np.flip(BENT, 0).tolist()))
    until(posing, lambda: len(held) == 4, "the stroke is read")
    expect(paths).to_have_count(1)
    sent = held[3].request.post_data_buffer or b""
    drawing = cv2.imdecode(np.frombuffer(sent[sent.index(b"\x89PNG") :], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert drawing.min() < 60
    held[3].fulfill(json=reading(BENT))
    np.testing.assert_allclose(asked(watch), BENT)


def test_a_preset_chosen_right_after_a_stroke_leaves_nothing_to_read(posing: Page, watch: Watch, held: list[Route]) -> None:
    draw(posing, 0.5)
    posing.evaluate(  # at once: before the page begins to read
        """() => {
          document.getElementById("stage").dispatchEvent(new PointerEvent("pointerup", { pointerId: 1 }));
          document.querySelector("#presets button").click();
        }"""
    )
    posing.mouse.up()
    watch.quiet()
    expect(posing.locator("#stage .ink path")).to_have_count(0)
    assert held == []


def test_mirrored_strokes_are_read_as_they_are_then(posing: Page, watch: Watch, held: list[Route]) -> None:
    draw(posing, 0.3)
    posing.mouse.up()
    until(posing, lambda: len(held) == 1, "strokes are read")
    posing.get_by_role("button", name="Mirror").click()
    held[0].fulfill(json=reading(np.flip(BENT, 0).tolist()))
    until(posing, lambda: len(held) == 2, "the mirrored strokes are read")
    held[1].fulfill(json=reading(BENT))
    np.testing.assert_allclose(asked(watch), BENT)
    drag_wrist(posing)
    posing.get_by_role("button", name="Mirror").click()
    watch.quiet()
    assert len(held) == 2, "joints that a person has placed stay"


def test_a_stroke_being_drawn_stays_while_the_last_one_is_read(posing: Page, watch: Watch, held: list[Route]) -> None:
    draw(posing, 0.3)
    posing.mouse.up()
    paths = posing.locator("#stage .ink path")
    until(posing, lambda: len(held) == 1, "strokes are read")
    first = paths.first.get_attribute("d") or ""
    draw(posing, 0.7)
    held[0].fulfill(json=reading(BENT))
    expect(posing.locator("#stage-help")).to_contain_text("Joints read by")
    expect(paths).to_have_count(2)
    half = paths.last.get_attribute("d") or ""
    x, y = middle(posing.locator("#stage"))
    posing.mouse.move(x, y, steps=4)
    assert paths.first.get_attribute("d") == first
    assert len(paths.last.get_attribute("d") or "") > len(half)
    posing.mouse.up()
    expect(paths).to_have_count(2)
    until(posing, lambda: len(held) == 2, "both strokes are read")
    held[1].fulfill(json=reading(BENT))
    watch.quiet()


def test_strokes_are_read_as_a_pose(posing: Page, watch: Watch) -> None:
    posing.get_by_role("button", name="Draw", exact=True).click()
    stage = posing.locator("#stage")
    box = stage.bounding_box()
    assert box is not None

    def stroke(*points: tuple[float, float]) -> None:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        posing.mouse.move(*places[0])
        posing.mouse.down()
        for place in places[1:]:
            posing.mouse.move(*place, steps=4)
        posing.mouse.up()

    posing.evaluate(
        """() => {
          const send = window.fetch;
          window.fetch = (path, options) => {
            if (options?.body instanceof FormData) window.sent = options.body.get("file");
            return send(path, options);
          };
        }"""
    )
    before = [source(sketch) for sketch in posing.locator("#sketches img").all()]
    answers: list[Response] = []
    posing.on("response", lambda response: answers.append(response))
    stroke(*[(0.5 + 0.07 * np.sin(angle), 0.2 - 0.07 * np.cos(angle)) for angle in np.linspace(0, 2 * np.pi, 13)])
    stroke((0.5, 0.27), (0.5, 0.55))
    stroke((0.3, 0.5), (0.5, 0.33), (0.7, 0.2))
    stroke((0.4, 0.9), (0.5, 0.55), (0.62, 0.9))
    watch.quiet()
    readings = [answer.json()["pose"] for answer in answers if answer.url.endswith("/api/pose")]
    np.testing.assert_allclose(asked(watch), readings[-1])
    for name, place in zip(("Head", "Neck", "Left elbow"), readings[-1], strict=False):
        expect(joint(posing, name)).to_have_attribute("aria-label", re.compile(f"^{label(name, *place)}"))
    assert all(source(sketch) != old for sketch, old in zip(posing.locator("#sketches img").all(), before, strict=True))
    expect(posing.locator("#stage-help")).to_contain_text("Joints read by")
    for outer, inner in (("wrist", "elbow"), ("ankle", "knee")):
        left, right = (across(joint(posing, f"{side} {outer}")) + across(joint(posing, f"{side} {inner}")) for side in ("Left", "Right"))
        assert left >= right, "sticks do not tell left from right: the figure faces us"
    assert posing.locator("#stage .ink path").count() == 4
    sent = posing.evaluate("async () => [...new Uint8Array(await window.sent.arrayBuffer())]")
    drawing = cv2.imdecode(np.array(sent, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert drawing.shape == (384, 384)
    assert drawing[0, 0] == 255
    inked = [bool(drawing[round(y * 384), round(x * 384)] < 60) for x, y in ((0.5, 0.13), (0.5, 0.4), (0.62, 0.895), (0.2, 0.7))]
    assert inked == [True, True, True, False]
    posing.get_by_role("button", name="Undo").click()
    assert posing.locator("#stage .ink path").count() == 3


def test_a_picture_to_trace_stays_behind_strokes_until_it_is_taken_away(posing: Page, watch: Watch) -> None:
    traced, paths = posing.locator("#stage image.traced"), posing.locator("#stage .ink path")
    away = posing.get_by_role("button", name="Take the picture away")
    upload(posing, "#pose-file", "figure.png", png(80, 120))
    expect(posing.locator("#stage-help")).to_contain_text("Joints read by")
    picture = traced.get_attribute("href")
    for x in (0.3, 0.7):
        draw(posing, x)
        posing.mouse.up()
        watch.quiet()
    expect(paths).to_have_count(2)
    expect(traced).to_have_attribute("href", picture or "")
    assert posing.evaluate("async (url) => (await createImageBitmap(await (await fetch(url)).blob())).width", picture) == 120, "it can still be seen"
    drawn = asked(watch)
    away.click()
    expect(traced).not_to_have_attribute("href", re.compile(""))
    expect(away).to_be_hidden()
    expect(paths).to_have_count(2)
    assert not moved(drawn, asked(watch)), "strokes and joints stay"
    posing.get_by_role("button", name="Undo").click()
    expect(traced).to_have_attribute("href", picture or "")
    expect(away).to_be_visible()


def test_reset_leads_back_to_the_start_and_undo_to_what_was_drawn_on_its_picture(posing: Page, watch: Watch) -> None:
    start, paths, traced = asked(watch), posing.locator("#stage .ink path"), posing.locator("#stage image.traced")
    upload(posing, "#pose-file", "figure.png", png(80, 120))
    expect(posing.locator("#stage-help")).to_contain_text("Joints read by")
    picture = traced.get_attribute("href") or ""
    draw(posing, 0.4)
    posing.mouse.up()
    drawn = asked(watch)
    assert moved(start, drawn)
    posing.get_by_role("button", name="Reset").click()
    expect(paths).to_have_count(0)
    expect(posing.get_by_role("button", name="Take the picture away")).to_be_hidden()
    expect(traced).not_to_have_attribute("href", picture)
    np.testing.assert_allclose(asked(watch), start)
    posing.get_by_role("button", name="Undo").click()
    expect(paths).to_have_count(1)
    expect(traced).to_have_attribute("href", picture)
    assert posing.evaluate("async (url) => (await createImageBitmap(await (await fetch(url)).blob())).width", picture) == 120, "it can still be seen"
    np.testing.assert_allclose(asked(watch), drawn)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_joints_of_an_uploaded_picture_lie_where_the_picture_is_shown(posing: Page, kind: str) -> None:
    """A wide picture stands in the middle of the square stage; one that browsers cannot show would stand there."""
    picture = np.full((100, 200, 3), 255, np.uint8)
    cv2.line(picture, (100, 10), (100, 90), (0, 0, 0), 4)
    cv2.circle(picture, (100, 15), 8, (0, 0, 0), 3)
    with posing.expect_response("**/api/pose") as answer:
        upload(posing, "#pose-file", f"figure.{kind}", cv2.imencode(f".{kind}", picture)[1].tobytes(), f"image/{kind}")
    pose = answer.value.json()["pose"]
    expect(posing.locator("#stage-help")).to_contain_text("Joints read by")
    expect(joint(posing, "Head")).to_have_attribute("aria-label", re.compile(f"^{label('Head', pose[0][0], 0.25 + pose[0][1] / 2)}"))
    expect(posing.get_by_role("button", name="Take the picture away")).to_be_visible(visible=kind == "png")


def test_joints_that_were_hardly_seen_are_hollow_and_count_less_until_they_are_placed(posing: Page, watch: Watch) -> None:
    confidence = [0.9] * len(JOINTS)
    confidence[WRIST] = 0.2

    def read(route: Route) -> None:
        route.fulfill(json=reading(BENT) | {"confidence": confidence})

    asked(watch)
    assert "confidence" not in watch.bodies("/api/sketch")[-1]
    posing.route("**/api/pose", read)
    upload(posing, "#pose-file", "figure.png", cv2.imencode(".png", np.full((64, 64, 3), 255, np.uint8))[1].tobytes())
    expect(posing.locator("#stage-help")).to_contain_text("the hollow ones are guesses")
    hollow = posing.locator("#stage .joint.unsure")
    expect(hollow).to_have_count(1)
    expect(hollow).to_have_attribute("aria-label", f"{label('Left wrist', *BENT[WRIST])}, a guess")
    np.testing.assert_allclose(asked(watch), BENT)
    assert watch.bodies("/api/sketch")[-1]["confidence"] == confidence
    drag(posing, hollow, 20, 20)
    expect(hollow).to_have_count(0)
    expect(joint(posing, "Left wrist")).to_have_attribute("aria-label", re.compile("down$"))
    asked(watch)
    assert watch.bodies("/api/sketch")[-1]["confidence"] == [1 if idx == WRIST else 0.9 for idx in range(len(JOINTS))]


# --- files


def test_a_pose_goes_out_as_json_and_comes_back(posing: Page) -> None:
    choose(posing, "Running")
    name = joint(posing, "Right ankle").get_attribute("aria-label")
    file = saved(posing, "Download the pose as JSON")
    assert json.loads(file)["joints"] == list(JOINTS) and len(json.loads(file)["pose"]) == 11
    choose(posing, "Standing")
    assert joint(posing, "Right ankle").get_attribute("aria-label") != name
    upload(posing, "#pose-file", "pose.json", file, "application/json")
    expect(joint(posing, "Right ankle")).to_have_attribute("aria-label", name or "")
    for text in (b'{"pose": [[0.5, 2]]}', b'{"people": []}', b"[", b"null"):
        choose(posing, "Standing")
        upload(posing, "#pose-file", "pose.json", text, "application/json")
        expect(posing.locator("#pose-message")).to_contain_text("This file holds no pose")


def test_our_own_json_comes_in_as_it_may_lie_in_poses(posing: Page, tmp_path: Path) -> None:
    pose = np.array(BENT)
    wide = (pose - (0, 0.5)) * (1, 2) + (0, 0.5)  # shares of a picture twice as wide as high, in whose square the figure is BENT
    documents: dict[str, Any] = {
        "numbers": {"pose": pose.ravel().tolist()},
        "bare": pose.ravel().tolist(),
        "list": [{"pose": BENT}, {"pose": BENT[::-1]}],
        "other order": [{"joints": JOINTS[::-1], "pose": np.ravel(BENT[::-1]).tolist()}],
    }
    for name, document in documents.items():
        assert call(posing, "posefiles", "poseOf", json.dumps(document), JOINTS)["pose"] == BENT, name
    pixels = {"pose": (wide * (400, 200)).tolist(), "width": 400, "height": 200}
    for sized in ({**pixels, "pose": wide.tolist()}, pixels):
        np.testing.assert_allclose(call(posing, "posefiles", "poseOf", json.dumps(sized), JOINTS)["pose"], BENT, atol=1e-9)
    large = call(posing, "posefiles", "poseOf", json.dumps({"pose": (pose * 700).tolist()}), JOINTS)["pose"]
    np.testing.assert_allclose(normalise(np.array(large)), normalise(pose), atol=1e-9)
    for bad in ({"pose": BENT[:10]}, {"pose": [*BENT[:10], [0.5, None]]}, {"pose": BENT, "joints": ["nose", *JOINTS[1:]]}, [{"pose": []}]):
        assert call(posing, "posefiles", "poseOf", json.dumps(bad), JOINTS) is None


def test_a_pose_of_guesses_alone_brings_sketches(posing: Page, watch: Watch) -> None:
    upload(posing, "#pose-file", "pose.json", json.dumps({"pose": BENT, "confidence": [0] * len(JOINTS)}).encode(), "application/json")
    expect(posing.locator("#stage .joint.unsure")).to_have_count(len(JOINTS))
    np.testing.assert_allclose(asked(watch), BENT)
    assert "confidence" not in watch.bodies("/api/sketch")[-1]
    expect(posing.locator("#sketch-message")).to_be_empty()


def test_guesses_go_out_as_guesses_and_come_back_as_such(posing: Page, watch: Watch, tmp_path: Path) -> None:
    confidence = [0.25 if name == "r_ankle" else 1 for name in JOINTS]
    guessed = {"joints": JOINTS[::-1], "pose": BENT[::-1], "confidence": confidence[::-1]}
    upload(posing, "#pose-file", "pose.json", json.dumps(guessed).encode(), "application/json")
    hollow = posing.locator("#stage .joint.unsure")
    expect(hollow).to_have_attribute("aria-label", re.compile("^Right ankle, .* a guess$"))
    path = tmp_path / "pose.json"
    path.write_bytes(saved(posing, "Download the pose as JSON"))
    assert json.loads(path.read_text()) == {"joints": list(JOINTS), "pose": BENT, "confidence": confidence}
    np.testing.assert_allclose(read_pose_file(path).poses, [BENT])
    choose(posing, "Standing")
    expect(hollow).to_have_count(0)
    assert "confidence" not in json.loads(saved(posing, "Download the pose as JSON"))
    upload(posing, "#pose-file", "pose.json", path.read_bytes(), "application/json")
    expect(hollow).to_have_count(1)
    asked(watch)
    assert watch.bodies("/api/sketch")[-1]["confidence"] == confidence
    for damaged in ([1] * 10, [2] * 11, 1):
        upload(posing, "#pose-file", "pose.json", json.dumps({"pose": BENT, "confidence": damaged}).encode(), "application/json")
        expect(posing.locator("#pose-message")).to_contain_text("This file holds no pose")
        choose(posing, "Standing")
        upload(posing, "#pose-file", "pose.json", path.read_bytes(), "application/json")
        expect(posing.locator("#pose-message")).to_be_empty()


def test_the_pose_is_still_there_after_a_reload_and_its_guesses_are_guesses(posing: Page, watch: Watch) -> None:
    confidence = [0.25 if name == "r_ankle" else 1 for name in JOINTS]
    upload(posing, "#pose-file", "pose.json", json.dumps({"pose": BENT, "confidence": confidence}).encode(), "application/json")
    np.testing.assert_allclose(asked(watch), BENT)
    posing.reload()
    expect(posing.locator("#stage .joint.unsure")).to_have_attribute("aria-label", re.compile("^Right ankle, .* a guess$"))
    np.testing.assert_allclose(asked(watch), BENT)
    expect(posing.get_by_role("button", name="Undo")).to_have_attribute("aria-disabled", "true")
    posing.get_by_role("button", name="Reset").click()
    assert moved(BENT, asked(watch))
    posing.evaluate("""[localStorage, sessionStorage].map((left) => left.setItem("genga.pose", '"of another kind"'))""")
    posing.reload()
    expect(posing.locator("#stage .joint.unsure")).to_have_count(0)


def test_a_pose_goes_out_for_openpose_and_comes_back(posing: Page, watch: Watch) -> None:
    choose(posing, "Running")
    before = asked(watch)
    file = saved(posing, "Download the pose for OpenPose")
    document = json.loads(file)
    keypoints = np.array(document["people"][0]["pose_keypoints_2d"]).reshape(25, 3)  # BODY_25
    side = document["canvas_width"]
    assert side == document["canvas_height"]
    ours = {"head": 0, "neck": 1, "r_elbow": 3, "r_wrist": 4, "l_elbow": 6, "l_wrist": 7, "hip": 8}
    ours |= {"r_knee": 10, "r_ankle": 11, "l_knee": 13, "l_ankle": 14}
    for name, point in ours.items():
        np.testing.assert_allclose(keypoints[point] / (side, side, 1), [*before[J[name]], 1], atol=1e-5)
    for point, inner, outer, share in ((5, "neck", "l_elbow", 0.35), (12, "hip", "l_knee", 0.2)):  # shoulder and hip, which we do not have
        place = before[J[inner]] + share * (before[J[outer]] - before[J[inner]])
        np.testing.assert_allclose(keypoints[point] / (side, side, 1), [*place, 1], atol=1e-5)
    assert (keypoints[15:] == 0).all()
    choose(posing, "Standing")
    upload(posing, "#pose-file", "openpose.json", file, "application/json")
    np.testing.assert_allclose(asked(watch), before, atol=1e-5)
    expect(posing.locator("#stage .joint.unsure")).to_have_count(0)


def test_coco_18_of_a_wide_picture_comes_in_and_what_is_missing_is_hollow(posing: Page, watch: Watch) -> None:
    keypoints = np.zeros((18, 3))
    seen = {0: (400, 80), 1: (400, 120), 3: (370, 160), 6: (430, 160), 7: (440, 200), 8: (385, 200), 11: (415, 200)}
    seen |= {9: (380, 260), 10: (380, 320), 12: (420, 260), 13: (420, 320)}  # no right wrist, no shoulders
    for point, place in seen.items():
        keypoints[point] = [*place, 0.8]
    strange: list[Any] = [{"pose_keypoints_2d": []}, {"pose_keypoints_2d": [0.5] * 51}, {}, None]
    other = {"pose_keypoints_2d": (keypoints * (0.5, 0.5, 0.5)).ravel().tolist()}
    document = [{"people": [*strange, other, {"pose_keypoints_2d": keypoints.ravel().tolist()}], "canvas_width": 800, "canvas_height": 400}]
    upload(posing, "#pose-file", "people.json", json.dumps(document).encode(), "application/json")
    pose = asked(watch)
    np.testing.assert_allclose(pose[J["head"]], [0.5, 0.25 + 80 / 800])
    np.testing.assert_allclose(pose[HIP], [0.5, 0.25 + 200 / 800])
    np.testing.assert_allclose(pose[J["l_ankle"]], [420 / 800, 0.25 + 320 / 800])
    np.testing.assert_allclose(pose[J["r_wrist"]] - pose[J["r_elbow"]], 0.9 * (pose[J["r_elbow"]] - pose[NECK]))
    confidence = watch.bodies("/api/sketch")[-1]["confidence"]
    assert confidence == [0 if name == "r_wrist" else 0.8 for name in JOINTS]
    expect(posing.locator("#stage .joint.unsure")).to_have_count(1)
    for people in ([{"pose_keypoints_2d": [0] * 54}], strange):
        upload(posing, "#pose-file", "people.json", json.dumps({"people": people}).encode(), "application/json")
        expect(posing.locator("#pose-message")).to_contain_text("This file holds no pose")
        choose(posing, "Standing")
        upload(posing, "#pose-file", "people.json", json.dumps(document).encode(), "application/json")
        expect(posing.locator("#pose-message")).to_be_empty()


def test_mirror_exchanges_left_and_right(posing: Page) -> None:
    choose(posing, "Pointing")
    left = joint(posing, "Left wrist")
    before, down = across(left), (left.get_attribute("aria-label") or "").split(", ")[2]
    posing.get_by_role("button", name="Mirror").click()
    expect(joint(posing, "Right wrist")).to_have_attribute("aria-label", f"Right wrist, {100 - before} across, {down}")


# --- the keyboard


def tab_to(page: Page, target: Locator) -> None:
    for _ in range(120):
        page.keyboard.press("Tab")
        if target.evaluate("node => node === document.activeElement"):
            return
    pytest.fail("Tab never comes to it")


def test_the_focus_stays_among_the_sketches_when_others_arrive(posing: Page, watch: Watch) -> None:
    watch.quiet()
    routes: list[Route] = []
    posing.route("**/api/sketch", lambda route: routes.append(route))
    posing.get_by_role("button", name="Other seeds").click()
    until(posing, lambda: len(routes) == 1, "others are asked for")
    download = posing.locator("#sketches button").nth(1)
    tab_to(posing, download)
    before = download.get_attribute("aria-label") or ""
    routes[0].continue_()
    expect(download).not_to_have_attribute("aria-label", before)
    expect(download).to_be_focused()


def test_tools_and_help_are_what_they_are_called(posing: Page) -> None:
    expect(posing.get_by_role("group", name="Pose tools")).to_be_visible()
    expect(posing.get_by_role("toolbar")).to_have_count(0)  # its buttons are reached by Tab, not by arrow keys
    expect(posing.get_by_role("status").filter(has_text="Drag a joint")).to_have_count(1)


def test_everything_is_reached_and_done_by_keys(genga: Page, watch: Watch) -> None:
    genga.get_by_role("tab", name="Character").focus()
    genga.keyboard.press("ArrowRight")
    expect(genga.locator("#sketches img")).to_have_count(6)
    start = asked(watch)
    tab_to(genga, joint(genga, "Left wrist"))
    genga.keyboard.press("Shift+ArrowUp")
    kept = asked(watch)
    assert moved(start, kept) == {"l_elbow", "l_wrist"}
    tab_to(genga, genga.get_by_label("Keep limb lengths"))
    genga.keyboard.press("Space")
    tab_to(genga, genga.locator("#presets").get_by_role("button", name="Kicking"))
    genga.keyboard.press("Enter")
    kicking = asked(watch)
    assert len(moved(kept, kicking)) == len(JOINTS)
    tab_to(genga, genga.get_by_role("button", name="Other seeds"))
    genga.keyboard.press("Enter")
    watch.quiet()
    before, seed = (body["seed"] for body in watch.bodies("/api/sketch")[-2:])
    assert seed != before and seed % MAX_SKETCHES == 0  # from there on none is of the same drawing
    tab_to(genga, genga.get_by_role("button", name="Download sketch").first)
    with genga.expect_download() as download:
        genga.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".png")
    genga.get_by_role("tab", name="Pose").focus()
    for button in ("Undo", "Redo", "Mirror"):
        tab_to(genga, genga.get_by_role("button", name=button))
        genga.keyboard.press("Enter")
    mirrored = asked(watch)
    np.testing.assert_allclose(mirrored[HIP], (1 - kicking[HIP][0], kicking[HIP][1]), atol=1e-9)
    tab_to(genga, genga.get_by_role("button", name="Download the pose for OpenPose"))
    with genga.expect_download() as download:
        genga.keyboard.press("Enter")
    assert len(json.loads(Path(download.value.path()).read_text())["people"]) == 1
    tab_to(genga, joint(genga, "Right ankle"))
    genga.keyboard.press("ArrowLeft")
    assert moved(mirrored, asked(watch)) == {"r_ankle"}


# --- fingers


def test_a_finger_drags_a_joint_and_not_the_page(browser: Browser, page_server: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 600}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{page_server}/#/pose")
    elbow = joint(page, "Left elbow")
    elbow.scroll_into_view_if_needed()
    before, scrolled, (x, y) = elbow.get_attribute("aria-label") or "", page.evaluate("scrollY"), middle(elbow)
    finger = context.new_cdp_session(page)
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 10):
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x - 2 * step, "y": y - 8 * step}]})
        page.wait_for_timeout(20)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    down = [int(words.split(", ")[2].split()[0]) for words in (before, elbow.get_attribute("aria-label") or "")]
    assert down[0] - down[1] > 5
    assert page.evaluate("scrollY") == scrolled
    context.close()


# --- seeds


def test_undo_leads_back_to_the_sketches_of_earlier_seeds_and_the_seeds_are_shown(posing: Page, watch: Watch) -> None:
    sketches, made, undo = posing.locator("#sketches img"), posing.locator("#sketch-made"), posing.get_by_role("button", name="Undo")
    expect(made).to_contain_text("Seeds 0 to 5 · ")
    drag(posing, joint(posing, "Left wrist"), 40, -80)
    pose = asked(watch)
    first = source(sketches.first)
    for _ in range(2):
        posing.get_by_role("button", name="Other seeds").click()
        watch.quiet()
    expect_other(sketches.first, first)
    seed = watch.bodies("/api/sketch")[-1]["seed"]
    expect(made).to_contain_text(f"Seeds {seed} to {seed + 5} · ")
    choose(posing, "Kicking")
    watch.quiet()
    assert watch.bodies("/api/sketch")[-1]["seed"] == seed, "another pose keeps the seed"
    for _ in range(3):
        undo.click()
    expect_picture(sketches.first, first)
    np.testing.assert_allclose(asked(watch), pose)
    expect(made).to_contain_text("Seeds 0 to 5 · ")
    posing.get_by_role("button", name="Redo").click()
    watch.quiet()
    assert watch.bodies("/api/sketch")[-1]["seed"] not in (0, seed)


# --- what is left and found again


def test_strokes_and_seeds_are_still_there_after_a_reload(posing: Page, watch: Watch, held: list[Route]) -> None:
    paths = posing.locator("#stage .ink path")
    stroke(posing, held, 0.4, reading(BENT))
    posing.get_by_role("button", name="Other seeds").click()
    np.testing.assert_allclose(asked(watch), BENT)
    seed = watch.bodies("/api/sketch")[-1]["seed"]
    draw(posing, 0.6)
    posing.mouse.up()
    until(posing, lambda: len(held) == 2, "the second stroke is read")
    posing.reload()
    expect(paths).to_have_count(2)
    until(posing, lambda: len(held) == 3, "what was not read yet is read")
    held[2].fulfill(json=reading(BENT))
    np.testing.assert_allclose(asked(watch), BENT)
    assert watch.bodies("/api/sketch")[-1]["seed"] == seed
    posing.evaluate("""[localStorage, sessionStorage].map((left) => left.setItem("genga.drawing", '{"drawing": {"strokes": [[]]}}'))""")
    posing.reload()
    expect(posing.locator("#sketches img")).to_have_count(6)
    expect(paths).to_have_count(0)


def test_each_tab_finds_its_own_pose_again_and_a_new_one_the_last(posing: Page, page_server: str) -> None:
    choose(posing, "Kicking")
    kicking = joint(posing, "Left wrist").get_attribute("aria-label") or ""
    other = posing.context.new_page()
    other.goto(f"{page_server}/#/pose")
    expect(joint(other, "Left wrist")).to_have_attribute("aria-label", kicking)
    choose(other, "Waving")
    waving = joint(other, "Left wrist").get_attribute("aria-label") or ""
    assert waving != kicking
    for page, place in ((posing, kicking), (other, waving)):
        page.reload()
        expect(joint(page, "Left wrist")).to_have_attribute("aria-label", place)


def test_what_is_no_picture_leaves_the_one_behind_and_the_strokes_to_be_read(posing: Page, watch: Watch, held: list[Route]) -> None:
    upload(posing, "#pose-file", "figure.png", png(80, 80))
    until(posing, lambda: len(held) == 1, "the picture is read")
    held[0].fulfill(json=reading(BENT))
    expect(posing.locator("#stage-help")).to_contain_text("Joints read by")
    behind = posing.locator("#stage image.traced").get_attribute("href") or ""
    upload(posing, "#pose-file", "notes.txt", b"no picture", "text/plain")
    until(posing, lambda: len(held) == 2, "the server is asked")
    held[1].fulfill(body="{")
    expect(posing.locator("#pose-message")).to_have_text("The server’s answer broke off; try again.")
    expect(posing.locator("#stage image.traced")).to_have_attribute("href", behind)
    draw(posing, 0.5)
    posing.mouse.up()
    upload(posing, "#pose-file", "notes.txt", b"no picture", "text/plain")
    until(posing, lambda: len(held) == 3, "the server is asked")
    held[2].fulfill(body="{")
    until(posing, lambda: len(held) == 4, "the stroke is read all the same")
    held[3].fulfill(json=reading(np.flip(BENT, 0).tolist()))
    np.testing.assert_allclose(asked(watch), np.flip(BENT, 0))
