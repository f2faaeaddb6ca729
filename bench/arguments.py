"""What a bench is told on its command line: --help shows its docstring, a wrong word ends as other mistakes do, in one sentence (genga/door.py)."""

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

from genga.errors import ParamsError


class Parser(argparse.ArgumentParser):
    def __init__(self, doc: str | None) -> None:
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        raise ParamsError(f"{message}; --help says what a bench can be told")


def at_least(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if (number := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{number} was found, expected {least} or more")
        return number

    return whole


def minutes(text: str) -> float:
    if not 0 < (number := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} was found, expected minutes, more than 0")
    return number
