"""Label Studio as a process on this machine: on loopback alone, silent to the outside, with its own account and its own pictures.

It runs from an environment of its own (`make label-studio` makes it from labeling/label-studio.lock), since its pins are not ours.
"""

import logging
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from labeling.account import Account, Home, LabelStudioError

PROGRAM = Path(".venv-label-studio/bin/label-studio")
FIRST_START_S, POLL_S, GRACE_S = 600, 0.3, 15


def program() -> Path:
    """GENGA_LABEL_STUDIO, or the one that `make label-studio` installed."""
    found = Path(os.environ.get("GENGA_LABEL_STUDIO", PROGRAM)).absolute()
    if not found.is_file():
        raise LabelStudioError(f"no Label Studio at {found}; `make label-studio` installs it there and starts it")
    return found


def environment_of(home: Home, account: Account, port: int) -> dict[str, str]:
    """Nothing of ours leaks in but PATH; every setting that opens a door is said here.

    ML_BLOCK_LOCAL_IP stands open because the models that guess answer on loopback too; uploads, storages and webhooks stay guarded.
    """
    root = home.dir.absolute()
    settings = {
        "USERNAME": account.username,
        "PASSWORD": account.password,
        "USER_TOKEN": account.token,
        "ENABLE_LEGACY_API_TOKEN": "true",
        "BASE_DATA_DIR": str(root / "data"),
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "CORS_ALLOW_ALL_ORIGINS": "false",
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(home.pictures.absolute()),
        "SSRF_PROTECTION_ENABLED": "true",
        "ML_BLOCK_LOCAL_IP": "false",
        "PORT": str(port),
    }
    outside = {"COLLECT_ANALYTICS": "false", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": "", "LATEST_VERSION_CHECK": "false"}
    prefixed = {f"LABEL_STUDIO_{name}": value for name, value in (settings | outside).items()}
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(root), "LANG": "C.UTF-8"} | outside | prefixed


def log_of(home: Home) -> Path:
    return home.dir / "label-studio.log"


@contextmanager
def running(home: Home, account: Account, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The process, once it answers; it ends with the block. Its words go to `log_of(home)`."""
    if is_taken(port):
        raise LabelStudioError(f"port {port} is taken; end what runs there, or set another label_studio.port in params.yaml")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each time that one asks whether it is there
    executable, environment = program(), environment_of(home, account, port)
    home.pictures.mkdir(parents=True, exist_ok=True)
    log_path = log_of(home)
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [str(executable), "start", "--no-browser", "--data-dir", environment["LABEL_STUDIO_BASE_DATA_DIR"], "--internal-host", "127.0.0.1",
             "--port", str(port), "--enable-legacy-api-token"],
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=home.dir, start_new_session=True,
        )  # fmt: skip
        try:
            _wait(process, account.url, log_path)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log_path: Path) -> None:
    deadline = time.monotonic() + FIRST_START_S
    while not answers(url):
        if process.poll() is not None:
            raise LabelStudioError(f"Label Studio ended with code {process.returncode} before it answered; the end of {log_path} says why")
        if time.monotonic() > deadline:
            raise LabelStudioError(f"Label Studio did not answer at {url} within {FIRST_START_S} s; the end of {log_path} says why")
        time.sleep(POLL_S)


def answers(url: str) -> bool:
    """This machine is asked itself, whatever proxy the environment names."""
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
