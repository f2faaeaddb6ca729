"""The collapse report of a training, out of its stats.jsonl: how varied the samples were over time, and how evenly the two networks fought.

writes  <run_dir>/collapse.json   the rule, when and why it gave alarm, and the curves by kimg
        <run_dir>/collapse.png    the same drawn
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from genga.documents import write_json
from genga.errors import CheckpointError, said_when_full
from genga.params import WatchCollapse
from genga.pictures import encode_png
from models.metrics.plots import pixels_of

Curve = Sequence[Mapping[str, float]]  # one entry for each line of stats.jsonl: kimg, and what was measured there

PANELS = {
    "how much of the real variety": ("coverage", "recall", "spread"),
    "nearly another sample": ("near_identical",),
    "D on real and on made": ("d_real", "d_made"),
    "length of gradients": ("g_grad", "d_grad"),
}
DPI, INCHES = 90, (9.0, 5.6)


def read_curve(run_dir: Path) -> Curve:
    """Without the last line where a full disk or a kill cut it off."""
    *lines, _ = (run_dir / "stats.jsonl").read_text().split("\n")
    return [json.loads(line) for line in lines]


def write_report(run_dir: Path, rule: WatchCollapse, why: str) -> list[Path]:
    """`why`: the alarm in words, empty where there was none. Gives what it wrote: both or neither."""
    paths = [run_dir / "collapse.json", run_dir / "collapse.png"]
    curve = read_curve(run_dir)
    wanted = {"kimg", "alarm", *(name for names in PANELS.values() for name in names)}
    lines: list[dict[str, Any]] = [{name: value for name, value in line.items() if name in wanted} for line in curve]
    try:
        with said_when_full(run_dir):
            write_json(paths[0], {"rule": rule.model_dump(), "alarm": why, "curve": lines})
            paths[1].write_bytes(encode_png(drawn({"": curve})))
    except CheckpointError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return paths


def drawn(curves: Mapping[str, Curve]) -> NDArray[np.uint8]:
    """One training's curves, or those of several by name in one colour each; a red line where an alarm was first given."""
    figure = Figure(INCHES, DPI, layout="constrained")
    for axes, (title, names) in zip(figure.subplots(2, 2, sharex=True).flat, PANELS.items(), strict=True):
        for curve_idx, (of, curve) in enumerate(curves.items()):
            for name_idx, name in enumerate(names):
                points = [(line["kimg"], line[name]) for line in curve if name in line]
                style: dict[str, Any] = {"label": f"{of} {name}".strip(), "lw": 1.4}
                if len(curves) > 1:
                    style |= {"color": f"C{curve_idx}", "ls": ("-", "--", ":")[name_idx]}
                axes.plot(*zip(*points, strict=True) if points else ([], []), **style)
            if alarms := [line["kimg"] for line in curve if line.get("alarm")]:
                axes.axvline(alarms[0], color="#d8342c" if len(curves) == 1 else f"C{curve_idx}", lw=1, ls="-.")
        axes.set_title(title, fontsize=9)
        axes.legend(fontsize=7)
        if "g_grad" in names:
            axes.set_yscale("log")
        if "near_identical" in names:
            axes.set_ylim(-0.03, 1.03)
    figure.supxlabel("kimg", fontsize=9)
    return pixels_of(figure)
