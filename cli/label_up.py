"""`genga label up`: Label Studio, and beside it the models that guess, until Ctrl-C."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvicorn

from cli.guessing import guesses_for
from genga.params import load_params
from labeling.account import HOME, Account, Home, LabelStudioError, account_at, connect, one_sentence
from labeling.backend import Guessing, connect_backend, create_backend, disconnect
from labeling.projects import KINDS, Kind, ensure_project
from labeling.push import Guesses, ask_today, tasks_of
from labeling.server import is_taken, log_of, running
from serve.current import Current
from serve.metrics import Metrics

NO_RELEASE = "nothing is deployed yet, so pictures come without a guess; `genga repro` deploys the models, then start this again"


def up(release_dir: Path) -> None:
    params, home = load_params().label_studio, Home(HOME)
    if elsewhere := os.environ.get("LABEL_STUDIO_URL"):
        raise LabelStudioError(
            f"LABEL_STUDIO_URL is set, so every other `genga label` command would go on asking {elsewhere}; unset it to start a Label Studio here"
        )
    account = account_at(home, params.port)
    with ExitStack() as stack:
        guessing = _guessing(release_dir)
        if guessing:
            stack.enter_context(_backend(guessing, home, account, params.backend_port))
        print("starting Label Studio (half a minute the first time)", flush=True)
        process = stack.enter_context(running(home, account, params.port))
        with one_sentence(account.url):
            client = connect(home)
            for kind in KINDS.values():
                project = ensure_project(client, account.url, kind, home, params)
                ask_today(client, project, tasks_of(client, project))
                if guessing and guessing(kind):
                    connect_backend(client, project, f"http://127.0.0.1:{params.backend_port}", account)
                else:
                    disconnect(client, project)
        print(f"Label Studio answers at {account.url}; log in as {account.username}, the password stands in {home.account}", flush=True)
        if guessing is None:
            print(NO_RELEASE, flush=True)
        try:
            code = process.wait()
        except KeyboardInterrupt:
            print("stopping Label Studio", flush=True)
            return
        raise LabelStudioError(f"Label Studio ended with code {code}; the end of {log_of(home)} says why, `make label-studio` starts it again")


def _guessing(release_dir: Path) -> Guessing | None:
    """The guesses of what is deployed when one asks: a promotion takes effect at once."""
    if not (release_dir / "release.json").is_file():
        return None
    current = Current(release_dir, Metrics())

    def guess(kind: Kind) -> Guesses | None:
        current.refresh()
        return guesses_for(current.engine, kind)

    return guess


@contextmanager
def _backend(guessing: Guessing, home: Home, account: Account, port: int) -> Iterator[None]:
    """Answers on loopback from a thread of its own while the block runs."""
    if is_taken(port):
        raise LabelStudioError(f"port {port} is taken; end what runs there, or set another label_studio.backend_port in params.yaml")
    app = create_backend(guessing, home.pictures, account.backend_password)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", server_header=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)
