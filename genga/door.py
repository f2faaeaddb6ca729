"""The way out of every command: a GengaError becomes its one sentence on stderr and exit code 2."""

import logging
import signal
import sys
from collections.abc import Callable

from genga.errors import GengaError


def run(main: Callable[[], None]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that `with` blocks clean up
    try:
        main()
    except GengaError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
