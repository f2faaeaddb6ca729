"""Corrections from the page: a line for each, appended to a file that `genga label pull` reads. A line is written whole or not at all."""

import fcntl
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from genga.documents import is_json
from genga.errors import GengaError
from genga.skeleton import JOINTS
from genga.store import picture_id
from genga.tags import Labels, check
from serve.engine import Picture
from serve.schemas import Point, Request

START = b'{"id": "'  # of every line
LOCK_SECONDS = 5.0


class NoReviewError(GengaError):
    """This server takes no corrections, or cannot write them."""

    status = 503


class Correction(Request):
    """What a person says about one picture: its joints, or its tags; a tag that is not named stays unknown."""

    by: Annotated[str, Field(min_length=1, max_length=100, description="who says so")]
    pose: Annotated[list[Point], Field(min_length=11, max_length=11, description="x, y of each joint, as /api/pose gives them")] | None = None
    hidden: list[str] | None = Field(default=None, description="names of joints that one does not see; without it nothing is said of that")
    labels: Labels | None = Field(default=None, description='such as {"hair_color": "blue", "glasses": false}')

    @model_validator(mode="after")
    def one_thing(self) -> "Correction":
        if (self.pose is None) == (not self.labels):
            raise ValueError("a correction holds either a pose or labels")
        if self.pose and all(point == self.pose[0] for point in self.pose):
            raise ValueError("all joints lie in one place; place each on its own")
        if unknown := sorted(set(self.hidden or ()) - set(JOINTS)):
            raise ValueError(f"hidden names {unknown[0]!r}, which is no joint")
        return self


def check_file(path: Path) -> None:
    """GengaError where what is there begins with no correction: it is not ours to write into."""
    with path.open("rb") as file:
        first = file.readline()
    if not _was_cut(first) and not _is_correction(first):
        raise GengaError(f"--review {path} begins with no correction, expected a file that this server wrote, or none; give another one")


def _was_cut(line: bytes) -> bool:
    """What a crash leaves of a line of ours, or nothing."""
    begins = START.startswith(line[: len(START)]) or not line.strip(b"\0")  # power may go before anything but the length is written
    return begins and not line.endswith(b"\n") and not is_json(line)


def _is_correction(line: bytes) -> bool:
    said = json.loads(line) if is_json(line) else None
    return isinstance(said, dict) and {"id", "at", "by", "width", "height"} <= said.keys() and ("pose" in said) != ("labels" in said)


def _lock(file: IO[bytes]) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise OSError("another program keeps it locked") from error
            time.sleep(0.02)


class Subject(NamedTuple):
    """The picture that a correction is about."""

    id: str
    width: int
    height: int


def subject(picture: Picture) -> Subject:
    return Subject(picture_id(picture), picture.shape[1], picture.shape[0])


class Review:
    def __init__(self, path: Path | None) -> None:
        self._path = path

    def add(self, about: Subject, said: Correction) -> None:
        """Waits for whoever else has the file."""
        if self._path is None:
            raise NoReviewError("this server takes no corrections; start it with `genga serve --review annotations/review.jsonl`")
        told: dict[str, Any] = {"labels": check(said.labels)} if said.labels else {"pose": said.pose}
        if said.pose and said.hidden is not None:
            told["hidden"] = sorted(said.hidden)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"id": about.id, "at": at, "by": said.by, "width": about.width, "height": about.height, **told}, ensure_ascii=False)
        try:
            self._append(self._path, line)
        except OSError as error:
            why = error.strerror or error
            raise NoReviewError(f"{self._path} could not be written ({why}); make room or let the server write there, then keep it again") from error

    def _append(self, path: Path, line: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            _lock(file)
            file.seek(0)
            written = file.read()
            end = written.rfind(b"\n") + 1
            if _is_correction(written[end:]):
                file.write(b"\n")  # an editor left the last line without its end
            elif _was_cut(written[end:]):
                file.truncate(end)
            else:
                raise NoReviewError(f"{path} ends with no correction, expected a file that this server wrote; move it away, then keep this again")
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
