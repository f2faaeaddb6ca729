"""Promise: 71,300 faces at 128 px train memory-mapped, and the process itself stays under 3 GB at batch 32.

    python -m bench.memory [--count 71300] [--steps 12]

The family is StyleGAN2 by profiles/stylegan2-128.yaml: one step of its warm-up, as many as are left of its contest at 128 px, R1 among them.
The store is made here, sparse on the disk (3.5 GB of zeros and a little noise that nobody has to write), and its pages are touched as a training
touches them. The process's own memory is RssAnon of /proc/self/status; VmRSS beside it counts the pages of the store that the system happens to
keep in its cache and takes back when others need them. Both are the highest that were seen after any step.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.real_poses import with_profiles
from genga.params import parse_params
from genga.store import Store
from models.batches import Pictures
from models.loop import seed_step
from models.recipes.faces import face_recipe
from models.recipes.watched import Watched

COUNT, SIDE, BATCH = 71_300, 128, 32
PROMISED = 3.0  # GB


def write_sparse(faces_dir: Path, count: int) -> Store:
    faces_dir.mkdir()
    images = np.lib.format.open_memmap(faces_dir / f"images-{SIDE}.npy", mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE, 3))  # type: ignore[no-untyped-call]
    rng = np.random.default_rng(0)
    images[:: count // 256] = rng.integers(0, 256, images[:: count // 256].shape, dtype=np.uint8)
    del images
    rows = {"id": [f"{row:064x}" for row in range(count)], "split": ["train"] * count, "licence": ["unknown"] * count, "source": ["noise"] * count}
    pq.write_table(pa.table(rows), faces_dir / "manifest.parquet")
    return Store(faces_dir)


def gigabytes() -> dict[str, float]:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) / 1e6 for words in lines if words and words[0] in ("RssAnon:", "VmRSS:")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--steps", type=int, default=12)
    args = parser.parse_args()
    whole = parse_params(with_profiles("stylegan2-128"), "params.yaml with profiles/stylegan2-128.yaml")
    params, watch = whole.train_face["stylegan2"], whole.watch_collapse
    training = params.training.model_copy(update={"batch_size": BATCH})
    params = params.model_copy(update={"training": training})
    assert params.model.resolution == SIDE
    turn = BATCH * params.r1_interval
    late = int(1000 * params.training.total_kimg) // turn * turn  # every side is whole by then, and its step has R1
    places = [0, *range(late, late + (args.steps - 1) * BATCH, BATCH)]
    with tempfile.TemporaryDirectory() as scratch:
        faces = write_sparse(Path(scratch) / "faces", args.count)
        pictures = Pictures(faces, SIDE, faces.indices("train"))
        batch_at = pictures.batches(training)
        recipe = Watched(face_recipe(params), pictures.some(watch.samples), watch.model_copy(update={"every_kimg": BATCH * 4 / 1000}), "bench")
        most: dict[str, float] = {}
        for cur_nimg in places:
            seed_step(0, cur_nimg)
            recipe.step(batch_at(cur_nimg), cur_nimg)
            if cur_nimg == late:
                recipe.sample()
            most = {name: max(value, most.get(name, 0.0)) for name, value in gigabytes().items()}
        size = faces.dir / f"images-{SIDE}.npy"
        print(f"memory: {len(faces)} faces of {SIDE} px, {size.stat().st_size / 1e9:.2f} GB mapped; {args.steps} steps of batch {BATCH}")
        print(
            f"memory: the process's own RssAnon {most['RssAnon']:.2f} GB, promised < {PROMISED:g} ({most['RssAnon'] / PROMISED:.2f} of it); "
            f"VmRSS with mapped pages {most['VmRSS']:.2f} GB"
        )


if __name__ == "__main__":
    main()
