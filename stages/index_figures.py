"""Mannequins -> the gallery: line art to be found by pose (see genga/gallery.py).

reads   data/figures/mannequins/   store
writes  data/gallery/              store: one size of their pictures, and id, source, licence, kind of pose and pose
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from genga.door import run
from genga.errors import DataError
from genga.gallery import EVEN, fit
from genga.params import IndexFigures, load_params
from genga.progress import progress
from genga.skeleton import from_vector
from genga.store import Store, StoreWriter

CHUNK = 256


def index_figures(params: IndexFigures, figures_dir: Path, out_dir: Path) -> None:
    figures = Store(figures_dir / "mannequins")
    pictures = figures.images(params.size)
    about = figures.manifest.select(["id", "source", "licence", "kind", "pose"])
    with StoreWriter(out_dir, {str(params.size): pictures.shape[1:]}) as writer:
        for start in progress(range(0, len(figures), CHUNK), what="index the figures"):
            rows = about.slice(start, CHUNK).to_pylist()
            for row in rows:
                _check(row)
            writer.append(rows, **{str(params.size): np.asarray(pictures[start : start + CHUNK])})


def _check(row: dict[str, Any]) -> None:
    """A pose without a size has no shape to be found by."""
    if not fit(from_vector(row["pose"]), EVEN).any():
        raise DataError(f"figure {row['id']} of {row['source']} has all its joints in one place; take it out of the poses or correct it there")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures_dir", type=Path)
    parser.add_argument("out_dir", type=Path)
    args = parser.parse_args()
    index_figures(load_params().index_figures, args.figures_dir, args.out_dir)


if __name__ == "__main__":
    run(main)
