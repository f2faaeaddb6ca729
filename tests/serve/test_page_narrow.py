"""The page on phones, in low windows and under a high zoom; what a character keeps for those who come back; what is told without sight or colours."""

import re
from typing import Literal

import cv2
import numpy as np
import pytest
from browsing import PATIENCE_MS, Watch, expect_other, slider, source
from playwright.sync_api import Browser, Locator, Page, expect

# --- fingers


def swipe(page: Page, target: Locator, up: float) -> None:
    """A finger that comes down on this and goes straight up, as one does to scroll a page."""
    box = target.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.85, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 11):
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y - up * step / 10}]})
        page.wait_for_timeout(16)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.parametrize("name", ["#psi", "[data-slider=glasses] input"])
def test_a_swipe_that_begins_on_a_slider_scrolls_and_moves_no_slider(browser: Browser, page_server: str, name: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(page_server)
    expect(page.locator("#character-picture")).to_be_visible()
    touched = page.locator(name)
    touched.evaluate("range => range.scrollIntoView({ block: 'end' })")
    page.evaluate("scrollBy(0, 60)")
    before, top = touched.input_value(), page.evaluate("scrollY")
    reading = touched.locator("xpath=following-sibling::output")
    said = reading.inner_text()
    touched.evaluate("range => range.addEventListener('pointercancel', () => (window.cancelled = true))")
    swipe(page, touched, 200)
    page.wait_for_function("window.cancelled")
    assert page.evaluate("scrollY") > top
    assert touched.input_value() == before
    expect(reading).to_have_text(said)
    context.close()


# --- windows

LOW = [(720, 450), (844, 390)]  # a zoom of 200 %, a phone held sideways


@pytest.mark.parametrize(("width", "height"), [*LOW, (600, 400)])
def test_the_whole_stage_fits_a_low_window_and_leaves_room_to_scroll_beside_it(posing: Page, width: int, height: int) -> None:
    posing.set_viewport_size({"width": width, "height": height})
    stage = posing.locator("#stage").bounding_box()
    assert stage is not None
    assert stage["height"] <= 0.81 * height
    assert width - stage["width"] > 0.3 * width


@pytest.mark.parametrize(("width", "height"), LOW)
def test_a_wide_low_window_keeps_two_columns(posing: Page, width: int, height: int) -> None:
    posing.set_viewport_size({"width": width, "height": height})
    assert within_rows(posing, "#stage", "#sketches")
    posing.get_by_role("tab", name="Character").click()
    slider(posing, "glasses").scroll_into_view_if_needed()
    assert within_rows(posing, "#character-picture", "[data-slider=glasses]")
    expect(posing.locator("#character-picture")).to_be_in_viewport(ratio=1)


def within_rows(page: Page, left: str, right: str) -> bool:
    """Whether the two stand beside each other."""
    return page.evaluate(
        """([left, right]) => {
          const [a, b] = [left, right].map((each) => document.querySelector(each).getBoundingClientRect());
          return a.right <= b.left && a.top < b.bottom && b.top < a.bottom;
        }""",
        [left, right],
    )


def test_on_a_phone_the_sketches_stand_before_the_presets(posing: Page) -> None:
    posing.set_viewport_size({"width": 390, "height": 844})
    tops = [posing.locator(name).evaluate("node => node.getBoundingClientRect().top") for name in ("#stage", "#sketches", "#presets", "#nearest")]
    assert tops == sorted(tops)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (700, 900), (600, 450), *LOW])
def test_what_has_the_focus_is_not_behind_the_face(genga: Page, watch: Watch, width: int, height: int) -> None:
    genga.set_viewport_size({"width": width, "height": height})
    watch.quiet()
    genga.locator("summary").focus()
    covered = []
    for _ in range(80):
        genga.keyboard.press("Shift+Tab")
        name = genga.evaluate(
            """() => {
              const held = document.activeElement;
              if (!held.closest("#character")) return null;
              const box = (held.closest(".swatch") ?? held).getBoundingClientRect();
              const sheet = document.querySelector("#character-sheet").getBoundingClientRect();
              const apart = box.left >= sheet.right || box.right <= sheet.left || box.top >= sheet.bottom || box.bottom <= sheet.top;
              const seen = box.top >= 0 && box.bottom <= innerHeight;
              return (apart && seen ? "" : "covered: ") + (held.id || held.getAttribute("aria-label"));
            }"""
        )
        if name is None:
            break
        covered += [name] if name.startswith("covered") else []
    else:
        pytest.fail("the tabs were never reached")
    assert covered == []


# --- what is kept


def seeds_kept(page: Page) -> list[str]:
    titles = page.locator("#history button").evaluate_all("buttons => buttons.map((button) => button.title)")
    return [re.split(r"[ ,]", title)[1] for title in titles]


def test_every_face_that_random_showed_is_in_the_history(genga: Page) -> None:
    """Also at a pace at which no face stands for long."""
    picture, seeds = genga.locator("#character-picture"), []
    for _ in range(4):
        before = source(picture)
        genga.get_by_role("button", name="Random", exact=True).click()
        expect_other(picture, before)
        seeds.append(genga.locator("#seed").input_value())
    assert [seed for seed in seeds_kept(genga) if seed in seeds[:-1]] == seeds[-2::-1]


@pytest.mark.parametrize("taken_away_by", ["Reset", "Random seed", "another model"])
def test_a_face_just_made_is_in_the_history_when_another_takes_its_place(genga: Page, taken_away_by: str) -> None:
    picture = genga.locator("#character-picture")
    before = source(picture)
    slider(genga, "glasses").fill("0.5")
    expect_other(picture, before)
    made = source(picture)
    if taken_away_by == "another model":
        genga.get_by_label("Model").select_option("dcgan32")
    else:
        genga.get_by_role("button", name=taken_away_by, exact=True).click()
    expect_other(picture, made)
    assert made in genga.locator("#history img").evaluate_all("pictures => pictures.map((picture) => picture.src)")


def test_a_drag_leaves_the_face_it_began_with_and_the_one_it_came_to(genga: Page) -> None:
    picture, before = genga.locator("#character-picture"), source(genga.locator("#character-picture"))
    genga.get_by_role("button", name="Random seed").click()
    expect_other(picture, before)
    begun = f"Seed {genga.locator('#seed').input_value()} ("
    genga.evaluate(
        """async () => {
          const range = document.querySelector("[data-slider='glasses'] input");
          for (let step = 1; step <= 20; step++) {
            range.value = step / 20;
            range.dispatchEvent(new Event("input", { bubbles: true }));
            await new Promise((resolve) => setTimeout(resolve, 40));
          }
        }"""
    )
    kept = genga.locator("#history button")
    expect(kept.first).to_have_attribute("title", re.compile(r"glasses \+1\.00"))
    titles = kept.evaluate_all("buttons => buttons.map((button) => button.title)")
    assert any(title.startswith(begun) for title in titles)
    assert len(titles) < 6


def test_a_cleared_history_comes_back(genga: Page) -> None:
    undo, clear = genga.get_by_role("button", name="Undo"), genga.get_by_role("button", name="Clear")
    for seed in ("11", "12"):
        genga.get_by_label("Seed", exact=True).fill(seed)
        genga.get_by_label("Seed", exact=True).blur()
        expect(genga.locator("#history button").first).to_have_attribute("title", re.compile(rf"^Seed {seed}\b"))
    before = seeds_kept(genga)
    expect(undo).to_be_hidden()
    clear.press("Enter")
    genga.keyboard.press("Enter")  # nothing more is there to lose
    assert seeds_kept(genga) == []
    expect(genga.get_by_role("status").filter(has_text="Cleared")).to_be_visible()
    genga.get_by_label("Seed", exact=True).fill("13")
    expect(genga.locator("#history button")).to_have_count(1)
    undo.press("Enter")
    assert seeds_kept(genga) == ["13", *before]
    expect(clear).to_be_focused()
    expect(undo).to_be_hidden()
    genga.reload()
    expect(genga.locator("#history button")).to_have_count(1 + len(before))


# --- without sight, with little of it


def test_a_face_that_came_is_told_once_and_no_bare_numbers(genga: Page) -> None:
    genga.get_by_role("button", name="Random", exact=True).click()
    expect(genga.get_by_role("status").filter(has_text="Face from")).to_have_text(f"Face from seed {genga.locator('#seed').input_value()}")
    outputs = genga.locator("#character output")
    assert outputs.count() > 2
    assert set(outputs.evaluate_all("outputs => outputs.map((output) => output.ariaLive)")) == {"off"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_names_of_the_other_tools_are_readable(genga: Page, scheme: Literal["light", "dark"]) -> None:
    genga.emulate_media(color_scheme=scheme)
    text, ground = genga.get_by_role("tab", name="Tags").evaluate(
        """tab => {
          const brush = new OffscreenCanvas(2, 1).getContext("2d");
          for (const [x, colour] of [getComputedStyle(tab).color, getComputedStyle(tab.parentElement).backgroundColor].entries()) {
            brush.fillStyle = colour;
            brush.fillRect(x, 0, 1, 1);
          }
          const { data } = brush.getImageData(0, 0, 2, 1);
          return [[...data.slice(0, 3)], [...data.slice(4, 7)]];
        }"""
    )
    low, high = sorted((luminance(text), luminance(ground)))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def luminance(colour: list[int]) -> float:
    """Of sRGB, by WCAG 2."""
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in (value / 255 for value in colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_with_the_colours_of_the_system_swatches_keep_theirs_and_what_is_chosen_is_marked(genga: Page) -> None:
    blue = looks(genga, ".dot[style]", "backgroundColor")
    genga.emulate_media(forced_colors="active")
    genga.get_by_role("radio", name="blue").check(force=True)
    genga.get_by_role("button", name="Lock glasses").click()
    assert looks(genga, ".dot[style]", "backgroundColor") == blue
    assert looks(genga, ".swatch :checked + .dot", "outlineStyle") != looks(genga, ".swatch :not(:checked) + .dot", "outlineStyle")
    assert looks(genga, ".tabs [aria-selected=true]", "backgroundColor") != looks(genga, ".tabs [aria-selected=false]", "backgroundColor")
    assert looks(genga, ".lock[aria-pressed=true]", "backgroundColor") != looks(genga, ".lock[aria-pressed=false]", "backgroundColor")
    glasses = slider(genga, "glasses")
    glasses.fill("1")
    glasses.blur()
    track = cv2.imdecode(np.frombuffer(glasses.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE).astype(int)
    width = track.shape[1]
    assert np.ptp(track[:, width // 4]) > 100  # its edges, where nothing is filled
    assert abs(track[len(track) // 2, width * 3 // 4] - track[len(track) // 2, width // 4]) > 100


def looks(page: Page, name: str, what: str) -> str:
    return page.locator(name).first.evaluate("(node, what) => getComputedStyle(node)[what]", what)
