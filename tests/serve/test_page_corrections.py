"""Corrections on the page while the server is slow or fails: none is lost without a word, and nobody's answer is overwritten."""

import re
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from browsing import BENT, png, reading, until, upload
from playwright.sync_api import Dialog, Page, Route, expect


@pytest.fixture
def held(page: Page, page_server: str) -> list[Route]:
    """The page, opened; its corrections wait for their answer."""
    routes: list[Route] = []
    page.route("**/api/review", lambda route: routes.append(route))
    page.goto(page_server)
    expect(page.locator("#character-picture")).to_be_visible()
    return routes


def name_of(route: Route) -> str:
    found = re.search(rb'filename="([^"]+)"', route.request.post_data_buffer or b"")
    return found[1].decode() if found else ""


def keep(page: Page, path: Path) -> None:
    """A picture tagged by hand."""
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(20, 30))
    page.set_input_files("#tags-file", path)
    expect(page.get_by_role("checkbox", name="Glasses")).to_be_checked(indeterminate=True)
    page.get_by_role("checkbox", name="Glasses").check()
    page.get_by_role("button", name="Keep as a correction").click()


def test_every_correction_is_sent_in_order_and_what_fails_is_named(page: Page, held: list[Route], tmp_path: Path) -> None:
    page.route("**/api/tags", lambda route: route.abort())
    page.get_by_role("tab", name="Tags").click()
    made, unkept = page.locator("#tags-made"), page.locator("#unkept-why")
    keep(page, tmp_path / "a.png")
    page.wait_for_timeout(1600)  # longer than the page waits for a preview
    for name in ("b.png", "c.png"):
        keep(page, tmp_path / name)
    assert [name_of(route) for route in held] == ["a.png"]
    held[0].fulfill(json={"id": "a"})
    until(page, lambda: len(held) == 2, "the next one is sent")
    expect(made).not_to_contain_text("Kept")
    held[1].abort()
    expect(unkept).to_have_text("Not kept: b.png. The server does not answer; is it still running?")
    until(page, lambda: len(held) == 3, "the next one is sent")
    held[2].fulfill(json={"id": "c"})
    expect(made).to_contain_text("Kept")
    expect(unkept).to_be_visible()
    keep(page, tmp_path / "b.png")
    until(page, lambda: len(held) == 4, "the next one is sent")
    assert [name_of(route) for route in held] == ["a.png", "b.png", "c.png", "b.png"]
    held[3].fulfill(json={"id": "b"})
    expect(made).to_contain_text("Kept")
    expect(unkept).to_be_hidden()


def test_two_pictures_of_one_name_are_two(page: Page, held: list[Route], tmp_path: Path) -> None:
    """As phones send them."""
    page.route("**/api/tags", lambda route: route.abort())
    page.get_by_role("tab", name="Tags").click()
    unkept, again = page.locator("#unkept-why"), page.get_by_role("button", name="Keep as a correction")
    for folder in "ab":
        keep(page, tmp_path / folder / "image.jpg")
    until(page, lambda: len(held) == 1, "the first one is sent")
    held[0].abort()
    expect(unkept).to_contain_text("Not kept: image.jpg. ")
    until(page, lambda: len(held) == 2, "the next one is sent")
    held[1].abort()
    expect(unkept).to_contain_text("Not kept: image.jpg, image.jpg. ")
    again.click()
    until(page, lambda: len(held) == 3, "the second one is sent again")
    held[2].fulfill(json={"id": "b"})
    expect(unkept).to_contain_text("Not kept: image.jpg. ")


def test_a_kept_pose_is_said_under_its_own_picture_only(page: Page, held: list[Route]) -> None:
    page.route("**/api/pose", lambda route: route.fulfill(json=reading(BENT)))
    page.get_by_role("tab", name="Pose").click()
    help_ = page.locator("#stage-help")
    for name in ("a.png", "b.png"):
        upload(page, "#pose-file", name, png(20, 30))
        expect(help_).to_contain_text("Joints read by")
        page.get_by_role("button", name="Keep as a correction").click()
        expect(page.locator("#pose-message")).to_be_empty()
    until(page, lambda: len(held) == 1, "the first one is sent")
    held[0].fulfill(json={"id": "a"})
    until(page, lambda: len(held) == 2, "the next one is sent")
    expect(help_).not_to_contain_text("Kept")
    held[1].fulfill(json={"id": "b"})
    expect(help_).to_contain_text("Kept")


def test_a_late_guess_leaves_what_a_person_has_answered_meanwhile(page: Page, page_server: str) -> None:
    face = png(20, 30)
    guess = httpx.post(f"{page_server}/api/tags", files={"file": face}).raise_for_status().json() | {"unsure": []}
    guess["groups"] |= {"hair_color": "blue", "eye_color": "red"}
    guess["flags"] |= {"glasses": False, "smile": True}
    held: list[Route] = []
    page.route("**/api/tags", lambda route: held.append(route))
    page.goto(page_server)
    expect(page.locator("#character-picture")).to_be_visible()
    page.get_by_role("tab", name="Tags").click()
    upload(page, "#tags-file", "face.png", face)
    until(page, lambda: len(held) == 1, "the picture is read")
    hair, eyes = (page.get_by_role("group", name=name).get_by_role("radio", checked=True) for name in ("Hair colour", "Eye colour"))
    page.get_by_role("group", name="Hair colour").get_by_label("Aqua").check()
    page.get_by_role("checkbox", name="Glasses").check()
    held[0].fulfill(json=guess)
    expect(page.locator("#tags-made")).to_contain_text("Tags guessed by")
    expect(hair).to_have_attribute("value", "aqua")
    expect(eyes).to_have_attribute("value", "red")
    expect(page.get_by_role("checkbox", name="Glasses")).to_be_checked()
    expect(page.get_by_role("checkbox", name="Smile")).to_be_checked()
    upload(page, "#tags-file", "other.png", face)
    until(page, lambda: len(held) == 2, "the picture is read")
    held[1].fulfill(json=guess)
    expect(hair).to_have_attribute("value", "blue")  # another picture, nothing answered yet


def test_a_picture_that_another_takes_the_place_of_is_let_go(page: Page, held: list[Route]) -> None:
    page.evaluate(
        """() => {
          window.open_ = new Set();
          const [make, drop] = [URL.createObjectURL.bind(URL), URL.revokeObjectURL.bind(URL)];
          URL.createObjectURL = (file) => { const url = make(file); open_.add(url); return url; };
          URL.revokeObjectURL = (url) => { open_.delete(url); drop(url); };
        }"""
    )
    page.get_by_role("tab", name="Tags").click()
    for name, data in (("a.png", png(20, 30)), ("b.png", png(24, 24))):
        upload(page, "#tags-file", name, data)
        expect(page.locator("#tags-made")).to_contain_text("Tags guessed by")
    upload(page, "#tags-file", "c.png", b"no picture")
    expect(page.locator("#tags-message")).to_contain_text("no picture that we read")
    assert page.evaluate("[...open_].join()") == page.locator("#tags-picture").get_attribute("src")


def test_what_the_server_refuses_or_nobody_answered_is_not_kept(page: Page, held: list[Route]) -> None:
    page.get_by_role("tab", name="Tags").click()
    keeping, message = page.get_by_role("button", name="Keep as a correction").last, page.locator("#tags-message")
    upload(page, "#tags-file", "notes.png", b"no picture")
    expect(message).to_contain_text("no picture that we read")
    expect(keeping).to_be_disabled()
    page.route("**/api/tags", lambda route: route.fulfill(status=503, json={"error": "later"}))
    upload(page, "#tags-file", "face.png", png(20, 30))
    expect(message).to_have_text("Later")
    keeping.click()
    expect(message).to_have_text("Nothing is answered yet; choose at least one tag.")
    page.get_by_role("checkbox", name="Glasses").check()
    keeping.click()
    until(page, lambda: len(held) == 1, "it is sent")
    held[0].fulfill(status=422, json={"error": "no"})
    expect(page.locator("#unkept-why")).to_have_text("Not kept: face.png. No")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#unkept")).to_be_hidden()


def test_kept_is_said_only_of_what_was_kept(page: Page, held: list[Route], tmp_path: Path) -> None:
    page.route("**/api/tags", lambda route: route.fulfill(status=503, json={"error": "later"}))
    page.get_by_role("tab", name="Tags").click()
    keep(page, tmp_path / "face.png")
    until(page, lambda: len(held) == 1, "it is sent")
    held[0].fulfill(json={"id": "a"})
    expect(page.locator("#tags-made")).to_have_text(re.compile("^Kept.*they count if this very picture is among the imported faces"))
    page.get_by_role("checkbox", name="Smile").check()
    expect(page.locator("#tags-made")).to_have_text("face.png")

    page.route("**/api/pose", lambda route: route.fulfill(json=reading(BENT)))
    page.get_by_role("tab", name="Pose").click()
    upload(page, "#pose-file", "drawn.png", png(64, 64))
    page.get_by_role("button", name="Keep as a correction").first.click()
    until(page, lambda: len(held) == 2, "it is sent")
    held[1].fulfill(json={"id": "b"})
    expect(page.locator("#stage-help")).to_have_text(re.compile("^Kept.*once this very file lies in own-figures/figures or own-figures/sticks"))
    page.get_by_role("button", name=re.compile("^Left wrist, ")).press("ArrowUp")
    expect(page.locator("#stage-help")).to_have_text(re.compile("^Drag a joint"))


def test_a_request_that_was_lost_alone_is_made_again(page: Page, held: list[Route]) -> None:
    lost: set[str] = set()

    def lose_one(route: Route) -> None:
        if route.request.url in lost:
            route.continue_()
        else:
            lost.add(route.request.url)
            route.abort()

    page.get_by_role("tab", name="Tags").click()
    for name in ("tags", "upscale"):
        page.route(f"**/api/{name}", lose_one)
    upload(page, "#tags-file", "face.png", png(20, 30))
    expect(page.locator("#tags-message")).to_contain_text("does not answer")
    expect(page.locator("#tags-made")).to_contain_text("Tags guessed by")
    expect(page.locator("#tags-message")).to_be_empty()
    page.get_by_role("tab", name="Enlarge").click()
    upload(page, "#enlarge-file", "small.png", png(8, 9))
    expect(page.locator("#enlarge-made")).to_contain_text("9 × 8 → 36 × 32 pixels")
    page.get_by_role("tab", name="Character").click()
    page.route("**/api/characters", lose_one)
    page.get_by_role("button", name="Random", exact=True).click()
    expect(page.locator("#character-message")).to_contain_text("does not answer")
    expect(page.locator("#character-message")).to_be_empty()
    assert len(lost) == 3


def test_strokes_that_nobody_read_are_read_when_the_server_is_back(page: Page, held: list[Route]) -> None:
    page.get_by_role("tab", name="Pose").click()
    page.get_by_role("button", name="Draw", exact=True).click()
    page.route("**/api/pose", lambda route: route.abort())
    box = page.locator("#stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 100, steps=4)
    page.mouse.up()
    expect(page.locator("#pose-message")).to_contain_text("does not answer")
    page.unroute("**/api/pose")
    page.route("**/api/pose", lambda route: route.fulfill(json=reading(BENT)))
    expect(page.locator("#stage-help")).to_contain_text("Joints read by stick-pose/1")
    expect(page.locator("#pose-message")).to_be_empty()


def test_enter_in_a_field_keeps_nothing_and_on_the_button_it_does(page: Page, held: list[Route]) -> None:
    page.get_by_role("tab", name="Tags").click()
    upload(page, "#tags-file", "face.png", png(20, 30))
    expect(page.locator("#tags-made")).to_contain_text("Tags guessed by")
    who = page.get_by_label("Your name")
    page.get_by_role("group", name="Hair colour").get_by_label("Aqua").press("Enter")
    page.get_by_role("checkbox", name="Glasses").press("Enter")
    who.press("Enter")
    page.wait_for_timeout(200)
    assert held == []
    who.press("Tab")
    page.keyboard.press("Enter")
    until(page, lambda: len(held) == 1, "it is sent")
    held[0].fulfill(json={"id": "a"})
    expect(page.locator("#tags-made")).to_contain_text("Kept")


def test_what_was_not_kept_can_be_sent_again_once(page: Page, held: list[Route], tmp_path: Path) -> None:
    made, unkept, again = page.locator("#tags-made"), page.locator("#unkept"), page.locator("#unkept-again")
    page.route("**/api/tags", lambda route: route.fulfill(status=503, json={"error": "later"}))
    page.get_by_role("tab", name="Tags").click()
    keep(page, tmp_path / "face.png")
    expect(made).to_have_text("Keeping what is said of face.png …")
    page.get_by_role("button", name="Keep as a correction").click()  # twice
    until(page, lambda: len(held) == 1, "it is sent")
    held[0].fulfill(status=503, json={"error": "no room"})
    expect(unkept).to_contain_text("Not kept: face.png. No room")
    expect(made).to_have_text("face.png")
    again.click()
    expect(again).to_have_text("Keeping …")
    again.dispatch_event("click")
    page.wait_for_timeout(200)
    assert len(held) == 2
    assert held[1].request.post_data_buffer is not None and b'"glasses":true' in held[1].request.post_data_buffer
    held[1].fulfill(json={"id": "a"})
    expect(unkept).to_be_hidden()
    expect(made).to_contain_text("Kept")
    page.wait_for_timeout(200)
    assert len(held) == 2


def test_what_nobody_answered_is_sent_again_by_itself(page: Page, held: list[Route], tmp_path: Path) -> None:
    page.route("**/api/tags", lambda route: route.fulfill(status=503, json={"error": "later"}))
    page.get_by_role("tab", name="Tags").click()
    keep(page, tmp_path / "a.png")
    until(page, lambda: len(held) == 1, "it is sent")
    held[0].abort()
    expect(page.locator("#unkept")).to_contain_text("Not kept: a.png")
    until(page, lambda: len(held) == 2, "it is sent again")
    assert name_of(held[1]) == "a.png"
    held[1].fulfill(json={"id": "a"})
    expect(page.locator("#unkept")).to_be_hidden()
    expect(page.locator("#tags-made")).to_contain_text("Kept")


def test_an_older_answer_is_not_sent_after_a_newer_one_of_the_same_picture(page: Page, held: list[Route], tmp_path: Path) -> None:
    page.route("**/api/tags", lambda route: route.fulfill(status=503, json={"error": "later"}))
    page.get_by_role("tab", name="Tags").click()
    keep(page, tmp_path / "a.png")
    page.get_by_role("checkbox", name="Smile").check()
    page.get_by_role("button", name="Keep as a correction").click()  # the first answer is under way
    until(page, lambda: len(held) == 1, "the first answer is sent")
    held[0].fulfill(status=503, json={"error": "no room"})
    until(page, lambda: len(held) == 2, "the second answer is sent")
    expect(page.locator("#unkept")).to_be_hidden()
    held[1].fulfill(json={"id": "a"})
    expect(page.locator("#tags-made")).to_contain_text("Kept")
    page.wait_for_timeout(200)
    assert len(held) == 2


def test_nobody_leaves_what_is_unsent_or_unkept_without_being_asked(page: Page, held: list[Route], tmp_path: Path) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.route("**/api/tags", lambda route: route.fulfill(status=503, json={"error": "later"}))
    page.on("dialog", stay)
    page.get_by_role("tab", name="Tags").click()
    keep(page, tmp_path / "a.png")
    until(page, lambda: len(held) == 1, "it is sent")
    page.evaluate("void location.reload()")
    until(page, lambda: len(asked) == 1, "the page asks: it is under way")
    held[0].fulfill(status=422, json={"error": "no"})
    expect(page.locator("#unkept")).to_be_visible()
    page.evaluate("void location.reload()")
    until(page, lambda: len(asked) == 2, "the page asks: it is not kept")
    page.get_by_role("button", name="Dismiss").click()
    with page.expect_navigation():
        page.evaluate("void location.reload()")
    assert asked == ["beforeunload"] * 2


def test_what_is_no_picture_leaves_the_open_one_and_its_answers(page: Page, held: list[Route]) -> None:
    made, picture = page.locator("#tags-made"), page.locator("#tags-picture")
    page.get_by_role("tab", name="Tags").click()
    upload(page, "#tags-file", "face.png", png(20, 30))
    expect(made).to_contain_text("Tags guessed by")
    aqua = page.get_by_role("group", name="Hair colour").get_by_label("Aqua")
    aqua.check()
    shown = picture.get_attribute("src")
    upload(page, "#tags-file", "notes.txt", b"no picture", "text/plain")
    expect(page.locator("#tags-message")).to_contain_text("no picture that we read")
    expect(aqua).to_be_checked()
    expect(picture).to_have_attribute("src", shown or "")
    page.get_by_role("button", name="Keep as a correction").click()
    until(page, lambda: len(held) == 1, "it is sent")
    assert name_of(held[0]) == "face.png"
    held[0].fulfill(json={"id": "a"})
    expect(made).to_contain_text("Kept")
    upload(
        page, "#tags-file", "scan.tiff", cv2.imencode(".tiff", np.full((20, 30, 3), 200, np.uint8))[1].tobytes(), "image/tiff"
    )  # no browser shows it, and the server reads it
    expect(made).to_contain_text("Tags guessed by")
    expect(picture).to_be_hidden()
    page.get_by_role("button", name="Keep as a correction").click()
    until(page, lambda: len(held) == 2, "it is sent")
    assert name_of(held[1]) == "scan.tiff"
    held[1].fulfill(json={"id": "b"})
    expect(made).to_contain_text("Kept")


def test_an_older_answer_gives_way_to_a_newer_one_kept_in_another_tab(page: Page, held: list[Route], page_server: str, tmp_path: Path) -> None:
    other = page.context.new_page()
    other.route("**/api/review", lambda route: route.fulfill(json={"id": "a"}))
    other.goto(page_server)
    expect(other.locator("#character-picture")).to_be_visible()
    for each in (page, other):
        each.route("**/api/tags", lambda route: route.fulfill(status=503, json={"error": "later"}))
        each.get_by_role("tab", name="Tags").click()
    for name in ("a.png", "b.png"):
        keep(page, tmp_path / name)
    until(page, lambda: len(held) == 1, "the first one is sent")
    held[0].fulfill(status=503, json={"error": "no room"})
    until(page, lambda: len(held) == 2, "the second one is sent")
    held[1].fulfill(status=503, json={"error": "no room"})
    expect(page.locator("#unkept-why")).to_have_text("Not kept: a.png, b.png. No room")
    keep(other, tmp_path / "a.png")
    expect(other.locator("#tags-made")).to_contain_text("Kept")
    expect(page.locator("#unkept-why")).to_have_text("Not kept: b.png. No room")
