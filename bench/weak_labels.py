"""How good are labels without people? Hair and eye colour named by clustering (labeling/weak.py) against the labels of real faces and the truth of
drawn ones; and what a tagger makes of them that has no label of the real faces at all, beside one that learned from drawn faces only.

    python -m bench.weak_labels [--train]

The labels of ../shared/data/faces96.zip are automatic and noisy; without that file only drawn faces are measured. --train takes two trainings of
the laptop profile; what they reach is counted on the fifth of the real faces that is held out.
"""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.arguments import Parser
from bench.real_faces import REAL, drawn_faces, no_labels, real_faces
from genga.door import run
from genga.params import Params
from genga.store import Store
from labeling.weak import weak_labels
from models.export import load_model
from models.metrics.tags import decide, macro_f1, tag_logits
from models.networks.tagger import probabilities
from models.targets import UNKNOWN, Targets, names, read_labels, read_truth, targets_of
from stages.train_tagger import train_tagger

GROUPS = ("hair_color", "eye_color")
SIDE = 64


def named(pictures: NDArray[np.uint8]) -> Targets:
    return np.array([targets_of(labels) for labels in weak_labels(pictures)], np.int64)


def compare(what: str, found: Targets, truth: Targets) -> None:
    for name in GROUPS:
        at = names().index(name)
        said = (found[:, at] != UNKNOWN) & (truth[:, at] != UNKNOWN)
        mine, theirs = found[said, at], truth[said, at]
        usual = np.bincount(theirs).max() / len(theirs)
        print(
            f"weak_labels: {what}, {name}: {said.mean():.2f} of the faces named, {(mine == theirs).mean():.3f} of these as labelled "
            f"({(mine == theirs).mean() / usual:.1f} times the commonest), macro-F1 {macro_f1(mine, theirs):.3f}"
        )


def without_labels(params: Params, root: Path, weak: bool) -> Targets:
    """What a tagger says of the held-out faces that was trained without any of their labels."""
    tagger_dir, section = root / f"tagger-{weak}", params.train_tagger.model_copy(update={"weak_labels": weak})
    train_tagger(section, root / "faces", root / "sample", no_labels(root), root / f"run-{weak}", tagger_dir)
    tagger, card = load_model(tagger_dir)
    faces = Store(root / "faces")
    logits = tag_logits(tagger, faces.images(SIDE), faces.indices("test"), batch_size=256, precision="auto", what="read tags of held-out faces")
    return decide(probabilities(logits, card["temperatures"]).numpy(), card["thresholds"])


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--train", action="store_true", help="also train taggers that start from these labels")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        drawn_root, real_root = Path(scratch) / "drawn", Path(scratch) / "real"
        drawn_faces("laptop", drawn_root)
        sample = Store(drawn_root / "sample")
        compare("drawn faces", named(sample.images(sample.sizes[-1])), read_truth(sample).targets)
        if not REAL.is_file():
            print(f"weak_labels: real faces skipped, there is no {REAL}")
            return
        params = real_faces("laptop", real_root)
        faces = Store(real_root / "faces")
        truth, rows = read_labels(real_root / "labels", faces).targets, faces.indices("test")
        compare("real faces", named(faces.images(SIDE))[rows], truth[rows])
        if args.train:
            for weak, what in ((False, "tagger from drawn faces only"), (True, "tagger from drawn faces and weak labels")):
                compare(what, without_labels(params, real_root, weak), truth[rows])


if __name__ == "__main__":
    run(main)
