"""Promise: after as many minutes of training on the same pictures each family draws closer to real faces as Genga ships it than in the settings of
the system, or paper, that it comes from.

    python -m bench.originals [--minutes 5] [--only FAMILY ...] [--sheet sheet.png] [--keep FOLDER]       default: all of SETTINGS, 45 minutes

Pictures are those of ../shared/data/faces64.zip, of faces96.zip where a family draws larger ones, at the family's side; HELD_OUT of them are kept for
the comparison. Extractors, samples and the planning of a training's length are those of bench/face_quality.py, --keep and the JSON as there; the one
of turns learns from faces64.zip without its held-out pictures, the one of tags from most of faces96.zip, held-out ones among them. Distances are
those of pictures brought to 64 px, held-out ones by way of the family's side too.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.arguments import Parser, minutes
from bench.face_quality import (
    HELD_OUT,
    SHOWN,
    Judge,
    Made,
    Ours,
    Pictures,
    at_side,
    ids_sha256,
    key_of,
    learn_tags,
    learn_turns,
    print_scores,
    read_pictures,
    samples,
    train,
)
from bench.peers import SIDE
from bench.real_faces import REAL
from bench.real_poses import with_profiles
from genga.documents import write_json
from genga.door import run
from genga.params import TrainFace
from genga.pictures import encode_png
from models.export import grid

# family: profiles of Genga's settings, and of the original's
SETTINGS = {
    "dcgan32": ([], ["image-development"]),
    "dcgan96": (["dcgan-96"], ["dcgan-faces-tags"]),
    "began64": (["began"], ["began-paper"]),
    "stylegan2": ([], ["character-generator"]),
}
JUDGING = 1.5  # minutes that each extractor learns


def settings(family: str, profiles: list[str]) -> TrainFace:
    return TrainFace.model_validate(with_profiles(*profiles)["train_face"][family])


def split(side: int) -> tuple[Pictures, Pictures]:
    """Held out, and to learn from."""
    source = REAL if side > SIDE else REAL.with_name("faces64.zip")
    pictures = at_side(np.random.default_rng(0).permutation(read_pictures(source)), side)
    return pictures[:HELD_OUT], pictures[HELD_OUT:]


def compared(family: str, minutes: float, judged: dict[str, torch.nn.Module], root: Path) -> tuple[Pictures, dict[str, Any]]:
    """Prints the distances of both; gives rows of real pictures and of theirs, and the numbers with their protocol."""
    both = dict(zip(("Genga's", "the original's"), (settings(family, profiles) for profiles in SETTINGS[family]), strict=True))
    held_out, real = split(both["Genga's"].model.resolution)
    judge, data_id = Judge(judged, held_out), ids_sha256(real)
    scores, kimg, rows = {}, {}, [at_side(held_out[:SHOWN], SIDE)]
    for whose, params in both.items():
        path = root / "samples" / f"{family}-{whose.replace(' ', '-')}-{key_of(params, data_id)}.npz"
        if not path.is_file():
            torch.manual_seed(0)
            training = Ours(params, torch.from_numpy(real), minutes)
            seen = train(training, real, minutes, signed=False)
            Made(samples(training), seen).keep(path)
        made = Made.kept(path)
        scores[whose], kimg[whose] = judge.score(made.pictures), made.kimg
        rows.append(at_side(made.pictures[:SHOWN], SIDE))
        print_scores(f"{family}, {whose} settings, {made.kimg:.1f} kimg", scores[whose])
    for extractor in judged:
        for distance in ("fd", "kid"):
            ours, theirs = (scores[whose][extractor][distance] for whose in both)
            print(
                f"originals: {family}: {distance} by {extractor} {ours / theirs:.2f} of that with the original's settings, promised < 1", flush=True
            )
    learned_from = {"count": len(real), "sha256": data_id}
    return np.concatenate(rows), {"learned_from": learned_from, "protocol": judge.protocol(), "kimg": kimg, "scores": scores}


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--minutes", type=minutes, default=5.0)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=[*SETTINGS])
    parser.add_argument("--sheet", type=Path, default=Path("bench-out/originals.png"))
    parser.add_argument("--keep", type=Path, help="a later call with as many minutes goes on from what lies there")
    args = parser.parse_args()
    if not REAL.is_file():
        print(f"originals: skipped, there is no {REAL} to learn from")
        return
    args.sheet.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        if args.keep:
            root = args.keep / f"{args.minutes:g}-minutes"
            root.mkdir(parents=True, exist_ok=True)
        judged = {"tags": learn_tags(JUDGING, root), "turns": learn_turns(split(SIDE)[1], JUDGING, root)}
        found = {family: compared(family, args.minutes, judged, root) for family in args.only}
    args.sheet.write_bytes(encode_png(grid(np.concatenate([rows for rows, _ in found.values()]), columns=SHOWN)))
    reports = {family: report for family, (_, report) in found.items()}
    write_json(args.sheet.with_suffix(".json"), {"minutes": args.minutes, "families": reports})
    print(f"originals: {args.sheet}: three rows a family, {', '.join(args.only)}: held-out pictures, Genga's settings, the original's")


if __name__ == "__main__":
    run(main)
