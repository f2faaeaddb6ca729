import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_world import MODELS, World, write_directions, write_model

from genga.errors import CheckpointError, DataError, RegistryError, ReleaseError
from genga.registry import Registry
from genga.release import Release
from models.export import load_model, save_model
from stages.deploy import deploy
from stages.gate import gate

Deployed = Callable[[], Release]


@pytest.fixture
def release_dir(tmp_path: Path) -> Path:
    return tmp_path / "release"


@pytest.fixture
def graph_end(registered: Callable[[], Path], registry: Registry, world: World, release_dir: Path) -> Deployed:
    """Register, gate and deploy, as the graph does."""

    def run() -> Release:
        gate(world.params.gate, world.params.evaluate, registered(), world.data, world.root / "gate.json", registry)
        return deploy(world.params.deploy, world.root / "gate.json", release_dir, registry)

    return run


def served(release_dir: Path) -> dict[str, str]:
    return {family: released.version for family, released in Release.open(release_dir).families.items()}


def test_the_champions_are_released_with_their_terms_and_sliders(graph_end: Deployed, release_dir: Path) -> None:
    graph_end()
    release = Release.open(release_dir)
    assert served(release_dir) == dict.fromkeys([*MODELS, "gallery"], "1")
    face, gallery, tagger = (release.families[family] for family in ("dcgan32", "gallery", "tagger"))
    assert face.sources == ["my pictures"] and face.licences == ["unknown"] and face.notes == ["dcgan32 has not been trained"]
    assert list(face.directions["sliders"]) == ["glasses"]
    assert gallery.sources == ["drawn by Genga"] and gallery.licences == ["CC0-1.0"] and gallery.card == {}
    assert tagger.learned_from["glasses"] == "drawn"


def test_deploying_again_writes_the_same_bytes(graph_end: Deployed, release_dir: Path) -> None:
    first, content = graph_end(), (release_dir / "release.json").read_bytes()
    assert graph_end().id == first.id
    assert (release_dir / "release.json").read_bytes() == content


def test_a_promotion_and_a_rollback_take_effect_at_once(graph_end: Deployed, registry: Registry, world: World, release_dir: Path) -> None:
    graph_end()
    write_model(world.weights_dir, "sketcher", seed=7)
    registry.register("sketcher", world.weights_dir / "sketcher", {}, {})
    registry.promote("sketcher", "2", "ann", "nicer lines")
    deploy(world.params.deploy, world.root / "gate.json", release_dir, registry)
    assert served(release_dir)["sketcher"] == "2"
    assert (release_dir / "sketcher" / "1" / "card.json").is_file()
    registry.rollback("sketcher", "ann", "too pale")
    deploy(world.params.deploy, world.root / "gate.json", release_dir, registry)
    assert served(release_dir)["sketcher"] == "1"


def promote_as_it_stands(registry: Registry, world: World, family: str) -> None:
    version = registry.register(family, world.weights_dir / family, {}, {})
    registry.promote(family, version.number, "ann", "hope")


def test_weights_that_make_no_numbers_leave_the_old_release_serving(graph_end: Deployed, registry: Registry, world: World, release_dir: Path) -> None:
    graph_end()
    upscaler, card = load_model(world.weights_dir / "upscaler")
    with torch.no_grad():
        next(upscaler.parameters()).fill_(torch.nan)
    save_model(world.weights_dir / "upscaler", upscaler, card)
    promote_as_it_stands(registry, world, "upscaler")
    with pytest.raises(ReleaseError, match="upscaler version 2 makes numbers that are not finite"):
        deploy(world.params.deploy, world.root / "gate.json", release_dir, registry)
    assert served(release_dir)["upscaler"] == "1"


def test_weights_that_do_not_fit_their_card_leave_the_old_release_serving(
    graph_end: Deployed, registry: Registry, world: World, release_dir: Path
) -> None:
    graph_end()
    path = world.weights_dir / "upscaler" / "card.json"
    path.write_text(path.read_text().replace('"width": 8', '"width": 16'))
    promote_as_it_stands(registry, world, "upscaler")
    with pytest.raises(CheckpointError):
        deploy(world.params.deploy, world.root / "gate.json", release_dir, registry)
    assert served(release_dir)["upscaler"] == "1"


def test_sliders_of_another_generator_are_refused(graph_end: Deployed, world: World, release_dir: Path) -> None:
    write_directions(world.root / "directions", "dcgan32", 5)
    with pytest.raises(ReleaseError, match="slider glasses of dcgan32 version 1 has 5 numbers, expected 8"):
        graph_end()
    assert not (release_dir / "release.json").exists()


def test_a_family_without_a_champion_is_left_out(graph_end: Deployed, registered: Callable[[], Path], registry: Registry, release_dir: Path) -> None:
    registered()
    registry.veto("upscaler", "1", "bob", "licence")
    graph_end()
    assert "upscaler" not in served(release_dir)


def test_no_champion_at_all_and_no_gate_are_said_with_the_way_out(world: World, registry: Registry, release_dir: Path) -> None:
    with pytest.raises(DataError, match="dvc repro"):
        deploy(world.params.deploy, world.root / "gate.json", release_dir, registry)
    (world.root / "gate.json").write_text(json.dumps({"upscaler": {}}))
    with pytest.raises(RegistryError, match="has no champion; run `dvc repro"):
        deploy(world.params.deploy, world.root / "gate.json", release_dir, registry)
