"""The page in a real browser, in front of the real server with a tiny release: what an artist does, at two widths and from the keyboard."""

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response, Route, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from tiny_release import make_release

from cli.doctor import find_browser

REPO = Path(__file__).parents[2]
PATIENCE_MS = 15_000
CALM_SECONDS = 0.6
REFUSED = "Failed to load resource"  # what a browser itself writes of every reply with an error status


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The one that `make test` made sure of; never skipped."""
    chromium = find_browser()
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        except PlaywrightError as error:
            reason = str(error).strip().splitlines()[0]
            pytest.fail(
                f"no browser starts ({reason}); install Debian's chromium, run `playwright install chromium`, or name one in GENGA_CHROMIUM",
                pytrace=False,
            )
        yield started
        started.close()


@pytest.fixture(scope="session")
def page_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    release_dir = tmp_path_factory.mktemp("page") / "release"
    make_release(release_dir)
    return release_dir


@pytest.fixture(scope="session")
def page_server(page_release: Path) -> Iterator[str]:
    """The address of a server process of its own."""
    command = [sys.executable, "-m", "serve", "--release", str(page_release), "--port", "0"]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Genga answers at "), line
        yield line.split()[-1]
        process.terminate()


class Watch:
    """What a page said and asked for."""

    def __init__(self, page: Page, origin: str) -> None:
        self.origin = origin
        self.said: list[str] = []
        self.asked: list[Request] = []
        self.under_way: list[Request] = []
        self._page = page
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", self._begin)
        for end in ("requestfinished", "requestfailed"):
            page.on(end, self._end)

    def _note(self, message: ConsoleMessage) -> None:
        self.said.append(f"{message.type}: {message.text}")

    def _begin(self, request: Request) -> None:
        self.asked.append(request)
        self.under_way.append(request)

    def _end(self, request: Request) -> None:
        self.under_way.remove(request)

    def quiet(self) -> None:
        """Returns when no request has been under way for longer than the page waits before it asks by itself."""
        end = time.monotonic() + PATIENCE_MS / 1000
        calm_since, num_asked = time.monotonic(), len(self.asked)
        while time.monotonic() - calm_since < CALM_SECONDS:
            assert time.monotonic() < end, f"never quiet: {[request.url for request in self.under_way]}"
            self._page.wait_for_timeout(40)
            if self.under_way or len(self.asked) != num_asked:
                calm_since, num_asked = time.monotonic(), len(self.asked)

    @property
    def strangers(self) -> list[str]:
        return [
            request.url for request in self.asked if urlsplit(request.url).scheme not in ("data", "blob") and not request.url.startswith(self.origin)
        ]

    def bodies(self, route: str) -> list[dict[str, Any]]:
        return [json.loads(request.post_data or "null") for request in self.asked if request.url.endswith(route)]


@pytest.fixture
def watch(page: Page, page_server: str) -> Watch:
    return Watch(page, page_server)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.fixture
def genga(page: Page, watch: Watch, page_server: str) -> Iterator[Page]:
    """The page, opened; afterwards it has written nothing to the console and asked no other host."""
    page.goto(page_server)
    expect(page.locator("#character-picture")).to_be_visible(timeout=PATIENCE_MS)
    yield page
    assert watch.said == []
    assert watch.strangers == []


@pytest.fixture
def posing(genga: Page) -> Page:
    genga.get_by_role("tab", name="Pose").click()
    expect(genga.locator("#sketches img")).to_have_count(6, timeout=PATIENCE_MS)
    return genga


def source(picture: Locator) -> str:
    return picture.get_attribute("src") or ""


def expect_picture(picture: Locator, url: str) -> None:
    until(picture.page, lambda: source(picture) == url, "the picture expected is shown")


def expect_other(picture: Locator, before: str) -> None:
    until(picture.page, lambda: source(picture) != before, "another picture is shown")


def until(page: Page, holds: Callable[[], bool], what: str) -> None:
    """Like Playwright's own `expect`, but silent about data URLs of many thousand letters."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"it never came to this: {what}")
        page.wait_for_timeout(25)


def slider(page: Page, name: str) -> Locator:
    return page.locator(f"[data-slider='{name}'] input[type=range]")


def joint(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=re.compile(f"^{name}, "))


def label(name: str, x: float, y: float) -> str:
    return f"{name}, {int(x * 100 + 0.5)} across, {int(y * 100 + 0.5)} down"


def across(handle: Locator) -> int:
    return int((handle.get_attribute("aria-label") or "").split(", ")[1].split()[0])


def middle(target: Locator) -> tuple[float, float]:
    box = target.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, target: Locator, right: float, down: float) -> None:
    x, y = middle(target)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=6)
    page.mouse.up()


def decoded(url: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_UNCHANGED)


def png(height: int, width: int, channels: int = 3) -> bytes:
    rng = np.random.default_rng(0)
    return cv2.imencode(".png", rng.integers(0, 256, (height, width, channels), dtype=np.uint8))[1].tobytes()


def upload(page: Page, chooser: str, name: str, data: bytes, kind: str = "image/png") -> None:
    page.set_input_files(chooser, {"name": name, "mimeType": kind, "buffer": data})


# --- character


def test_a_moved_slider_changes_the_picture(genga: Page) -> None:
    picture = genga.locator("#character-picture")
    before = source(picture)
    slider(genga, "glasses").fill("0.8")
    expect_other(picture, before)
    moved = source(picture)
    slider(genga, "glasses").fill("-0.8")
    expect_other(picture, moved)
    assert source(picture) != before


def test_a_slider_moves_by_arrow_keys_and_rests_by_delete(genga: Page) -> None:
    picture, glasses = genga.locator("#character-picture"), slider(genga, "glasses")
    before = source(picture)
    glasses.focus()
    genga.keyboard.press("ArrowRight")
    genga.keyboard.press("Shift+ArrowRight")
    assert glasses.input_value() == "0.06"
    expect_other(picture, before)
    genga.keyboard.press("Delete")
    assert glasses.input_value() == "0"
    expect_picture(picture, before)


def test_the_picture_is_the_one_of_the_settings_shown(genga: Page, page_server: str) -> None:
    genga.get_by_label("Seed", exact=True).fill("41")
    genga.locator("#psi").fill("0.9")
    genga.get_by_role("radio", name="blue").check(force=True)
    genga.get_by_role("slider", name="Hair colour: strength").fill("0.5")
    tags = {"hair_color=blue": 0.5}
    asked = {"seed": 41, "psi": 0.9, "tags": tags, "family": genga.locator("#family").input_value()}
    answer = httpx.post(f"{page_server}/api/characters", json=asked).raise_for_status().json()
    expect_picture(genga.locator("#character-picture"), answer["images"][0])
    expect(genga.locator("#character-made")).to_contain_text(answer["version"])


def test_a_fast_drag_keeps_one_request_under_way_and_ends_on_the_last_value(genga: Page, watch: Watch) -> None:
    watch.quiet()
    most = 0

    def count(_: Request) -> None:
        nonlocal most
        most = max(most, sum(request.url.endswith("/api/characters") and request.post_data_json["count"] == 1 for request in watch.under_way))

    def slowly(route: Route) -> None:
        time.sleep(0.05)
        route.continue_()

    genga.route("**/api/characters", slowly)
    genga.on("request", count)
    genga.evaluate(
        """async () => {
          const range = document.querySelector("[data-slider='glasses'] input");
          for (let step = 1; step <= 60; step++) {
            range.value = step / 60;
            range.dispatchEvent(new Event("input", { bubbles: true }));
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        }"""
    )
    watch.quiet()
    singles = [body for body in watch.bodies("/api/characters") if body["count"] == 1]
    assert most == 1
    assert singles[-1]["tags"] == {"glasses": 1}
    assert len(singles) < 50


def test_random_keeps_what_is_locked_and_draws_the_rest(genga: Page) -> None:
    slider(genga, "glasses").fill("0.37")
    genga.get_by_role("button", name="Lock glasses").click()
    expect(genga.get_by_role("button", name="Lock glasses")).to_have_attribute("aria-pressed", "true")
    others = genga.locator(".dial input[type=range]:not(#psi)")
    seeds, settings = set(), set()
    for _ in range(4):
        genga.get_by_role("button", name="Random", exact=True).click()
        assert slider(genga, "glasses").input_value() == "0.37"
        seeds.add(genga.locator("#seed").input_value())
        settings.add(tuple(others.evaluate_all("ranges => ranges.map((range) => range.value)")))
    assert len(seeds) == 4
    assert len(settings) == 4
    genga.get_by_role("button", name="Lock the seed").click()
    genga.get_by_role("button", name="Random", exact=True).click()
    assert genga.locator("#seed").input_value() in seeds


def test_history_brings_every_setting_and_the_picture_back_even_after_a_reload(genga: Page) -> None:
    picture, first = genga.locator("#character-picture"), genga.locator("#history button").first
    genga.get_by_label("Seed", exact=True).fill("5")
    genga.locator("#psi").fill("0.55")
    slider(genga, "glasses").fill("0.44")
    genga.get_by_role("radio", name="blue").check(force=True)
    expect(first).to_have_attribute("title", re.compile(r"Seed 5, hair colour blue \+1\.00, glasses \+0\.44"), timeout=PATIENCE_MS)
    kept = source(picture)
    genga.get_by_role("button", name="Reset", exact=True).click()
    genga.get_by_label("Seed", exact=True).fill("6")
    expect_other(picture, kept)
    genga.reload()
    genga.get_by_role("button", name=re.compile("^Go back to: Seed 5,")).click()
    expect_picture(picture, kept)
    assert genga.locator("#seed").input_value() == "5"
    assert genga.locator("#psi").input_value() == "0.55"
    assert slider(genga, "glasses").input_value() == "0.44"
    expect(genga.get_by_role("radio", name="blue")).to_be_checked()


def test_a_variant_brings_its_seed(genga: Page) -> None:
    genga.get_by_label("Seed", exact=True).fill("100")
    variant = genga.get_by_role("button", name="Take seed 103")
    variant.click(timeout=PATIENCE_MS)
    assert genga.locator("#seed").input_value() == "103"


def test_the_picture_downloads_as_png(genga: Page) -> None:
    with genga.expect_download() as download:
        genga.get_by_role("button", name="Download PNG").click()
    saved = Path(download.value.path()).read_bytes()
    assert saved == base64.b64decode(source(genga.locator("#character-picture")).partition(",")[2])
    assert download.value.suggested_filename.endswith(".png")


def test_a_wrong_seed_is_refused_in_one_sentence(genga: Page, watch: Watch) -> None:
    watch.quiet()
    num_asked = len(watch.bodies("/api/characters"))
    genga.get_by_label("Seed", exact=True).fill("4294967296")
    expect(genga.locator("#character-message")).to_have_text("A seed is a whole number from 0 to 4,294,967,295.")
    assert len(watch.bodies("/api/characters")) == num_asked


def test_what_an_older_page_left_in_the_browser_does_no_harm(page: Page, watch: Watch, page_server: str) -> None:
    page.add_init_script(
        """localStorage.setItem("genga.history", '[{"settings": {"seed": -3}}]'); localStorage.setItem("genga.character", "{broken");"""
    )
    page.goto(page_server)
    expect(page.locator("#character-picture")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#history button").first).to_be_visible(timeout=PATIENCE_MS)
    assert watch.said == []


def test_every_family_says_where_it_comes_from_and_under_which_licence(genga: Page, page_server: str) -> None:
    families = httpx.get(f"{page_server}/api/release").json()["families"]
    genga.get_by_text("Models, sources and licences").click()
    cards = genga.locator(".family")
    assert cards.count() == len(families)
    for card, (name, info) in zip(cards.all(), families.items(), strict=True):
        expect(card.get_by_role("heading")).to_contain_text(name)
        for text in (info["version"], *info["sources"], *info["licences"], *info["notes"]):
            expect(card).to_contain_text(text)


def test_sliders_of_real_faces_that_were_learned_from_drawn_ones_say_so(page: Page, page_server: str) -> None:
    def on_real_faces(route: Route) -> None:
        document = route.fetch().json()
        document["families"]["stylegan2"]["sources"] = ["photographs of a test"]
        document["families"]["stylegan2"]["sliders"][0]["learned_from"] = "human"
        route.fulfill(json=document)

    page.route("**/api/release", on_real_faces)
    page.goto(page_server)
    expect(page.locator("#drawn-note")).to_be_visible()
    names = httpx.get(f"{page_server}/api/release").json()["families"]["stylegan2"]["sliders"]
    assert page.locator("#sliders .drawn").count() == len(names) - 1
    page.locator("#family").select_option("dcgan32")
    expect(page.locator("#drawn-note")).to_be_hidden()
    assert page.locator("#sliders .drawn").count() == 0


# --- pose


def test_a_dragged_joint_brings_other_sketches_and_undo_the_old_ones(posing: Page, watch: Watch) -> None:
    sketch = posing.locator("#sketches img").first
    before = source(sketch)
    wrist = joint(posing, "Left wrist")
    name = wrist.get_attribute("aria-label")
    drag(posing, wrist, 60, -150)
    watch.quiet()
    dragged = source(sketch)
    assert dragged != before
    assert wrist.get_attribute("aria-label") != name
    assert decoded(dragged).shape == decoded(before).shape
    posing.get_by_role("button", name="Undo").click()
    expect_picture(sketch, before)
    assert wrist.get_attribute("aria-label") == name
    posing.keyboard.press("Control+Shift+Z")
    expect_picture(sketch, dragged)


def test_the_nearest_figures_follow_with_source_and_licence(posing: Page, page_server: str) -> None:
    gallery = httpx.get(f"{page_server}/api/release").json()["families"]["gallery"]
    figures = posing.locator("#nearest li")
    before = figures.locator("img").evaluate_all("all => all.map((img) => img.src)")
    posing.get_by_role("button", name="Kicking").click()
    posing.wait_for_function(
        "before => JSON.stringify([...document.querySelectorAll('#nearest img')].map((i) => i.src)) !== before", arg=json.dumps(before)
    )
    expect(figures.first).to_contain_text(gallery["sources"][0])
    expect(figures.first).to_contain_text(gallery["licences"][0])


def test_a_joint_moves_by_arrow_keys(posing: Page, watch: Watch) -> None:
    sketch, head = posing.locator("#sketches img").first, joint(posing, "Head")
    before, (x, y) = source(sketch), watch.bodies("/api/sketch")[-1]["pose"][0]
    head.focus()
    for _ in range(3):
        posing.keyboard.press("ArrowRight")
    posing.keyboard.press("Shift+ArrowDown")
    expect_other(sketch, before)
    watch.quiet()
    assert watch.bodies("/api/sketch")[-1]["pose"][0] == pytest.approx([x + 0.03, y + 0.05])


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
    answers: list[Response] = []
    posing.on("response", lambda response: answers.append(response))
    stroke(*[(0.5 + 0.07 * np.sin(angle), 0.2 - 0.07 * np.cos(angle)) for angle in np.linspace(0, 2 * np.pi, 13)])
    stroke((0.5, 0.27), (0.5, 0.55))
    stroke((0.3, 0.5), (0.5, 0.33), (0.7, 0.2))
    stroke((0.4, 0.9), (0.5, 0.55), (0.62, 0.9))
    watch.quiet()
    readings = [answer.json()["pose"] for answer in answers if answer.url.endswith("/api/pose")]
    expect(joint(posing, "Head")).to_have_attribute("aria-label", label("Head", *readings[-1][0]))
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


def test_joints_of_an_uploaded_picture_lie_where_the_picture_is_shown(posing: Page) -> None:
    """A wide picture stands in the middle of the square stage."""
    picture = np.full((100, 200, 3), 255, np.uint8)
    cv2.line(picture, (100, 10), (100, 90), (0, 0, 0), 4)
    cv2.circle(picture, (100, 15), 8, (0, 0, 0), 3)
    with posing.expect_response("**/api/pose") as answer:
        upload(posing, "#pose-file", "figure.png", cv2.imencode(".png", picture)[1].tobytes())
    pose = answer.value.json()["pose"]
    expect(posing.locator("#stage-help")).to_contain_text("Joints read by")
    expect(joint(posing, "Head")).to_have_attribute("aria-label", label("Head", pose[0][0], 0.25 + pose[0][1] / 2))
    expect(posing.get_by_role("button", name="Take the picture away")).to_be_visible()


def test_a_pose_goes_out_as_json_and_comes_back(posing: Page) -> None:
    posing.get_by_role("button", name="Running").click()
    name = joint(posing, "Right ankle").get_attribute("aria-label")
    with posing.expect_download() as download:
        posing.get_by_role("button", name="Download the pose as JSON").click()
    saved = Path(download.value.path()).read_bytes()
    assert len(json.loads(saved)["pose"]) == 11
    posing.get_by_role("button", name="Standing").click()
    assert joint(posing, "Right ankle").get_attribute("aria-label") != name
    upload(posing, "#pose-file", "pose.json", saved, "application/json")
    expect(joint(posing, "Right ankle")).to_have_attribute("aria-label", name or "")
    upload(posing, "#pose-file", "pose.json", b'{"pose": [[0.5, 2]]}', "application/json")
    expect(posing.locator("#pose-message")).to_contain_text("This file holds no pose")


def test_mirror_exchanges_left_and_right(posing: Page) -> None:
    posing.get_by_role("button", name="Pointing").click()
    left = joint(posing, "Left wrist")
    before, down = across(left), (left.get_attribute("aria-label") or "").split(", ")[2]
    posing.get_by_role("button", name="Mirror").click()
    expect(joint(posing, "Right wrist")).to_have_attribute("aria-label", f"Right wrist, {100 - before} across, {down}")


# --- enlarge


def test_an_uploaded_picture_comes_back_four_times_as_wide_and_high(genga: Page) -> None:
    genga.get_by_role("tab", name="Enlarge").click()
    upload(genga, "#enlarge-file", "small.png", png(24, 40, 4))
    expect(genga.locator("#compare")).to_be_visible(timeout=PATIENCE_MS)
    assert genga.locator("#after").evaluate("img => [img.naturalWidth, img.naturalHeight]") == [160, 96]
    expect(genga.locator("#enlarge-made")).to_contain_text("40 × 24 → 160 × 96 pixels")
    with genga.expect_download() as download:
        genga.get_by_role("tabpanel", name="Enlarge").get_by_role("button", name="Download PNG").click()
    assert download.value.suggested_filename == "small-4x.png"
    saved = cv2.imdecode(np.frombuffer(Path(download.value.path()).read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert saved.shape == (96, 160, 4)


def test_before_and_after_are_compared_by_keys(genga: Page) -> None:
    genga.get_by_role("button", name="Enlarge 4×").click()
    expect(genga.locator("#compare")).to_be_visible(timeout=PATIENCE_MS)
    cut = genga.get_by_role("slider", name="How much of the picture before is shown")
    cut.focus()
    genga.keyboard.press("ArrowRight")
    assert genga.locator("#before").evaluate("img => getComputedStyle(img).clipPath") == "inset(0px 49% 0px 0px)"


def test_what_is_no_picture_is_refused_in_one_sentence(page: Page, watch: Watch, page_server: str) -> None:
    page.goto(f"{page_server}/#/enlarge")
    expect(page.locator("#enlarge-limits")).to_contain_text("million pixels")
    upload(page, "#enlarge-file", "notes.png", b"no picture at all")
    message = page.locator("#enlarge-message")
    expect(message).not_to_be_empty(timeout=PATIENCE_MS)
    assert "\n" not in message.inner_text()
    upload(page, "#enlarge-file", "small.png", png(8, 8))
    expect(page.locator("#compare")).to_be_visible(timeout=PATIENCE_MS)
    expect(message).to_be_empty()
    assert [line for line in watch.said if REFUSED not in line] == []


def test_a_picture_over_the_limit_is_refused_before_it_is_sent(genga: Page, watch: Watch) -> None:
    genga.get_by_role("tab", name="Enlarge").click()
    upload(genga, "#enlarge-file", "large.png", cv2.imencode(".png", np.zeros((1500, 1500, 3), np.uint8))[1].tobytes())
    expect(genga.locator("#enlarge-message")).to_contain_text("The picture has 2.3 million pixels; at most")
    assert not any(request.url.endswith("/api/upscale") for request in watch.asked)


# --- the whole page


@pytest.mark.parametrize("width", [400, 1400])
def test_no_tool_is_wider_than_the_window(genga: Page, width: int) -> None:
    genga.set_viewport_size({"width": width, "height": 860})
    genga.get_by_text("Models, sources and licences").click()
    for name in ("Character", "Pose", "Enlarge"):
        genga.get_by_role("tab", name=name).click()
        assert genga.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        outside = genga.evaluate(
            """() => [...document.querySelectorAll("main :is(button, input, img, svg.stage)")]
              .filter((node) => node.checkVisibility() && !node.closest(".strip, .presets") && node.getBoundingClientRect().right > innerWidth + 1)
              .map((node) => node.id || node.className)"""
        )
        assert outside == [], name


def test_everything_that_can_be_used_has_a_name(genga: Page) -> None:
    for name in ("Character", "Pose", "Enlarge"):
        genga.get_by_role("tab", name=name).click()
        snapshot = genga.locator("body").aria_snapshot()
        assert not re.search(r"^\s*- (button|slider|radio|spinbutton|combobox|textbox|link|tab)( \[[^\]]*\])*:?$", snapshot, re.MULTILINE), snapshot


def test_the_tabs_are_chosen_by_arrow_keys(genga: Page) -> None:
    genga.get_by_role("tab", name="Character").focus()
    genga.keyboard.press("ArrowRight")
    expect(genga.get_by_role("tab", name="Pose")).to_be_focused()
    expect(genga.get_by_role("tabpanel", name="Pose")).to_be_visible()
    genga.keyboard.press("End")
    expect(genga.get_by_role("tabpanel", name="Enlarge")).to_be_visible()
    expect(genga.get_by_role("tabpanel", name="Character")).to_be_hidden()


def test_nothing_jumps_while_settings_change(genga: Page, watch: Watch) -> None:
    watch.quiet()
    genga.evaluate(
        """() => {
          window.shift = 0;
          new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shift += entry.value))).observe({ type: "layout-shift" });
        }"""
    )
    for _ in range(3):
        genga.get_by_role("button", name="Random", exact=True).click()
        genga.wait_for_timeout(150)
    watch.quiet()
    assert genga.evaluate("window.shift") < 0.01


def test_a_release_that_replaces_another_is_taken_over_with_the_settings_kept(genga: Page, page_release: Path) -> None:
    slider(genga, "glasses").fill("0.4")
    made = genga.locator("#character-made")
    expect(made).to_contain_text("stylegan2/1 ")
    make_release(page_release, version="2", seed=1)
    genga.get_by_text("Models, sources and licences").click()

    def served() -> bool:
        genga.get_by_role("button", name="Random seed").click()
        genga.wait_for_timeout(200)
        return "stylegan2/2 " in made.inner_text()

    until(genga, served, "the new version answers")
    expect(genga.locator(".family").first).to_contain_text("version 2")
    assert slider(genga, "glasses").input_value() == "0.4"


def test_a_server_that_does_not_answer_is_said_and_found_again(page: Page, page_server: str) -> None:
    page.route("**/api/release", lambda route: route.abort())
    page.goto(page_server)
    expect(page.locator("#banner")).to_have_text("The server does not answer; is it still running?")
    page.unroute("**/api/release")
    expect(page.locator("#character-picture")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#banner")).to_be_hidden()
