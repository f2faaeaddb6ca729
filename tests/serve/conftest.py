"""The page in a real browser, in front of the real server with a tiny release."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import PATIENCE_MS, Watch
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from tiny_release import make_release

from cli.doctor import find_browser

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The one that `make test` made sure of; never skipped."""
    chromium = find_browser()
    expect.set_options(timeout=PATIENCE_MS)
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
def page_review(page_release: Path) -> Path:
    """Where the page's corrections go."""
    return page_release.parent / "annotations" / "review.jsonl"


@pytest.fixture(scope="session")
def page_server(page_release: Path, page_review: Path) -> Iterator[str]:
    """The address of a server process of its own."""
    command = [sys.executable, "-m", "serve", "--release", str(page_release), "--port", "0", "--review", str(page_review)]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Genga answers at "), line
        yield line.split()[-1]
        process.terminate()


@pytest.fixture
def watch(page: Page, page_server: str) -> Watch:
    return Watch(page, page_server)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    yield page
    page.unroute_all(behavior="ignoreErrors")  # an answer under way in a closed page would fail the next test
    context.close()


@pytest.fixture
def genga(page: Page, watch: Watch, page_server: str) -> Iterator[Page]:
    """The page, opened; afterwards it has written nothing to the console and asked no other host."""
    page.goto(page_server)
    expect(page.locator("#character-picture")).to_be_visible()
    yield page
    assert watch.said == []
    assert watch.strangers == []


@pytest.fixture
def posing(genga: Page) -> Page:
    genga.get_by_role("tab", name="Pose").click()
    expect(genga.locator("#sketches img")).to_have_count(6)
    return genga
