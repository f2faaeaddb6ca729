"""Promise: a face generator whose training is made to collapse is flagged before it ends; beside it, as shipped, it is not.

    OMP_NUM_THREADS=1 python -m bench.collapse [--family stylegan2 ...] [--out FOLDER]       default: all, bench-out/collapse

One thread, as docs/collapse.md has it: rounding, and with it the course of what is unstable, is another with more.

Faces are those of ../shared/data/faces64.zip at SIDE px: SOUND of them with the family's own settings, or FEW with those of DRIVEN, which take away
what restrains the discriminator. The contest lasts KIMG in both; the warm-up that some families ship with comes before, and DRIVEN has none.
The watch looks LOOKS times in a contest and judges from a quarter of it on, whatever every_kimg and from_kimg are in params.yaml.
(FastGAN does not keep the promise: it narrows as shipped and widens when driven; see docs/collapse.md.) Nothing is judged by eye: what is printed
are the last look and the alarm of models/recipes/watched.py, and for each family whether EXPECTED was seen. FOLDER gets the curves of both trainings
and, side by side, their last faces, for each family.
"""

import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bench.arguments import Parser
from bench.face_quality import read_pictures
from bench.real_faces import REAL
from bench.real_poses import with_profiles
from genga.door import run
from genga.params import TrainFace, WatchCollapse
from genga.pictures import encode_png
from models.batches import Sampler
from models.metrics.collapse import Curve, drawn, read_curve
from models.recipes.faces import face_recipe
from models.recipes.watched import Watched

Pictures = NDArray[np.uint8]

FACES = REAL.with_name("faces64.zip")
SIDE, SOUND, FEW = 32, 3000, 200
FREE: dict[str, Any] = {"r1_gamma": 0.0, "r2_gamma": 0.0, "label_noise": 0.0, "augment": 0.0, "adapt": None, "warm_up": None}
DRIVEN = {
    "dcgan32": FREE | {"d_lr": 0.01},
    "stylegan2": FREE | {"d_lr": 0.03},
    "began64": FREE | {"d_lr": 0.004},
    "fastgan64": FREE | {"d_lr": 0.02},
}
KIMG = {"dcgan32": 48.0, "stylegan2": 24.0, "began64": 32.0, "fastgan64": 24.0}
PROFILES = {"began64": ["began"], "fastgan64": ["fastgan"]}  # of families that the default does not train
LOOKS = 24
EXPECTED = {"as shipped": False, "driven": True}  # an alarm


def at_side(family: str, kimg: float, changes: dict[str, Any]) -> TrainFace:
    params: dict[str, Any] = with_profiles(*PROFILES.get(family, []))["train_face"][family] | changes
    params["model"]["resolution"] = SIDE
    params["growth"] = []
    total_kimg = kimg + (params["warm_up"]["kimg"] if params["warm_up"] else 0)
    params["training"] |= {"total_kimg": total_kimg, "log_kimg": kimg / LOOKS, "sample_kimg": total_kimg, "checkpoint_kimg": total_kimg}
    return TrainFace.model_validate(params)


def train(family: str, params: TrainFace, rule: WatchCollapse, pictures: Pictures, run_dir: Path) -> Watched:
    watched = Watched(face_recipe(params), pictures[: rule.samples], rule, family)
    sampler, tensors, size = Sampler(len(pictures), 0), torch.from_numpy(pictures), params.training.batch_size
    watched.fit(lambda cur_nimg: tensors[sampler.idxs_at(cur_nimg, size)], run_dir, what=f"train {family}", fingerprint=family, tracker=None)
    return watched


def said(what: str, curve: Curve, alarm: str) -> None:
    last = [line for line in curve if "coverage" in line][-1]
    seen = ", ".join(f"{name} {last[name]:.2f}" for name in ("near_identical", "spread", "recall", "coverage", "d_real", "d_made"))
    print(f"collapse: {what}, {last['kimg']:g} kimg: {seen}; {f'alarm {alarm}' if alarm else 'no alarm'}", flush=True)


def verdict(family: str, alarms: dict[str, bool]) -> None:
    words = {False: "no alarm", True: "an alarm"}
    seen = "; ".join(f"{what}, {words[EXPECTED[what]]} was expected, {words[alarm]} was seen" for what, alarm in alarms.items())
    print(f"collapse: {family}: {seen}: {'kept' if alarms == EXPECTED else 'not kept'}", flush=True)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--family", nargs="+", choices=DRIVEN, default=[*DRIVEN])
    parser.add_argument("--out", type=Path, default=Path("bench-out/collapse"))
    args = parser.parse_args()
    if not FACES.is_file():
        print(f"collapse: skipped, there is no {FACES}")
        return
    real = np.stack([cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for face in read_pictures(FACES)[:SOUND]]).astype(np.uint8)
    args.out.mkdir(parents=True, exist_ok=True)
    for family in args.family:
        kimg, curves, sheets, alarms = KIMG[family], {}, [], {}
        for what, count, changes in (("as shipped", SOUND, {}), ("driven", FEW, DRIVEN[family])):
            params = at_side(family, kimg, changes)
            rule = WatchCollapse.model_validate(with_profiles()["watch_collapse"] | {"every_kimg": kimg / LOOKS, "from_kimg": kimg / 4})
            with tempfile.TemporaryDirectory() as scratch:
                watched = train(family, params, rule, real[:count], Path(scratch))
                curves[what] = read_curve(Path(scratch))
            said(f"{family} {what}, {count} pictures", curves[what], watched.alarm)
            sheets.append(watched.sample())
            alarms[what] = bool(watched.alarm)
        verdict(family, alarms)
        for name, picture in (("curves", drawn(curves)), ("faces", np.hstack(sheets))):
            (args.out / f"{family}-{name}.png").write_bytes(encode_png(picture))


if __name__ == "__main__":
    run(main)
