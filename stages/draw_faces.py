"""Nothing -> anime faces drawn with OpenCV, whose every tag is known.

writes  data/faces/sample/   store + annotations.json, the same labels as a Label Studio export
Face n is drawn from (seed, n) alone, so neither the number of processes nor the number of faces changes it.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drawing.face import draw_face, random_labels
from genga.door import run
from genga.params import DrawFaces, load_params
from genga.progress import progress
from genga.store import Row, StoreWriter, picture_id
from labeling.exports import write_tasks
from stages.processes import in_order


def draw_faces(params: DrawFaces, out_dir: Path) -> None:
    size = params.size
    truth: list[Row] = []
    with (
        StoreWriter(out_dir, {str(size): (size, size, 3)}) as writer,
        progress(what="draw faces", total=params.count, unit="faces") as bar,
    ):
        for chunk in in_order(partial(face, params.seed, size), range(params.count)):
            rows, pictures = zip(*chunk, strict=True)
            writer.append(rows, **{str(size): np.stack(pictures)})
            truth += rows
            bar.update(len(rows))
        write_tasks(writer.beside("annotations.json"), truth)


def face(seed: int, size: int, face_idx: int) -> tuple[Row, NDArray[np.uint8]]:
    """What the manifest says, and the picture."""
    rng = np.random.default_rng((seed, face_idx))
    labels = random_labels(rng)
    picture = draw_face(labels, rng, size)
    about = {"id": picture_id(picture), "name": f"face-{face_idx:06d}", "source": "drawn by Genga", "licence": "CC0-1.0"}
    return about | {"width": size, "height": size, "labels": json.dumps(labels)}, picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out_dir", type=Path)
    args = parser.parse_args()
    draw_faces(load_params().draw_faces, args.out_dir)


if __name__ == "__main__":
    run(main)
