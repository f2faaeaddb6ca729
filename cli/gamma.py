"""`genga gamma`: several values of BEGAN's gamma side by side."""

import math
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cli.judging import PREPARED, judge_of_today
from genga.errors import ParamsError
from genga.params import load_params
from genga.registry import Registry
from stages.gamma_sweep import gamma_sweep

SHOWN = ("precision", "recall", "kid", "fd", "near_identical")


def gamma(family: str, gammas: list[float], kimg: float | None) -> None:
    if kimg is not None and not 0 < kimg < math.inf:
        raise ParamsError(f"--kimg {kimg:g} was found, expected more than 0; say for how many thousands of pictures to train")
    params = load_params()
    if family not in params.train_face:
        raise ParamsError(f"no family {family!r} in params.yaml, found {', '.join(params.train_face)}; add it with `genga profile began`")
    chosen = params.train_face[family]
    if kimg is not None:
        chosen = chosen.model_copy(update={"training": chosen.training.model_copy(update={"total_kimg": kimg})})
    out_dir = Path("runs/gamma") / family
    found = gamma_sweep(family, chosen, params.watch_collapse, gammas, judge_of_today(params.evaluate), PREPARED, out_dir, Registry())
    table = Table("gamma", *SHOWN, title=f"{family}: quality (precision) against diversity (recall)")
    for value, score in found.items():
        table.add_row(value, *(f"{score.metrics[name]:.4g}" for name in SHOWN))
    Console().print(table)
    print(f"drawn in {out_dir / 'sweep.png'}, and how varied each one's samples were over time in {out_dir / 'collapse.png'}")
