"""Promise: 71,300 faces at 128 px train memory-mapped, and the process itself stays under 3 GB at batch 32.

    python -m bench.memory [--count 71300] [--steps 12]

The family is StyleGAN2 by profiles/stylegan2-128.yaml: one step of its warm-up, as many as are left of its contest at 128 px, R1 among them.
The store is made here, sparse on the disk (3.5 GB of zeros and a little noise that nobody has to write), and its pages are touched as a training
touches them. The process's own memory is RssAnon of /proc/self/status; VmRSS beside it counts the pages of the store that the system happens to
keep in its cache and takes back when others need them. Both are peaks: the highest that a thread read every 10 ms, from the making of the networks
to the last step, in the midst of steps too. Among them is what the loop does at intervals: samples for the watch, a grid, a checkpoint.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.arguments import Parser, at_least
from bench.peak import Peak
from bench.real_poses import with_profiles
from genga.door import run
from genga.params import parse_params
from genga.store import Store
from models.batches import Pictures
from models.loop import Checkpoints, seed_step
from models.recipes.faces import face_recipe
from models.recipes.watched import Watched

COUNT, SIDE, BATCH = 71_300, 128, 32
NOISE = 256  # faces that are not zeros
PROMISED = 3.0  # GB
EVERY = 0.01  # seconds


def write_sparse(faces_dir: Path, count: int) -> Store:
    faces_dir.mkdir()
    images = np.lib.format.open_memmap(faces_dir / f"images-{SIDE}.npy", mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE, 3))  # type: ignore[no-untyped-call]
    rng = np.random.default_rng(0)
    images[:: count // NOISE] = rng.integers(0, 256, images[:: count // NOISE].shape, dtype=np.uint8)
    del images
    rows = {"id": [f"{row:064x}" for row in range(count)], "split": ["train"] * count, "licence": ["unknown"] * count, "source": ["noise"] * count}
    pq.write_table(pa.table(rows), faces_dir / "manifest.parquet")
    return Store(faces_dir)


def gigabytes(name: str) -> float:
    """Of this process, by /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--count", type=at_least(NOISE), default=COUNT)
    parser.add_argument("--steps", type=at_least(2), default=12)
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
        checkpoints = Checkpoints(Path(scratch) / "checkpoints", fingerprint="")
        with Peak(partial(gigabytes, "RssAnon"), EVERY) as own, Peak(partial(gigabytes, "VmRSS"), EVERY) as mapped:
            recipe = Watched(face_recipe(params), pictures.some(watch.samples), watch.model_copy(update={"every_kimg": BATCH * 4 / 1000}), "bench")
            for cur_nimg in places:
                seed_step(0, cur_nimg)
                recipe.step(batch_at(cur_nimg), cur_nimg)
                if cur_nimg == late:
                    recipe.sample()
                    checkpoints.save(cur_nimg, {"recipe": recipe.state_dict()})
        size = faces.dir / f"images-{SIDE}.npy"
        print(f"memory: {len(faces)} faces of {SIDE} px, {size.stat().st_size / 1e9:.2f} GB mapped; {args.steps} steps of batch {BATCH}")
        print(
            f"memory: peak of the process's own RssAnon {own.most:.2f} GB, promised < {PROMISED:g} ({own.most / PROMISED:.2f} of it); "
            f"of VmRSS, with mapped pages, {mapped.most:.2f} GB"
        )


if __name__ == "__main__":
    run(main)
