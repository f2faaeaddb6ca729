"""Every trained family -> its scores by the protocol of its kind, and a sheet to look at.

reads   weights/<family>/, data/faces/prepared/, data/faces/tagged/, data/faces/sample/, data/labels/, data/figures/
writes  reports/metrics.json   {family: {"metrics": {...}, "protocol": {...}}}
        reports/<family>.png   contact sheets: faces 10 x 10 from fixed seeds; enlargements as pixels, bicubic, ours, truth; sketches as
                               the pose, two sketches, the truth; found poses over their pictures; faces with their tags
"""

import argparse
import logging
import shutil
from collections.abc import Collection
from pathlib import Path

from genga.documents import write_json
from genga.door import run
from genga.families import trained_families
from genga.params import Evaluate, load_params
from genga.pictures import encode_png
from genga.progress import progress
from stages.judge import Data, Judge

log = logging.getLogger(__name__)

COLLAPSED = 0.5  # of the samples stand closer together than 99 of 100 real faces do


def evaluate(params: Evaluate, faces: Collection[str], weights_dir: Path, data: Data, reports_dir: Path) -> None:
    """`faces`: the families of train_face."""
    families = trained_families(weights_dir, faces)
    judge = Judge(params, data, weights_dir / "tagger", weights_dir / "figure-pose")
    partial_dir = reports_dir.with_name(reports_dir.name + ".partial")
    shutil.rmtree(partial_dir, ignore_errors=True)
    partial_dir.mkdir(parents=True)
    scores = {}
    for family in progress(families, what="evaluate", unit="families"):
        score = judge.score(family, weights_dir / family)
        scores[family] = {"metrics": score.metrics, "protocol": score.protocol}
        (partial_dir / f"{family}.png").write_bytes(encode_png(score.sheet))
        if score.metrics.get("near_identical", 0) > COLLAPSED:
            log.warning("evaluate: %s draws nearly the same face again and again: %.0f %%", family, 100 * score.metrics["near_identical"])
    write_json(partial_dir / "metrics.json", scores)
    shutil.rmtree(reports_dir, ignore_errors=True)
    partial_dir.rename(reports_dir)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("weights_dir", "faces_dir", "tagged_dir", "sample_dir", "labels_dir", "figures_dir", "reports_dir"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    data = Data(args.faces_dir, args.tagged_dir, args.sample_dir, args.labels_dir, args.figures_dir)
    evaluate(load_params().evaluate, load_params().train_face.keys(), args.weights_dir, data, args.reports_dir)


if __name__ == "__main__":
    run(main)
