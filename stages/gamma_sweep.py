"""BEGAN's gamma, tried out: one training for each value, its quality against its diversity in one picture. Not a stage: `genga gamma` runs it.

writes  <out>/<gamma>/       weights, card and sheet of each, and the fingerprint of the params, data and code that they came from; each is also a
                             run of the family in MLflow, with its gamma among the params
        <out>/sweep.json     {gamma: {"metrics": {...}, "protocol": {...}}};   <out>/sweep.png   drawn, and faces by each, from the same latents
        <out>/collapse.png   how varied each one's samples were over time
A training that was stopped goes on from where it stood; one that has ended is not run again. One that collapses is flagged and goes on, whatever
params say: that is a result too.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from genga.documents import write_json
from genga.errors import ParamsError
from genga.params import TrainFace, WatchCollapse
from genga.pictures import encode_png
from genga.registry import Registry
from genga.store import Store
from models.metrics.collapse import drawn, read_curve
from models.metrics.plots import pixels_of
from models.metrics.scores import Score
from stages.judge import Judge
from stages.train_face import fingerprint_for, train_face

Pictures = NDArray[np.uint8]

SHOWN = 8  # faces by each
DPI, INCHES = 100, (9.0, 4.5)


def gamma_sweep(
    family: str,
    params: TrainFace,
    watch: WatchCollapse,
    gammas: Sequence[float],
    judge: Judge,
    prepared_dir: Path,
    out_dir: Path,
    registry: Registry,
) -> dict[str, Score]:
    """By gamma, from the smallest on."""
    if params.began is None:
        raise ParamsError(f"{family} in params.yaml is {params.model.arch}, expected began: only BEGAN has a gamma; see `genga profile began`")
    if wrong := [gamma for gamma in gammas if not 0 < gamma <= 1]:
        raise ParamsError(f"gamma {wrong[0]:g} was found, expected more than 0 and at most 1; give other values")
    scores, data_id = {}, Store(prepared_dir).data_id
    watch = watch.model_copy(update={"action": "flag"})
    for gamma in sorted(set(gammas)):
        with_gamma = TrainFace.model_validate(params.model_dump() | {"began": params.began.model_dump() | {"gamma": gamma}})
        weights_dir, run_dir = out_dir / f"{gamma:g}", out_dir / f"{gamma:g}-run"
        fingerprint, fingerprint_path = fingerprint_for(with_gamma, watch, data_id), weights_dir / "fingerprint"
        if not fingerprint_path.is_file() or fingerprint_path.read_text() != fingerprint:
            with registry.tracking(family, with_gamma.model_dump(), run_dir, data_id=data_id) as tracker:
                train_face(family, with_gamma, watch, prepared_dir, run_dir, weights_dir, tracker)
            fingerprint_path.write_text(fingerprint)  # other weights that come here take it away
        scores[f"{gamma:g}"] = judge.score(family, weights_dir)
    write_json(out_dir / "sweep.json", {gamma: {"metrics": score.metrics, "protocol": score.protocol} for gamma, score in scores.items()})
    (out_dir / "sweep.png").write_bytes(encode_png(_picture(family, scores, params.model.resolution)))
    curves = {f"γ {gamma}": read_curve(out_dir / f"{gamma}-run") for gamma in scores}
    (out_dir / "collapse.png").write_bytes(encode_png(drawn(curves)))
    return scores


def _picture(family: str, scores: dict[str, Score], side: int) -> Pictures:
    """Precision over recall, and KID over gamma; below, a row of faces for each gamma."""
    figure = Figure(INCHES, DPI, layout="constrained")
    trade, distance = figure.subplots(1, 2)
    gammas, metrics = [*map(float, scores)], [score.metrics for score in scores.values()]
    trade.plot([each["recall"] for each in metrics], [each["precision"] for each in metrics], "o-")
    for gamma, each in zip(scores, metrics, strict=True):
        trade.annotate(f"γ {gamma}", (each["recall"], each["precision"]), textcoords="offset points", xytext=(6, 6))
    trade.set(xlabel="diversity: recall", ylabel="quality: precision", title=f"{family}: what γ trades")
    distance.plot(gammas, [each["kid"] for each in metrics], "o-")
    distance.set(xlabel="γ", ylabel="KID, lower is better", title="distance to real faces")
    plot = pixels_of(figure)
    shown = plot.shape[1] // SHOWN
    rows = [_row(f"{gamma}", score.sheet, side, shown) for gamma, score in scores.items()]
    wide = [cv2.copyMakeBorder(row, 0, 0, 0, plot.shape[1] - row.shape[1], cv2.BORDER_CONSTANT, value=(255, 255, 255)) for row in rows]
    return np.vstack([plot, *wide]).astype(np.uint8, copy=False)


def _row(words: str, sheet: Pictures, side: int, shown: int) -> Pictures:
    """The first faces of a sheet, with its gamma on them."""
    faces = sheet[:side, : SHOWN * side]
    row = cv2.resize(faces, (shown * faces.shape[1] // side, shown), interpolation=cv2.INTER_NEAREST)
    cv2.putText(row, words, (6, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 4, cv2.LINE_AA)
    cv2.putText(row, words, (6, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(row, np.uint8)
