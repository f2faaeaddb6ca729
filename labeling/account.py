"""Which Label Studio, and as whom: the environment's word first, else the one that was started here.

    LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY      any Label Studio, with a personal access token or a legacy token
    .label-studio/account.json (mode 600)       the one of `make label-studio`: address, name, random password and tokens

Everything of the one started here lies in `.label-studio/`, which only its owner may enter.
"""

import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from genga.errors import GengaError

HOME = Path(".label-studio")
USERNAME = "annotator@localhost.localdomain"


class LabelStudioError(GengaError):
    """Label Studio is not there, or does not do what was asked."""

    status = 503


@dataclass(frozen=True)
class Home:
    """The folder of the Label Studio that is started here."""

    dir: Path

    @property
    def pictures(self) -> Path:
        """All that Label Studio may serve from this machine's files."""
        return self.dir / "pictures"

    @property
    def account(self) -> Path:
        return self.dir / "account.json"


@dataclass(frozen=True)
class Account:
    """`token` speaks to Label Studio; with `backend_password` Label Studio speaks to the models."""

    url: str
    username: str
    password: str
    token: str
    backend_password: str


def account_at(home: Home, port: int) -> Account:
    """The account there, made on the first call: random, readable by its owner only."""
    home.dir.mkdir(parents=True, exist_ok=True)
    home.dir.chmod(0o700)  # a lock or a picture may have made it
    if not home.account.is_file():
        made = Account("", USERNAME, secrets.token_urlsafe(18), secrets.token_hex(20), secrets.token_urlsafe(18))
        _write_private(home.account, made)
    kept = read_account(home)
    current = replace(kept, url=f"http://127.0.0.1:{port}")
    if current != kept:
        _write_private(home.account, current)
    return current


def _write_private(path: Path, account: Account) -> None:
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(account), file, indent=1)
    partial.replace(path)


def read_account(home: Home) -> Account:
    try:
        return Account(**json.loads(home.account.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise LabelStudioError(
            f"no Label Studio is known here: {home.account} is not there and LABEL_STUDIO_URL is not set; start one with `make label-studio`"
        ) from error
    except (ValueError, TypeError) as error:
        raise LabelStudioError(
            f"{home.account} is damaged ({error}), expected what `make label-studio` wrote; put it back, or set a new password with `label-studio "
            "reset_password`, log in, make an access token there and set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
        ) from error


def connect(home: Home) -> Any:
    """A client of label_studio_sdk for the Label Studio that the environment or `home` names; that of `home`, on this machine, without a proxy."""
    import httpx
    from label_studio_sdk import LabelStudio

    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request otherwise
    if url := os.environ.get("LABEL_STUDIO_URL"):
        if not (key := os.environ.get("LABEL_STUDIO_API_KEY")):
            raise LabelStudioError("LABEL_STUDIO_API_KEY is not set, it opens the Label Studio at LABEL_STUDIO_URL; export it and run again")
        return LabelStudio(base_url=url.rstrip("/"), api_key=key, timeout=120)
    account = read_account(home)
    direct = httpx.Client(timeout=120, follow_redirects=True, trust_env=False)
    return LabelStudio(base_url=account.url, api_key=account.token, timeout=120, httpx_client=direct)


def is_known(home: Home) -> bool:
    """Whether there is a Label Studio to ask, though it may not answer."""
    return bool(os.environ.get("LABEL_STUDIO_URL")) or home.account.is_file()


def url_of(home: Home) -> str:
    return (os.environ.get("LABEL_STUDIO_URL") or read_account(home).url).rstrip("/")


@contextmanager
def one_sentence(url: str) -> Iterator[None]:
    """What goes wrong on the way to Label Studio, as what a person can do about it."""
    import httpx
    from label_studio_sdk.core.api_error import ApiError

    try:
        yield
    except ApiError as error:
        if error.status_code == 401:
            raise LabelStudioError(
                f"Label Studio at {url} does not take the key; make a new access token there, set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
            ) from error
        detail = " ".join(str(error.body).split())[:300]
        raise LabelStudioError(f"Label Studio at {url} answered {error.status_code}: {detail}; see its log and run again") from error
    except (httpx.InvalidURL, UnicodeError) as error:
        raise LabelStudioError(f"no request can go to {url!r} with this key ({error}); correct LABEL_STUDIO_URL or LABEL_STUDIO_API_KEY") from error
    except AttributeError as error:  # the library reads any JSON
        raise LabelStudioError(f"what answers at {url} is no Label Studio ({error}); correct LABEL_STUDIO_URL") from error
    except httpx.TransportError as error:
        raise LabelStudioError(
            f"no Label Studio answers at {url} ({type(error).__name__}); start it with `make label-studio`, or correct LABEL_STUDIO_URL"
        ) from error
