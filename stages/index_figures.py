"""Mannequins -> the gallery: line art to be found by pose (see genga/gallery.py).

reads   data/figures/mannequins/   store
writes  data/gallery/              store: one size of their pictures, and id, source, licence and pose
"""

import argparse
from pathlib import Path

import numpy as np

from genga.door import run
from genga.params import IndexFigures, load_params
from genga.progress import progress
from genga.store import Store, StoreWriter

CHUNK = 256


def index_figures(params: IndexFigures, figures_dir: Path, out_dir: Path) -> None:
    figures = Store(figures_dir / "mannequins")
    pictures = figures.images(params.size)
    rows = figures.manifest.select(["id", "source", "licence", "pose"]).to_pylist()
    with StoreWriter(out_dir, {str(params.size): pictures.shape[1:]}) as writer:
        for start in progress(range(0, len(rows), CHUNK), what="index the figures"):
            writer.append(rows[start : start + CHUNK], **{str(params.size): np.asarray(pictures[start : start + CHUNK])})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures_dir", type=Path)
    parser.add_argument("out_dir", type=Path)
    args = parser.parse_args()
    index_figures(load_params().index_figures, args.figures_dir, args.out_dir)


if __name__ == "__main__":
    run(main)
