import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from small_world import MODELS, World, write_model

from genga.errors import DataError, ReleaseError
from genga.registry import Registry


def test_every_family_and_the_gallery_become_versions_with_all_that_belongs_to_them(registered: Callable[[], Path], registry: Registry) -> None:
    found = json.loads(registered().read_text())
    assert found.keys() == {*MODELS, "gallery"}
    version = registry.version("dcgan32", found["dcgan32"]["version"])
    assert version.sha256 == found["dcgan32"]["sha256"]
    assert set(version.files) == {"weights.safetensors", "card.json", "directions.json"}
    assert version.metrics == {"kid": 0.5} and version.facts["label_revision"] == "r1" and version.facts["data_id"] == "d0"
    assert set(registry.version("gallery", "1").files) == {"images-64.npy", "manifest.parquet"}
    challenger = registry.challenger("dcgan32")
    assert challenger is not None and challenger.number == "1"


def test_registering_again_adds_nothing_and_writes_the_same_bytes(registered: Callable[[], Path], registry: Registry) -> None:
    first = registered().read_bytes()
    assert registered().read_bytes() == first
    assert {family: len(registry.versions(family)) for family in registry.families()} == dict.fromkeys([*MODELS, "gallery"], 1)


def test_new_numbers_of_the_same_weights_are_other_bytes_so_that_they_are_deployed(
    registered: Callable[[], Path], registry: Registry, world: World
) -> None:
    first = registered().read_bytes()
    path = world.root / "reports" / "metrics.json"
    path.write_text(path.read_text().replace("0.5", "0.25"))
    assert registered().read_bytes() != first
    assert registry.version("dcgan32", "1").metrics == {"kid": 0.25}
    deploy = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]["deploy"]
    assert "data/registry/registered.json" in deploy["deps"]


def test_new_weights_and_new_directions_each_make_a_new_version_of_their_family_alone(
    registered: Callable[[], Path], registry: Registry, world: World
) -> None:
    registered()
    write_model(world.weights_dir, "upscaler", seed=5)
    path = world.root / "directions" / "dcgan32" / "directions.json"
    path.write_text(path.read_text().replace("0.2", "0.3"))
    versions = {family: entry["version"] for family, entry in json.loads(registered().read_text()).items()}
    assert versions == dict.fromkeys([*MODELS, "gallery"], "1") | {"upscaler": "2", "dcgan32": "2"}


def test_no_weights_is_said(registered: Callable[[], Path], world: World) -> None:
    world.weights_dir.rename(world.root / "elsewhere")
    with pytest.raises(DataError, match="no trained family"):
        registered()


def test_a_pickle_beside_the_weights_stops_it(registered: Callable[[], Path], world: World) -> None:
    (world.weights_dir / "upscaler" / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(ReleaseError, match=r"model\.pkl"):
        registered()


def test_a_full_disk_is_told_as_such(registered: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left") as refused:
        registered()
    assert refused.value.errno == 28
