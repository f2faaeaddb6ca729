"""Families are what the graph makes: a folder each in weights/, and the gallery, which has no network."""

from collections.abc import Collection
from pathlib import Path

from genga.errors import DataError

GALLERY = "gallery"
ALWAYS = ("tagger", "stick-pose", "figure-pose", "upscaler", "sketcher", "tag-transfer")


def trained_families(weights_dir: Path, faces: Collection[str]) -> list[str]:
    """`faces`: the families of train_face; weights that an earlier params.yaml left there are no longer the graph's."""
    families = sorted(family for family in {*ALWAYS, *faces} if (weights_dir / family / "card.json").is_file())
    if not families:
        raise DataError(f"no trained family in {weights_dir}, expected folders with a card.json; run `dvc repro`")
    return families
