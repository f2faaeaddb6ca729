"""Who may open Label Studio, and what is said when nobody can."""

import json
import socket
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from labeling.account import Home, LabelStudioError, account_at, connect, one_sentence, read_account, url_of
from labeling.pull import pull
from labeling.server import answers, environment_of, running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "GENGA_LABEL_STUDIO"):
        monkeypatch.delenv(name, raising=False)
    return Home(tmp_path / ".label-studio")


def test_the_account_is_random_private_and_kept(home: Home, tmp_path: Path) -> None:
    made = account_at(home, 8090)
    assert stat.S_IMODE(home.account.stat().st_mode) == 0o600 and stat.S_IMODE(home.dir.stat().st_mode) == 0o700
    again = account_at(home, 8099)
    assert (again.password, again.token, again.backend_password) == (made.password, made.token, made.backend_password)
    assert read_account(home).url == "http://127.0.0.1:8099"
    assert stat.S_IMODE(home.account.stat().st_mode) == 0o600
    other = account_at(Home(tmp_path / "other"), 8090)
    assert {other.password, other.token, other.backend_password}.isdisjoint((made.password, made.token, made.backend_password))
    assert min(map(len, (made.password, made.backend_password))) >= 24 and len(made.token) == 40


def test_a_folder_that_something_else_made_before_becomes_private(home: Home) -> None:
    home.dir.mkdir(mode=0o755)
    account_at(home, 8090)
    assert stat.S_IMODE(home.dir.stat().st_mode) == 0o700


def test_the_environment_goes_before_the_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    account_at(home, 8090)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://elsewhere:1/")
    assert url_of(home) == "http://elsewhere:1"
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_API_KEY is not set"):
        connect(home)


def test_without_either_one_sentence_says_what_to_do_and_nothing_changes(home: Home, tmp_path: Path) -> None:
    with pytest.raises(LabelStudioError, match="start one with `make label-studio`"):
        pull(tmp_path / "annotations", home)
    home.dir.mkdir()
    home.account.write_text(json.dumps({"url": "x"}))
    with pytest.raises(LabelStudioError, match="is damaged"):
        read_account(home)


def test_every_door_to_the_outside_is_shut(home: Home) -> None:
    settings = environment_of(home, account_at(home, 8090), 8090)
    assert {"COLLECT_ANALYTICS": "false", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": "", "LATEST_VERSION_CHECK": "false"}.items() <= settings.items()
    assert settings["LABEL_STUDIO_SSRF_PROTECTION_ENABLED"] == settings["LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK"] == "true"
    assert settings["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] == str(home.pictures.absolute())
    assert set(settings) <= {"PATH", "HOME", "LANG"} | {
        name for name in settings if name.startswith(("LABEL_STUDIO_", "COLLECT", "SENTRY", "FRONT", "LAT"))
    }


class Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: object) -> None:
        pass


def test_the_one_on_this_machine_is_asked_without_a_proxy(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account = account_at(home, server.server_port)
        assert answers(account.url)
        assert connect(home).users.list() == []
        server.shutdown()


def test_what_keeps_it_from_starting_is_said(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENGA_LABEL_STUDIO", str(tmp_path / "missing"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        account = account_at(home, port)
        with pytest.raises(LabelStudioError, match=f"port {port} is taken"), running(home, account, port):
            pass
    with pytest.raises(LabelStudioError, match=r"no Label Studio at .*missing; `make label-studio` installs it"), running(home, account, port):
        pass
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("GENGA_LABEL_STUDIO", str(broken))
    with pytest.raises(LabelStudioError, match="ended with code 3 before it answered"), running(home, account, port):
        pass


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (httpx.InvalidURL("Invalid non-printable ASCII character in URL"), "no request can go to .* correct LABEL_STUDIO_URL"),
        (UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range"), "no request can go to .*LABEL_STUDIO_API_KEY"),
        (AttributeError("'str' object has no attribute 'id'"), "what answers at http://there is no Label Studio"),
    ],
)
def test_what_is_no_address_key_or_label_studio_is_said(fault: Exception, sentence: str) -> None:
    with pytest.raises(LabelStudioError, match=sentence), one_sentence("http://there"):
        raise fault
