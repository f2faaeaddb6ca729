"""What stands around every route: bodies that are too large, errors as one sentence, headers, counting."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genga.errors import GengaError
from serve.metrics import Metrics
from serve.turns import ENDING, CallerLeftError

# what is still read, and thrown away, of a body that is too large: browsers show an answer only after they have sent all
DISCARDED_BYTES = 100_000_000
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
RELEASE_HEADER = "X-Genga-Release"
UNREAD = "There was an error parsing the body"  # FastAPI's words for whatever happens before it is parsed
SEND_FILE = "send the picture as the file `file` of multipart/form-data"
LONGEST = 600  # letters of a sentence: names in it are as long as the caller wrote them
log = logging.getLogger("serve")


class BodyLimit:
    """413 as soon as a body has more bytes than its route takes, whatever Content-Length says."""

    def __init__(self, app: ASGIApp, limits: dict[str, int], otherwise: int) -> None:
        self.app, self.limits, self.otherwise = app, limits, otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limits.get(scope["path"], self.otherwise)
        declared = Headers(scope=scope).get("content-length", "")
        taken = int(declared) if declared.isdecimal() and int(declared) > limit else 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                await _discard(message, receive)
                raise HTTPException(413, f"the request is larger than the {limit} bytes taken here; send less")
            return message

        await self.app(scope, counted, send)


async def _discard(message: Message, receive: Receive) -> None:
    discarded = 0
    while message.get("more_body", False) and discarded < DISCARDED_BYTES:
        message = await receive()
        discarded += len(message.get("body", b""))


class Counted:
    """Headers on every reply, and a count and a time for every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, has_begun = time.perf_counter(), 500, False

        async def marked(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                release = scope.get("state", {}).get("release")  # of the engine that the route took
                MutableHeaders(scope=message).update(HEADERS | ({RELEASE_HEADER: release} if release else {}))
            await send(message)

        try:
            await self.app(scope, receive, marked)
        except asyncio.CancelledError:  # the grace at the server's end is over
            if not has_begun:
                await _answer(503, ENDING, {"Retry-After": "60"})(scope, receive, marked)
        finally:
            self.metrics.count(_route(scope), status, time.perf_counter() - started)


def _route(scope: Scope) -> str:
    """The path as the route has it: never what the caller wrote, which could be anything."""
    path = getattr(scope.get("route"), "path", "")
    return path if path.startswith(("/api/", "/healthz", "/readyz", "/metrics")) else "page"


def answer_errors(app: FastAPI) -> None:
    """Every error is {"error": one sentence}."""
    handlers: dict[type[Exception], Callable[[Request, Any], Awaitable[JSONResponse]]] = {
        GengaError: _mendable,
        RequestValidationError: _invalid,
        HTTPException: _http,
        CallerLeftError: _left,
        Exception: _ours,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _answer(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    if len(sentence) > LONGEST:
        sentence = f"{sentence[: LONGEST // 2]} … {sentence[-LONGEST // 2 :]}"
    return JSONResponse({"error": sentence}, status, headers)


async def _mendable(_: Request, error: GengaError) -> JSONResponse:
    return _answer(error.status, str(error))


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    came_as = request.headers.get("content-type", "nothing that is named")
    return _answer(422, "; ".join(_fault(fault, came_as) for fault in error.errors()[:3]))


def _fault(fault: dict[str, Any], came_as: str) -> str:
    """pydantic's words, with the field's name in front and what was found behind."""
    where, found = ".".join(str(part) for part in fault["loc"] if part != "body") or "the body", fault["input"]
    words = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "json_invalid":
        at = fault["loc"][-1]
        what, place = ("the body", f", at character {at}") if isinstance(at, int) else (where, "")
        return f"{what} is not valid JSON ({fault['ctx']['error']}{place})"
    if fault["type"] == "missing":
        return f"{where} is missing; {SEND_FILE}" if where == "file" else f"{where} is missing"
    if fault["type"] == "model_attributes_type" and isinstance(found, bytes):
        return f"the body came as {came_as}, expected JSON; send it with Content-Type: application/json"
    if "UploadFile" in words:
        return f"{where} came as text, expected a file; send it as a file of multipart/form-data"
    if isinstance(found, UploadFile):
        return f"{where} came as a file, expected text"
    return f"{where}: {words[0].lower()}{words[1:]}, found {repr(found)[:60]}"


def unkept(error: OSError) -> HTTPException:
    """What came, or was made, does not fit among the temporary files."""
    folder, why = tempfile.gettempdir(), error.strerror or error
    log.error("temporary files cannot be written in %s (%s); make room there", folder, why)
    return HTTPException(503, f"the server cannot write its temporary files ({why}); make room in {folder} where it runs, then send this again")


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    if error.detail == UNREAD and isinstance(error.__cause__, ClientDisconnect):
        return await _left(request, CallerLeftError())
    if error.detail == UNREAD and isinstance(error.__cause__, OSError):
        error = unkept(error.__cause__)
    sentences = {
        404: f"nothing is at {request.url.path}; the page is at / and what is served at /api/release",
        405: f"{request.method} is not taken at {request.url.path}; use {(error.headers or {}).get('Allow', 'GET')}",
    }
    unread = "the body cannot be read as JSON; send UTF-8, with numbers of ordinary size and little nesting"
    sentence = unread if error.detail == UNREAD else sentences.get(error.status_code, error.detail)
    if isinstance(error.__context__, MultiPartException):
        sentence = f"the body cannot be read as a form ({error.detail.rstrip('.')}); {SEND_FILE}"
    return _answer(error.status_code, sentence, error.headers)


async def _left(_: Request, __: CallerLeftError) -> JSONResponse:
    return _answer(499, "the caller closed the connection before the answer")


async def _ours(_: Request, __: Exception) -> JSONResponse:
    return _answer(500, "the server failed on this request; its log says where")
