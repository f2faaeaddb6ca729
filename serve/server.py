"""The process: opens the release, binds the port, says where it answers, and ends whole on SIGTERM or Ctrl-C."""

import signal
import socket
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from genga.errors import GengaError
from serve.app import create_app
from serve.review import check_file

GRACE_SECONDS = 30


class Server(uvicorn.Server):
    """Tells the address once requests are answered, not before; tells those in line at once that the server ends."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(uvicorn.Config(app, log_level="warning", server_header=False, ws="none", timeout_graceful_shutdown=GRACE_SECONDS))
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            sys.stdout.write(f"Genga answers at http://{f'[{host}]' if ':' in host else host}:{port}\n")
            sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.turns.ending = True
        await super().shutdown(sockets)


def serve(release_dir: Path, host: str, port: int, review_path: Path | None = None) -> None:
    """Returns when the process is told to end. Port 0 takes a free one."""
    if review_path is not None and review_path.is_dir():
        raise GengaError(f"--review {review_path} is a folder, expected a file; give one such as {review_path / 'review.jsonl'}")
    if review_path is not None and review_path.exists() and not review_path.is_file():
        raise GengaError(f"--review {review_path} is a device or a pipe, expected a file; give one such as annotations/review.jsonl")
    if review_path is not None and review_path.exists():
        check_file(review_path)
    app = create_app(release_dir, review_path)
    with _bound(host, port) as listening:
        # uvicorn ends its work on these signals, then raises them once more: that is no failure
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        Server(app).run(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind, protocol)  # without the protocol asyncio leaves Nagle's delay on: 40 ms an answer
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address[0], port, *address[2:]))  # getaddrinfo wraps ports that are too high
    except (OSError, OverflowError, UnicodeError) as error:  # the last: no name of a host
        raise GengaError(f"cannot listen on {host}, port {port} ({error}); end what runs there or choose another one with --port") from error
    return listening
