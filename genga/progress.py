"""One progress line: what is done, how far it is, how long it will take. A moving bar on a terminal, a line now and then in a log."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(items: Iterable[Any] | None = None, *, what: str, total: float | None = None, unit: str = "it") -> "tqdm[Any]":
    """`for x in progress(xs, what="draw faces")`, or `with progress(what=..., total=n) as bar: bar.update(k)`."""
    on_terminal = sys.stderr.isatty()
    interval = 0.2 if on_terminal else 5.0
    bar_format = None if on_terminal else "{desc}: {n:.5g}/{total:.5g} {unit}, {percentage:.0f} %, {elapsed} gone, {remaining} to go, {rate_fmt}\n"
    return tqdm(
        items,
        desc=what,
        total=total,
        unit=unit,
        mininterval=interval,
        maxinterval=interval,
        bar_format=bar_format,
        dynamic_ncols=True,
        position=None if on_terminal else 0,  # a log has no lines above to go back to
    )
