"""What the page's tests watch and do: requests, pictures, joints, drags."""

import base64
import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from playwright.sync_api import ConsoleMessage, Locator, Page, Request

from genga.skeleton import JOINTS

PATIENCE_MS = 15_000
CALM_SECONDS = 0.6
# an arm bent at a right angle, bones of 0.15; nothing near the edges
BENT = [[0.5, 0.2], [0.5, 0.3], [0.5, 0.45], [0.45, 0.4], [0.65, 0.45], [0.4, 0.5], [0.5, 0.55], [0.55, 0.7], [0.45, 0.7], [0.55, 0.85], [0.45, 0.85]]


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


def reading(pose: Any) -> dict[str, Any]:
    """What /api/pose answers when it is sure."""
    return {"pose": pose, "kind": "stick", "confidence": [1.0] * len(JOINTS), "version": "stick-pose/1", "width": 64, "height": 64}


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
    target.scroll_into_view_if_needed()
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
