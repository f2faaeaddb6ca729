"""The page: what an artist does with characters and enlarging, at two widths and from the keyboard. Poses: test_page_pose.py."""

import base64
import re
import time
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from browsing import Watch, expect_other, expect_picture, png, slider, source, until, upload
from playwright.sync_api import Locator, Page, Request, Route, expect
from tiny_release import make_release

from genga.release import Release

REFUSED = "Failed to load resource"  # what a browser itself writes of every reply with an error status


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


def test_what_a_model_told_tags_is_asked_to_show_is_drawn(genga: Page, page_server: str) -> None:
    picture, hair = genga.locator("#character-picture"), genga.get_by_label("Show hair colour")
    plain = source(picture)
    hair.select_option("Blue")
    genga.get_by_label("Show glasses").select_option("No")
    settings = {"seed": int(genga.get_by_label("Seed", exact=True).input_value()), "psi": 0.7, "shows": {"hair_color": "blue", "glasses": False}}
    answer = httpx.post(f"{page_server}/api/characters", json=settings).raise_for_status().json()
    expect_picture(picture, answer["images"][0])
    genga.get_by_role("button", name="Reset", exact=True).click()
    expect_picture(picture, plain)
    genga.locator("#family").select_option("dcgan32")
    expect(hair).to_be_hidden()


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
    expect(first).to_have_attribute("title", re.compile(r"Seed 5, hair colour blue \+1\.00, glasses \+0\.44"))
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


def test_another_model_tried_in_between_leaves_the_settings_of_this_one(genga: Page, watch: Watch) -> None:
    def without_glasses(route: Route) -> None:
        answer = route.fetch()
        info = answer.json()
        info["families"]["dcgan32"]["sliders"] = [each for each in info["families"]["dcgan32"]["sliders"] if each["name"] == "hair_length"]
        route.fulfill(response=answer, json=info)

    genga.route("**/api/release", without_glasses)
    genga.reload()
    expect(genga.locator("#character-picture")).to_be_visible()
    model = genga.get_by_label("Model")
    family = model.input_value()
    slider(genga, "glasses").fill("0.44")
    slider(genga, "hair_length").fill("0.6")
    genga.get_by_role("radio", name="blue").check(force=True)
    model.select_option("dcgan32")
    until(genga, lambda: watch.bodies("/api/characters")[-1]["family"] == "dcgan32", "the other model draws")
    assert watch.bodies("/api/characters")[-1]["tags"] == {"hair_length": 0.6}
    slider(genga, "hair_length").fill("-0.2")
    genga.reload()
    expect(genga.locator("#character-picture")).to_be_visible()
    model.select_option(family)
    assert [slider(genga, name).input_value() for name in ("glasses", "hair_length")] == ["0.44", "-0.2"]
    expect(genga.get_by_role("radio", name="blue")).to_be_checked()
    model.select_option("dcgan32")
    genga.get_by_role("button", name="Reset", exact=True).click()
    model.select_option(family)
    assert [slider(genga, name).input_value() for name in ("glasses", "hair_length")] == ["0", "0"]


def test_that_a_model_of_the_history_is_gone_stays_said_until_settings_change(genga: Page) -> None:
    expect(genga.locator("#history button")).to_have_count(1)
    genga.evaluate(
        """() => {
          const [entry] = JSON.parse(localStorage["genga.history"]);
          entry.settings.family = "old128";
          entry.settings.seed = 3;
          localStorage["genga.history"] = JSON.stringify([{ ...entry, version: "old128/3" }]);
        }"""
    )
    genga.reload()
    genga.get_by_role("button", name=re.compile("^Go back to: Seed 3")).click()
    expect(genga.locator("#character-picture")).to_have_attribute("alt", re.compile("^Face from seed 3"))
    expect(genga.locator("#character-message")).to_contain_text("old128/3 is not in this release; the settings are used with")
    slider(genga, "glasses").fill("0.2")
    expect(genga.locator("#character-message")).to_be_empty()


def test_two_tabs_have_one_history(genga: Page, page_server: str) -> None:
    def kept(page: Page, seed: int) -> Locator:
        return page.get_by_role("button", name=re.compile(f"^Go back to: Seed {seed}\\b"))

    other = genga.context.new_page()
    other.goto(page_server)
    expect(other.locator("#character-picture")).to_be_visible()
    for page, seed in ((other, 7), (genga, 8)):
        page.get_by_label("Seed", exact=True).fill(str(seed))
        page.get_by_label("Seed", exact=True).blur()
        expect(kept(page, seed)).to_be_visible()
    for page in (genga, other):
        expect(kept(page, 7)).to_be_visible()
        expect(kept(page, 8)).to_be_visible()
    other.get_by_role("button", name="Clear").click()
    expect(kept(genga, 7)).to_be_hidden()
    genga.get_by_label("Seed", exact=True).fill("9")
    expect(kept(other, 9)).to_be_visible()
    for page in (genga, other):
        expect(page.locator("#history button")).to_have_count(1)
    other.reload()
    expect(kept(other, 9)).to_be_visible()


def test_a_variant_brings_its_seed(genga: Page) -> None:
    genga.get_by_label("Seed", exact=True).fill("100")
    variant = genga.get_by_role("button", name="Take seed 103", exact=True)
    variant.click()
    assert genga.locator("#seed").input_value() == "103"


def test_a_face_chosen_by_keys_keeps_the_focus(genga: Page, watch: Watch) -> None:
    genga.get_by_label("Seed", exact=True).fill("100")
    chosen = genga.get_by_role("button", name="Take seed 103", exact=True)
    expect(chosen).to_be_visible()
    watch.quiet()
    chosen.focus()
    genga.keyboard.press("Enter")
    expect(genga.get_by_role("button", name="Take seed 106", exact=True)).to_be_focused()  # the third one again
    newest = genga.locator("#history button").first
    expect(newest).to_have_attribute("title", re.compile(r"^Seed 103\b"))
    genga.get_by_role("button", name=re.compile(r"^Go back to: Seed 100\b")).focus()
    genga.keyboard.press("Enter")
    expect(newest).to_have_attribute("title", re.compile(r"^Seed 100\b"))
    expect(newest).to_be_focused()


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
    expect(page.locator("#character-picture")).to_be_visible()
    expect(page.locator("#history button").first).to_be_visible()
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
        sliders = document["families"]["stylegan2"]["sliders"]
        sliders[0]["learned_from"], sliders[1]["learned_from"] = "human", "weak"
        route.fulfill(json=document)

    page.route("**/api/release", on_real_faces)
    page.goto(page_server)
    expect(page.locator("#drawn-note")).to_be_visible()
    names = httpx.get(f"{page_server}/api/release").json()["families"]["stylegan2"]["sliders"]
    assert page.locator("#sliders .drawn").count() == len(names) - 1
    page.locator("#family").select_option("dcgan32")
    expect(page.locator("#drawn-note")).to_be_hidden()
    assert page.locator("#sliders .drawn").count() == 0


# --- enlarge


def test_an_uploaded_picture_comes_back_four_times_as_wide_and_high(genga: Page) -> None:
    genga.get_by_role("tab", name="Enlarge").click()
    upload(genga, "#enlarge-file", "small.png", png(24, 40, 4))
    expect(genga.locator("#compare")).to_be_visible()
    assert genga.locator("#after").evaluate("img => [img.naturalWidth, img.naturalHeight]") == [160, 96]
    expect(genga.locator("#enlarge-made")).to_contain_text("40 × 24 → 160 × 96 pixels")
    with genga.expect_download() as download:
        genga.get_by_role("tabpanel", name="Enlarge").get_by_role("button", name="Download PNG").click()
    assert download.value.suggested_filename == "small-4x.png"
    saved = cv2.imdecode(np.frombuffer(Path(download.value.path()).read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert saved.shape == (96, 160, 4)


def test_before_and_after_are_compared_by_keys(genga: Page) -> None:
    genga.get_by_role("button", name="Enlarge 4×").click()
    expect(genga.locator("#compare")).to_be_visible()
    cut = genga.get_by_role("slider", name="How much of the picture before is shown")
    cut.focus()
    genga.keyboard.press("ArrowRight")
    assert genga.locator("#before").evaluate("img => getComputedStyle(img).clipPath") == "inset(0px 49% 0px 0px)"


def test_what_is_no_picture_is_refused_in_one_sentence(page: Page, watch: Watch, page_server: str) -> None:
    page.goto(f"{page_server}/#/enlarge")
    expect(page.locator("#enlarge-limits")).to_contain_text("million pixels")
    upload(page, "#enlarge-file", "notes.png", b"no picture at all")
    message = page.locator("#enlarge-message")
    expect(message).not_to_be_empty()
    assert "\n" not in message.inner_text()
    upload(page, "#enlarge-file", "small.png", png(8, 8))
    expect(page.locator("#compare")).to_be_visible()
    expect(message).to_be_empty()
    assert [line for line in watch.said if REFUSED not in line] == []


def test_the_picture_chosen_last_is_the_one_enlarged(genga: Page) -> None:
    genga.get_by_role("tab", name="Enlarge").click()
    genga.evaluate(
        """() => {
          const decode = window.createImageBitmap;
          window.createImageBitmap = async (file) => {
            if (file.name === "slow.png") await new Promise((done) => setTimeout(done, 800));
            return decode(file);
          };
        }"""
    )
    upload(genga, "#enlarge-file", "slow.png", png(10, 12))
    upload(genga, "#enlarge-file", "quick.png", png(8, 9))
    expect(genga.locator("#enlarge-made")).to_contain_text("9 × 8 → 36 × 32 pixels")
    genga.wait_for_timeout(1000)
    expect(genga.locator("#enlarge-made")).to_contain_text("9 × 8")


@pytest.mark.parametrize(
    ("tool", "happens"),
    [
        ("Pose", ("#trace-clear", "Take the picture away")),
        ("Tags", ("#tags-made", "dropped.png")),
        ("Enlarge", ("#enlarge-made", "9 × 8 → 36 × 32 pixels")),
    ],
)
@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_dropped_or_pasted_anywhere_goes_to_the_tool_that_is_open(genga: Page, tool: str, happens: tuple[str, str], way: str) -> None:
    genga.route("**/api/tags", lambda route: None)
    genga.get_by_role("tab", name=tool).click()
    was_taken = genga.evaluate(
        """([way, bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
          const how = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
          return !document.body.dispatchEvent(way === "drop" ? new DragEvent(way, how) : new ClipboardEvent(way, how));
        }""",
        [way, list(png(8, 9))],
    )
    assert was_taken
    where, words = happens
    expect(genga.locator(where)).to_be_visible()
    expect(genga.locator(where)).to_contain_text(words)


def test_a_picture_over_the_limit_is_refused_before_it_is_sent(genga: Page, watch: Watch) -> None:
    genga.get_by_role("tab", name="Enlarge").click()
    upload(genga, "#enlarge-file", "large.png", cv2.imencode(".png", np.zeros((1500, 1500, 3), np.uint8))[1].tobytes())
    expect(genga.locator("#enlarge-message")).to_contain_text("The picture has 2.3 million pixels; at most")
    assert not any(request.url.endswith("/api/upscale") for request in watch.asked)


def test_that_no_upscaler_is_there_is_said_until_there_is_one(page: Page, page_server: str) -> None:
    lacking = True

    def answer(route: Route) -> None:
        document = route.fetch().json()
        if lacking:
            document["release"] = "another"
            del document["families"]["upscaler"]
        route.fulfill(json=document)

    page.route("**/api/release", answer)
    page.goto(f"{page_server}/#/enlarge")
    message, choose = page.locator("#enlarge-message"), page.locator("#choose")
    expect(message).to_contain_text("This release has no upscaler")
    expect(choose).to_be_disabled()
    lacking = False
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(choose).to_be_enabled()
    expect(message).to_be_empty()


# --- the whole page


@pytest.mark.parametrize("width", [320, 400, 1400])
def test_no_tool_is_wider_than_the_window(genga: Page, width: int) -> None:
    genga.set_viewport_size({"width": width, "height": 860})
    genga.get_by_text("Models, sources and licences").click()
    for name in ("Character", "Pose", "Tags", "Enlarge"):
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


def test_a_button_that_goes_away_leaves_the_focus_beside_it(posing: Page) -> None:
    upload(posing, "#pose-file", "traced.png", png(64, 64))
    posing.get_by_role("button", name="Take the picture away").press("Enter")
    expect(posing.get_by_label("Read as")).to_be_focused()
    posing.get_by_role("tab", name="Character").click()
    clear = posing.get_by_role("button", name="Clear")
    expect(clear).to_be_enabled()
    clear.press("Enter")
    expect(clear).to_have_attribute("aria-disabled", "true")
    expect(clear).to_be_focused()
    posing.get_by_role("button", name="Enlarge 4×").press("Enter")
    expect(posing.get_by_role("tab", name="Enlarge")).to_be_focused()


def test_a_new_release_leaves_the_slider_that_somebody_has_hold_of(genga: Page) -> None:
    version, effect = "8", 0.4

    def answer(route: Route) -> None:
        document = route.fetch().json()
        document["release"] = version
        document["families"]["stylegan2"]["version"] = version
        for each in document["families"]["stylegan2"]["sliders"]:
            each["effect"] = effect
        route.fulfill(json=document)

    def released() -> bool:
        genga.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        genga.wait_for_timeout(100)
        return f"version {version}" in genga.locator(".family", has_text="stylegan2").inner_text()

    genga.get_by_text("Models, sources and licences").click()
    glasses = slider(genga, "glasses")
    glasses.fill("0.4")
    glasses.focus()
    genga.evaluate("window.held = document.activeElement")
    genga.route("**/api/release", answer)
    until(genga, released, "the release of the same sliders is taken over")
    assert genga.evaluate("window.held === document.activeElement")
    version, effect = "9", 0.6  # as after another training
    until(genga, released, "the release of other sliders is taken over")
    expect(glasses).to_be_focused()
    assert glasses.input_value() == "0.4" and not genga.evaluate("window.held.isConnected")


def test_what_the_tools_have_done_is_announced(genga: Page) -> None:
    for tool, where in (("Tags", "#tags-made"), ("Enlarge", "#enlarge-made")):
        genga.get_by_role("tab", name=tool).click()
        expect(genga.locator(where)).to_have_role("status")


def test_a_browser_of_some_years_ago_shows_what_is_served(page: Page, watch: Watch, page_server: str) -> None:
    page.add_init_script("delete Object.groupBy")
    page.goto(page_server)
    page.get_by_text("Models, sources and licences").click()
    expect(page.locator(".family").first).to_contain_text("drawn: glasses")
    assert watch.said == []


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


def test_a_release_whose_version_numbers_began_again_is_taken_over_without_leaving_the_page(genga: Page, page_release: Path) -> None:
    """As after a new mlflow.db."""
    card = genga.locator(".family").first
    genga.get_by_text("Models, sources and licences").click()
    expect(card).to_contain_text("kid 0.5")
    version = Release.open(page_release).families["stylegan2"].version
    make_release(page_release, version=version, seed=2, kid=0.25)

    def served() -> bool:
        genga.get_by_role("button", name="Random seed").click()
        genga.wait_for_timeout(200)
        return "kid 0.25" in card.inner_text()

    until(genga, served, "the new release is shown")
    expect(card).to_contain_text(f"version {version}")


def test_a_server_that_does_not_answer_is_said_and_found_again(page: Page, page_server: str) -> None:
    page.route("**/api/release", lambda route: route.abort())
    page.goto(page_server)
    expect(page.locator("#banner")).to_have_text("The server does not answer; is it still running?")
    page.unroute("**/api/release")
    expect(page.locator("#character-picture")).to_be_visible()
    expect(page.locator("#banner")).to_be_hidden()


def test_a_server_that_is_slow_is_waited_for_and_no_tool_can_be_used_before_it_has_answered(page: Page, page_server: str) -> None:
    held: list[Route] = []
    banner, buttons = page.locator("#banner"), page.locator("main button:enabled")
    page.route("**/api/release", lambda route: held.append(route))
    page.goto(page_server)
    until(page, lambda: len(held) == 1, "the release is asked for")
    assert buttons.count() == 0
    expect(banner).to_be_hidden()
    expect(banner).to_have_text("Waiting for the server …")
    expect(banner).to_be_visible()
    held[0].continue_()
    expect(page.locator("#character-picture")).to_be_visible()
    expect(banner).to_be_hidden()
    expect(page.get_by_role("button", name="Random", exact=True)).to_be_enabled()
    page.unroute("**/api/release")
    asked: list[Route] = []
    page.route("**/api/characters", lambda route: asked.append(route))
    top = page.locator("main").bounding_box()
    page.get_by_role("button", name="Random", exact=True).click()
    expect(banner).to_be_visible()
    assert page.locator("main").bounding_box() == top
    for route in asked:
        route.continue_()
    expect(banner).to_be_hidden()


def test_a_picture_dropped_on_the_character_is_told_where_it_belongs(genga: Page) -> None:
    genga.evaluate(
        """() => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["a"], "dropped.png", { type: "image/png" }));
          document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
        }"""
    )
    expect(genga.locator("#character-message")).to_have_text("Pictures go to Pose, Tags or Enlarge.")


def test_back_leads_to_the_tab_before(genga: Page) -> None:
    for name in ("Pose", "Tags"):
        genga.get_by_role("tab", name=name).click()
    genga.get_by_role("tab", name="Tags").click()
    for name, way in (("Pose", genga.go_back), ("Character", genga.go_back), ("Pose", genga.go_forward)):
        way()
        expect(genga.get_by_role("tabpanel", name=name)).to_be_visible()
        expect(genga.get_by_role("tab", selected=True)).to_have_text(name)
