"""Families are what the graph makes: a folder each in weights/, and the gallery, which has no network."""

from pathlib import Path

from genga.errors import DataError

GALLERY = "gallery"


def trained_families(weights_dir: Path) -> list[str]:
    families = sorted(path.parent.name for path in weights_dir.glob("*/card.json") if not path.parent.name.endswith(".partial"))
    if not families:
        raise DataError(f"no trained family in {weights_dir}, expected folders with a card.json; run `dvc repro`")
    return families
