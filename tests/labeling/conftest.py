"""The real Label Studio, one for all tests that ask for it, and a browser in front of it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from studio import PATIENCE_MS, Studio, free_port, log_in

from cli.doctor import find_browser
from genga.params import LabelStudioParams
from labeling.account import Home, account_at, connect
from labeling.server import PROGRAM, running

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """Installed once beside the checkout, started once for the session."""
    subprocess.run(["make", "-s", "label-studio-ready"], cwd=REPO, check=True, timeout=600)
    home, port = Home(tmp_path_factory.mktemp("label-studio") / ".label-studio"), free_port()
    account = account_at(home, port)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
            patch.delenv(name, raising=False)
        patch.setenv("GENGA_LABEL_STUDIO", str(REPO / PROGRAM))
        with running(home, account, port):
            params = LabelStudioParams(port=port, backend_port=free_port(), batch_size=500, annotators_per_task=2, tags_per_picture=4)
            yield Studio(home, account, params, connect(home))


@pytest.fixture(scope="session")
def labeling_page(studio: Studio) -> Iterator[Page]:
    """Logged in, at the size of a small laptop; afterwards it has asked no other host."""
    strangers: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: None if request.url.startswith((studio.account.url, "data:", "blob:")) else strangers.append(request.url))
        log_in(page, studio.account.url, studio.account.username, studio.account.password)
        yield page
        browser.close()
    assert strangers == []
