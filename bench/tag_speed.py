"""Promise: on two cores tag_faces tags >= 2,000 pictures of 64 px a second, from opening the store to the table on disk.

python -m bench.tag_speed
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bench.arguments import Parser
from bench.noise import write_noise
from genga.door import run
from genga.params import load_params
from genga.tags import columns, flags
from models.export import save_model
from models.networks import build
from models.targets import names, value_names
from stages.tag_faces import tag_faces

COUNT, SIZE = 12_000, 64
ROUNDS = 3
PROMISED = 2000


def prepare(root: Path) -> None:
    """Faces of noise, no labels, and a tagger of params.yaml's width as it starts out: what they show costs no time."""
    params = load_params().train_tagger
    write_noise(root / "faces", COUNT, SIZE)
    (root / "labels").mkdir()
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in ("id", "name", "value", "origin")}), root / "labels" / "tags.parquet")
    model = params.model.model_copy(update={"resolution": SIZE})
    torch.manual_seed(0)
    card = {"model": model.model_dump(), "columns": columns(), "temperatures": dict.fromkeys(names(), 1.0), "thresholds": dict.fromkeys(flags(), 0.5)}
    sure = {name: dict.fromkeys(value_names(name), 0.0) for name in names()}
    save_model(root / "tagger", build(model), card | {"sure": sure})


def main() -> None:
    Parser(__doc__).parse_args()
    params = load_params().tag_faces
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        prepare(root)
        speeds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            tag_faces(params, root / "faces", root / "labels", root / "tagger", root / "tagged")
            speeds.append(COUNT / (time.perf_counter() - start))
    middle = median(speeds)
    print(f"tag_speed: {middle:.0f} pictures/s of {SIZE} px: {middle / PROMISED:.2f} of the promised {PROMISED}; median of {ROUNDS} runs")


if __name__ == "__main__":
    run(main)
