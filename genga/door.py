"""The way out of every command: a GengaError, a full disk or a file that is not ours becomes one sentence on stderr and exit code 2.

A stage that DVC runs also makes sure that DVC records the values, code and data that it went by.
"""

import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from genga.errors import FULL, GengaError

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def run(main: Callable[[], None]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that `with` blocks clean up
    try:
        if "DVC_STAGE" in os.environ:
            from genga.params import begin_stage, check_unchanged  # here: other commands answer sooner without it

            begin_stage()
            main()
            check_unchanged()
        else:
            main()
    except GengaError as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped by Ctrl-C; the same command begins again or goes on\n")
        sys.exit(128 + signal.SIGINT)
    except OSError as error:
        if error.errno in FORBIDDEN and error.filename is not None:
            _refuse(f"{error.filename} may not be used as is needed here ({error.strerror}); give yourself the right to it and run it again")
        if error.errno not in FULL:
            if error.filename is None:
                raise
            _refuse(f"{error.filename} cannot be used ({error.strerror}); mend that, or name another one, and run it again")
        _refuse(  # a write that fails seldom knows its file
            f"a file could not be written ({error}); make room on the disk of {Path.cwd()}, or on that of temporary files (TMPDIR) "
            "where that is the full one, and run the same command again"
        )


@contextmanager
def ending_with_us(pid: int, ends: type[BaseException] = SystemExit) -> Iterator[None]:
    """A terminal sends Ctrl-C to all, `kill` and Docker send SIGTERM to us alone: then what DVC (`pid`) runs is told too, and DVC stops there.

    `ends`: what SIGTERM raises in this process, SystemExit under `run`.
    """
    import psutil  # type: ignore[import-untyped]

    try:
        yield
    except ends:
        with suppress(psutil.NoSuchProcess):
            dvc = psutil.Process(pid)
            for process in dvc.children(recursive=True) or [dvc]:
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
        raise


def _refuse(sentence: str) -> NoReturn:
    sys.stderr.write(f"error: {sentence}\n")
    sys.exit(2)
