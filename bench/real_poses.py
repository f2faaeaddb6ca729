"""What both quality benches measure on: real poses, some of them held out, and the values that the stages run with."""

import os
import shutil
from pathlib import Path
from typing import Any

from cli import edit

REAL = Path(os.environ.get("GENGA_SHARED", "../shared/data")) / "poses11.npz"
CALIBRATED_ON, HELD_OUT = 0.03, 1000 / 10_400  # shares of the poses: about 300 for the confidence, about 1,000 for the test


def with_profiles(*names: str) -> dict[str, Any]:
    """The values that ship with these profiles, one after the other, whatever else was merged into params.yaml; pictures are those chosen there."""
    document: dict[str, Any] = edit.with_profiles([edit.SHIPPED, *names])
    return document


def pose_folders(scratch: Path, invented: bool = False) -> tuple[Path, Path]:
    """`poses` with the real ones, or with none, and an empty `own`, as draw_figures reads them."""
    (scratch / "poses").mkdir()
    (scratch / "own").mkdir()
    if not invented:
        shutil.copy(REAL, scratch / "poses")
    return scratch / "poses", scratch / "own"
