"""The API and the page. Each route checks, lets the engine work in its turn, and names the version that answered.

An upload is read from its temporary file in its turn: those that wait hold no pictures in memory.
"""

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated

from fastapi import APIRouter, Depends, FastAPI, Form, Header, HTTPException, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.background import BackgroundTask

from genga.pictures import decode, decode_rgba, encode_png
from serve.current import Current
from serve.doors import BodyLimit, Counted, answer_errors, unkept
from serve.engine import Engine, data_url
from serve.metrics import Metrics
from serve.reading import Kind
from serve.review import Correction, Review, subject
from serve.schemas import (
    MAX_JSON_BYTES,
    MULTIPART_ROOM,
    PICTURE_LIMITS,
    UPSCALE_LIMITS,
    CharacterRequest,
    Characters,
    Error,
    PoseReading,
    ReleaseInfo,
    Reviewed,
    Sketches,
    SketchRequest,
    Tags,
)
from serve.turns import Turns

PAGE_DIR = Path(__file__).parent / "page"
VERSION_HEADER = "X-Genga-Version"
CHUNK_BYTES = 2**18  # of an enlargement, read and sent at a time
BODY_LIMITS = {f"/api/{name}": PICTURE_LIMITS.max_bytes + MULTIPART_ROOM for name in ("tags", "pose", "review")} | {
    "/api/upscale": UPSCALE_LIMITS.max_bytes + MULTIPART_ROOM
}

api = APIRouter(responses={code: {"model": Error} for code in (413, 415, 422, 503)})


def create_app(release_dir: Path, review_path: Path | None = None) -> FastAPI:
    """Raises where the release cannot be served: before any port answers. Without `review_path` no corrections are taken."""
    metrics = Metrics()
    current = Current(release_dir, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.turns = Turns()
        watching = asyncio.create_task(current.watch())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await asyncio.to_thread(app.state.turns.close)  # waits for pieces under way, while whoever asked for them is told that the server ends

    app = FastAPI(title="Genga", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json", redirect_slashes=False)
    app.state.current, app.state.metrics, app.state.review = current, metrics, Review(review_path)
    app.add_middleware(BodyLimit, limits=BODY_LIMITS, otherwise=MAX_JSON_BYTES)
    app.add_middleware(Counted, metrics=metrics)
    answer_errors(app)
    app.include_router(api)
    for suffix in (".js", ".mjs"):  # a machine's own table may say otherwise, and browsers refuse modules of another type
        mimetypes.add_type("text/javascript", suffix)
    app.frontend("/", directory=PAGE_DIR, fallback=None, check_dir=True)
    return app


async def engine_now(request: Request) -> Engine:
    """Taken once per request: a swap in between does not touch it. The reply names its release, whatever becomes of the request."""
    engine: Engine = request.app.state.current.engine
    request.state.release = engine.release.id
    return engine


async def turns_of(request: Request) -> Turns:
    turns: Turns = request.app.state.turns
    return turns


Now = Annotated[Engine, Depends(engine_now)]
InTurn = Annotated[Turns, Depends(turns_of)]


@api.head("/healthz", include_in_schema=False)
@api.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@api.head("/readyz", include_in_schema=False)
@api.get("/readyz")
async def readyz(engine: Now) -> dict[str, str]:
    return {"status": "ready", "release": engine.release.id}


@api.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    return Response(request.app.state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@api.get("/api/release")
async def release(engine: Now) -> ReleaseInfo:
    return engine.info()


@api.post("/api/characters", response_model=Characters)
async def characters(asked: CharacterRequest, request: Request, response: Response, engine: Now, turns: InTurn) -> Characters | Response:
    face = engine.face(asked)
    version = engine.version(face.name)
    pngs = await turns.take_each(request, (partial(engine.character, face, asked, seed) for seed in asked.seeds()))
    headers = {VERSION_HEADER: version, "Vary": "Accept"}
    if asked.count == 1 and _wants_png(request):
        return Response(pngs[0], media_type="image/png", headers=headers)
    response.headers.update(headers)
    return Characters(images=[data_url(png) for png in pngs], seeds=asked.seeds(), version=version)


@api.post("/api/tags")
async def read_tags(file: UploadFile, request: Request, response: Response, engine: Now, turns: InTurn) -> Tags:
    engine.released("tagger")
    reading = await turns.take(request, lambda: engine.read_tags(decode(file.file.read(), PICTURE_LIMITS)))
    response.headers[VERSION_HEADER] = reading.version
    return reading


@api.post("/api/pose")
async def read_pose(
    file: UploadFile,
    request: Request,
    response: Response,
    engine: Now,
    turns: InTurn,
    kind: Annotated[Kind | None, Form(description="what the picture shows; without it that is told by how it is drawn")] = None,
) -> PoseReading:
    reading = await turns.take(request, lambda: engine.read_pose(decode_rgba(file.file.read(), PICTURE_LIMITS), kind))
    response.headers[VERSION_HEADER] = reading.version
    return reading


@api.post("/api/review")
async def review(
    file: UploadFile,
    said: Annotated[str, Form(description="a Correction as JSON")],
    request: Request,
    turns: InTurn,
    x_genga_review: Annotated[str, Header()] = "",
) -> Reviewed:
    """The header keeps out forms on other sites: browsers ask before they send it across origins, and are not let."""
    if not x_genga_review:
        raise HTTPException(403, "a correction comes with the header X-Genga-Review; use the page, or set it to any word")
    try:
        correction = Correction.model_validate_json(said)
    except ValidationError as error:
        raise RequestValidationError([{**fault, "loc": ("said", *fault["loc"])} for fault in error.errors()]) from error
    about = await turns.take(request, lambda: subject(decode(file.file.read(), PICTURE_LIMITS)))
    await asyncio.to_thread(request.app.state.review.add, about, correction)  # no core waits for who else has the file
    return Reviewed(id=about.id)


@api.post("/api/sketch")
async def sketch(asked: SketchRequest, request: Request, response: Response, engine: Now, turns: InTurn) -> Sketches:
    version = engine.version("sketcher")
    drawing = turns.take_each(request, (partial(engine.sketch, asked, seed) for seed in asked.seeds()))
    pngs, nearest = await asyncio.gather(drawing, turns.take(request, partial(engine.nearest, asked)))  # none lets a tile in between
    response.headers[VERSION_HEADER] = version
    return Sketches(
        sketches=[data_url(png) for png in pngs], seeds=asked.seeds(), nearest=nearest, version=version, gallery_version=engine.version("gallery")
    )


@api.post("/api/upscale", response_class=Response)
async def upscale(file: UploadFile, request: Request, engine: Now, turns: InTurn) -> Response:
    version = engine.version("upscaler")
    async with turns.long_work(request):
        work = await turns.take(request, lambda: engine.enlargement(decode_rgba(file.file.read(), UPSCALE_LIMITS)))
        await turns.take_each(request, (partial(work.draw, tile) for tile in work.tiles()))
        png, size = await turns.take(request, lambda: _on_disk(encode_png(work.picture())))
    chunks, headers = iter(partial(png.read, CHUNK_BYTES), b""), {VERSION_HEADER: version, "Content-Length": str(size)}
    return StreamingResponse(chunks, media_type="image/png", headers=headers, background=BackgroundTask(png.close))


def _on_disk(png: bytes) -> tuple[IO[bytes], int]:
    """100 MB do not wait in memory for a slow caller. The file has no name: whatever ends the server, nothing of it stays."""
    try:
        file = TemporaryFile()  # noqa: SIM115 (closed once it is sent)
        file.write(png)
        file.seek(0)
    except OSError as error:
        raise unkept(error) from error
    return file, len(png)


def _wants_png(request: Request) -> bool:
    """Asked for by name; `*/*` means JSON."""
    kinds = (kind.partition(";")[0].strip() for kind in request.headers.get("accept", "").split(","))
    return next((kind for kind in kinds if kind in ("image/png", "application/json")), None) == "image/png"
