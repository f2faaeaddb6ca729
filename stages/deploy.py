"""Champions -> the release folder that is served. Every model is tried before release.json is swapped; where one fails, the old release goes on.

reads   data/registry/gate.json (which families this graph makes), and the registry (who is champion of each, and its numbers, which may
        change with data/registry/registered.json)
writes  release/
"""

import argparse
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genga.documents import read_json
from genga.door import run
from genga.errors import OtherTagsError, RegistryError, ReleaseError
from genga.gallery import Gallery
from genga.params import Deploy, load_params
from genga.registry import Registry, Version
from genga.release import Entry, Release, Released, locked, read_document, write_release
from genga.store import Store
from genga.tags import check_tagger
from models.export import load_model, read_card
from models.kinds import kind_of, try_once

log = logging.getLogger(__name__)


def deploy(params: Deploy, gate_path: Path, release_dir: Path, registry: Registry) -> Release:
    """Also what a promotion or a rollback calls to take effect at once."""
    families = read_json(gate_path)
    with locked(release_dir / ".lock"):
        champions = {family: champion for family in sorted(families) if (champion := registry.champion(family))}
        if not champions:
            raise RegistryError(f"the registry at {registry.uri} has no champion; run `dvc repro --force --single-item register gate`")
        entries = {family: _entry(champion, registry) for family, champion in champions.items()}
        return write_release(release_dir, entries, params.keep_releases, partial(smoke_test, served=_served(release_dir)))


def check(family: str, number: str, gate_path: Path, registry: Registry) -> None:
    """Raises where this version could not be deployed: its family is not in the graph, files are missing, it does not work."""
    families = read_json(gate_path)
    if family not in families:
        raise RegistryError(f"{family} is none of the graph's families ({', '.join(sorted(families))}); name it in params.yaml and run `genga repro`")
    model_dir = registry.version_dir(family, number)
    if (model_dir / "card.json").is_file():
        _work_once(model_dir, f"{family} version {number}")


def _entry(version: Version, registry: Registry) -> Entry:
    model_dir = registry.version_dir(version.family, version.number)
    has_card = "card.json" in version.files
    card = read_json(model_dir / "card.json") if has_card else {}
    terms = card["data"] if has_card else Store(model_dir).terms()
    return Entry(
        version=version.number,
        model_dir=model_dir,
        metrics=version.metrics,
        licences=terms["licences"],
        sources=terms["sources"],
        notes=card.get("notes", []),
        learned_from=card.get("learned_from", {}),
        git_commit=version.facts["git_commit"],
    )


def _served(release_dir: Path) -> dict[str, Any]:
    """Family -> the files that are served now."""
    try:
        return {family: entry["files"] for family, entry in read_document(release_dir)["families"].items()}
    except ReleaseError:  # none yet
        return {}


def smoke_test(release: Release, served: Mapping[str, Any]) -> None:
    """Loads every family and puts it to work once, from the files that would be served. A tagger that is served already stays where tags.yaml has
    changed since, so that another family can take over while people label a new tag; the server leaves it out."""
    for released in release.families.values():
        if released.card:
            try:
                _try_network(released)
            except OtherTagsError as error:
                if served.get(released.family) != released.files:
                    raise
                log.warning("%s", error)
        else:
            gallery = Gallery(released.dir)
            gallery.picture(int(gallery.nearest(gallery.poses[0], 1).rows[0]))


def _try_network(released: Released) -> None:
    module = _work_once(released.dir, f"{released.family} version {released.version}")
    for name, slider in released.directions.get("sliders", {}).items():
        if len(slider["vector"]) != module.w_avg.numel():
            raise ReleaseError(
                f"slider {name} of {released.family} version {released.version} has {len(slider['vector'])} numbers, expected "
                f"{module.w_avg.numel()}; run `dvc repro --force find_directions@{released.family}`"
            )


def _work_once(model_dir: Path, what: str) -> Any:
    if kind_of(card := read_card(model_dir)) == "tagger":
        check_tagger(card, what)
    module, _ = load_model(model_dir)
    if not torch.isfinite(try_once(module, kind_of(card))).all():
        raise ReleaseError(f"{what} makes numbers that are not finite; promote another version of it")
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gate_path", type=Path)
    parser.add_argument("release_dir", type=Path)
    args = parser.parse_args()
    deploy(load_params().deploy, args.gate_path, args.release_dir, Registry())


if __name__ == "__main__":
    run(main)
