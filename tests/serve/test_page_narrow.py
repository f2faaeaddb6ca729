"""The page on phones, in low windows and under a high zoom; what a character keeps for those who come back; what is told without sight or colours."""

import pytest
from browsing import PATIENCE_MS
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
