"""The errors that a person can mend. Each message says what was found, what was expected and what to do next.

The command line prints the sentence and exits with 2; the server answers with the status given here.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


class GengaError(Exception):
    """Something outside the code is wrong, and a person can put it right."""

    status = 422


class ParamsError(GengaError):
    """params.yaml or a profile has an unknown key, a wrong type or a value out of range."""


class DataError(GengaError):
    """Pictures, labels or a store are missing, damaged or not what they should be."""


class PictureError(DataError):
    """One picture cannot be used: `reason` is one of the words in rejected.csv."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class NotAPictureError(PictureError):
    """The bytes are no picture that we read."""

    status = 415


class TooLargeError(PictureError):
    """More bytes or pixels than the stated limit."""

    status = 413


class CheckpointError(GengaError):
    """A checkpoint or weights file is damaged or belongs to other params."""


class OtherTagsError(CheckpointError):
    """A tagger was trained for other tags than genga/tags.yaml has now."""


class CollapseError(GengaError):
    """A face generator's training collapsed, and params say that it then stops."""


class ReleaseError(GengaError):
    """A release folder is missing, incomplete or its hashes do not match."""


class RegistryError(GengaError):
    """The registry has no such family, version or alias."""


@contextmanager
def said_when_full(path: Path) -> Iterator[None]:
    """Nothing is lost by a write that fails: the last checkpoint stands."""
    try:
        yield
    except OSError as error:
        mend = "make room" if error.errno in FULL else "put that right"
        raise CheckpointError(
            f"{path} could not be written ({error}); {mend} there and run the same command again: it goes on from its last checkpoint"
        ) from error
