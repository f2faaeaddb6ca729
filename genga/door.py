"""The way out of every command: a GengaError, or a disk that is full, becomes one sentence on stderr and exit code 2."""

import errno
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from genga.errors import GengaError

FULL = (errno.ENOSPC, errno.EDQUOT)


def run(main: Callable[[], None]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that `with` blocks clean up
    try:
        main()
    except GengaError as error:
        _refuse(str(error))
    except OSError as error:
        if error.errno not in FULL:
            raise
        _refuse(  # a write that fails seldom knows its file
            f"a file could not be written ({error}); make room on the disk of {Path.cwd()}, or on that of temporary files (TMPDIR) "
            "where that is the full one, and run the same command again"
        )


def _refuse(sentence: str) -> NoReturn:
    sys.stderr.write(f"error: {sentence}\n")
    sys.exit(2)
