"""a trained face generator + the faces that show one tag -> a generator for that tag.

By one process, on one GPU where there is one, whatever GENGA_DEVICES says: few faces show one tag, and a training on them is short.
reads   weights/<family>/      the generator that layers are appended to
        data/faces/prepared/   store;   data/faces/tagged/
writes  runs/tag-transfer/     curves, sample grids, what they say about collapse; faces, ways between them
        weights/tag-transfer/  weights (base and appended layers), card, sheet
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from genga.door import run
from genga.errors import DataError
from genga.params import TransferTag, WatchCollapse, load_params
from genga.registry import Registry
from genga.store import Store
from genga.tags import check_column
from models.batches import Pictures
from models.export import card_of, load_model, save_model
from models.loop import Tracker, fingerprint_of, finish
from models.metrics.showing import show
from models.networks import stylegan2, transfer
from models.recipes.gan import GanRecipe
from models.recipes.watched import Watched

FAMILY = "tag-transfer"
SHOWS = 0.5  # probability from which a face counts as showing the tag


def transfer_tag(
    params: TransferTag,
    watch: WatchCollapse,
    base_dir: Path,
    prepared_dir: Path,
    tagged_dir: Path,
    run_dir: Path,
    weights_dir: Path,
    tracker: Tracker | None = None,
) -> None:
    base, base_card = load_model(base_dir)
    faces = Store(prepared_dir)
    rows, notes = faces_with(params, faces, tagged_dir)
    recipe = _recipe(params, base)
    pictures = Pictures(faces, recipe.G.resolution, rows)
    extra = base_card["weights_sha256"] + hashlib.sha256(rows.tobytes()).hexdigest() + watch.model_dump_json(exclude={"action"})
    watched = Watched(recipe, pictures.some(watch.samples), watch, FAMILY)
    fingerprint = fingerprint_of(params, faces.data_id, extra, [__file__])
    watched.fit(pictures.batches(params.training), run_dir, what=f"train a generator for {params.tag}", fingerprint=fingerprint, tracker=tracker)
    model = {"arch": "transfer", "base": base_card["model"], "width": params.width}
    notes = [f"Layers appended to {base_card['family']}, trained on faces with {params.tag} only.", *notes, *watched.notes()]
    card = card_of(FAMILY, model, params, faces, count=len(rows), kimg=params.training.total_kimg, metrics={}, notes=notes)
    save_model(weights_dir, recipe.G_ema, card | {"tag": params.tag}, recipe.sample())
    for path in show(recipe.G_ema, params.training.seed, run_dir):
        if tracker:
            tracker.file(path)
    if tracker:
        tracker.finish(weights_dir)
    finish(run_dir)


def faces_with(params: TransferTag, faces: Store, tagged_dir: Path) -> tuple[NDArray[np.int64], list[str]]:
    """Training rows of the faces that show the tag, and what users must be told of the choice: few faces, or none with a label of its own."""
    check_column(params.tag, "transfer_tag.tag")
    table = pq.read_table(tagged_dir / "tags.parquet", filters=pc.field("column") == params.tag)
    probability = dict(zip(table["id"].to_pylist(), table["probability"].to_pylist(), strict=True))
    ids, rows = faces.column("id"), faces.indices("train")
    if missing := sum(ids[row] not in probability for row in rows):
        raise DataError(f"{tagged_dir} says nothing of {missing} of the faces in {faces.dir}, expected a row for each; run `dvc repro tag_faces`")
    likely = np.array([probability[ids[row]] for row in rows])
    notes = []
    if set(table["origin"].to_pylist()) == {"model"}:
        notes = [f"No face has a label for {params.tag}: the tagger alone chose them, so some may not show it."]
    shown = rows[likely >= SHOWS]
    if len(shown) >= params.min_faces:
        return shown, notes
    likeliest = np.sort(rows[np.argsort(-likely, kind="stable")[: params.min_faces]])
    note = (
        f"Only {len(shown)} training faces show {params.tag}; it was learned from the {len(likeliest)} that most likely do, so take it as a sketch."
    )
    return likeliest, [*notes, note]


def _recipe(params: TransferTag, base: Any) -> GanRecipe:
    torch.manual_seed(params.training.seed)
    G = transfer.Generator(base=base, width=params.width)
    D = stylegan2.Discriminator(G.resolution, params.width * G.resolution, params.width * 8)
    return GanRecipe(G, D, params)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("base_dir", "prepared_dir", "tagged_dir", "run_dir", "weights_dir"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    params = load_params().transfer_tag
    with Registry().tracking(FAMILY, params.model_dump(), args.run_dir, data_id=Store(args.prepared_dir).data_id) as tracker:
        transfer_tag(params, load_params().watch_collapse, args.base_dir, args.prepared_dir, args.tagged_dir, args.run_dir, args.weights_dir, tracker)


if __name__ == "__main__":
    run(main)
