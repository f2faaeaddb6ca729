import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_world import MODELS, World, write_directions, write_model

from cli import versions
from cli.main import build_parser
from genga.errors import CheckpointError, DataError, RegistryError, ReleaseError
from genga.registry import Registry
from genga.release import Release
from models.export import load_model, save_model
from stages.deploy import check, deploy
from stages.gate import gate
from stages.register import register

REPO = Path(__file__).parents[2]
Deploy = Callable[[], Release]


@pytest.fixture
def release_dir(tmp_path: Path) -> Path:
    return tmp_path / "release"


@pytest.fixture
def deploy_now(registry: Registry, world: World, release_dir: Path) -> Deploy:
    return lambda: deploy(world.params.deploy, world.root / "gate.json", release_dir, registry)


def served(release_dir: Path) -> dict[str, str]:
    return {family: released.version for family, released in Release.open(release_dir).families.items()}


@pytest.mark.usefixtures("begun")
def test_the_champions_are_released_with_their_terms_and_sliders(deploy_now: Deploy, release_dir: Path) -> None:
    deploy_now()
    release = Release.open(release_dir)
    assert served(release_dir) == dict.fromkeys([*MODELS, "gallery"], "1")
    face, gallery, tagger = (release.families[family] for family in ("dcgan32", "gallery", "tagger"))
    assert face.sources == ["my pictures"] and face.licences == ["unknown"] and face.notes == ["dcgan32 has not been trained"]
    assert list(face.directions["sliders"]) == ["glasses"]
    assert gallery.sources == ["drawn by Genga"] and gallery.licences == ["CC0-1.0"] and gallery.card == {}
    assert tagger.learned_from["glasses"] == "drawn"


@pytest.mark.usefixtures("begun")
def test_deploying_again_writes_the_same_bytes(deploy_now: Deploy, release_dir: Path) -> None:
    first, content = deploy_now(), (release_dir / "release.json").read_bytes()
    assert deploy_now().id == first.id
    assert (release_dir / "release.json").read_bytes() == content


@pytest.mark.usefixtures("begun")
def test_a_promotion_and_a_rollback_take_effect_at_once(deploy_now: Deploy, registry: Registry, world: World, release_dir: Path) -> None:
    deploy_now()
    write_model(world.weights_dir, "sketcher", seed=7)
    registry.register("sketcher", world.weights_dir / "sketcher", {}, {})
    registry.promote("sketcher", "2", "ann", "nicer lines")
    deploy_now()
    assert served(release_dir)["sketcher"] == "2"
    assert (release_dir / "sketcher" / "1" / "card.json").is_file()
    registry.rollback("sketcher", "ann", "too pale")
    deploy_now()
    assert served(release_dir)["sketcher"] == "1"


def promote_as_it_stands(registry: Registry, world: World, family: str) -> None:
    version = registry.register(family, world.weights_dir / family, {}, {})
    registry.promote(family, version.number, "ann", "hope")


@pytest.mark.usefixtures("begun")
def test_weights_that_make_no_numbers_leave_the_old_release_serving(deploy_now: Deploy, registry: Registry, world: World, release_dir: Path) -> None:
    deploy_now()
    upscaler, card = load_model(world.weights_dir / "upscaler")
    with torch.no_grad():
        next(upscaler.parameters()).fill_(torch.nan)
    save_model(world.weights_dir / "upscaler", upscaler, card)
    promote_as_it_stands(registry, world, "upscaler")
    with pytest.raises(ReleaseError, match="upscaler version 2 makes numbers that are not finite"):
        deploy_now()
    assert served(release_dir)["upscaler"] == "1"


@pytest.mark.usefixtures("begun")
def test_weights_that_do_not_fit_their_card_leave_the_old_release_serving(
    deploy_now: Deploy, registry: Registry, world: World, release_dir: Path
) -> None:
    deploy_now()
    path = world.weights_dir / "upscaler" / "card.json"
    path.write_text(path.read_text().replace('"width": 8', '"width": 16'))
    promote_as_it_stands(registry, world, "upscaler")
    with pytest.raises(CheckpointError):
        deploy_now()
    assert served(release_dir)["upscaler"] == "1"


@pytest.mark.usefixtures("begun")
def test_what_could_not_be_deployed_is_said_before_it_is_promoted(registry: Registry, world: World) -> None:
    gate_path = world.root / "gate.json"
    check("upscaler", "1", gate_path, registry)
    families = json.loads(gate_path.read_text())
    gate_path.write_text(json.dumps({family: line for family, line in families.items() if family != "dcgan32"}))
    with pytest.raises(RegistryError, match=r"dcgan32 is none of the graph's families.*genga repro"):
        check("dcgan32", "1", gate_path, registry)
    upscaler, card = load_model(world.weights_dir / "upscaler")
    with torch.no_grad():
        next(upscaler.parameters()).fill_(torch.nan)
    save_model(world.weights_dir / "upscaler", upscaler, card)
    version = registry.register("upscaler", world.weights_dir / "upscaler", {}, {})
    with pytest.raises(ReleaseError, match=f"upscaler version {version.number} makes numbers that are not finite"):
        check("upscaler", version.number, gate_path, registry)


@pytest.mark.usefixtures("begun")
def test_sliders_of_another_generator_are_refused(registry: Registry, world: World, deploy_now: Deploy, release_dir: Path) -> None:
    write_directions(world.weights_dir, "dcgan32", 5)
    promote_as_it_stands(registry, world, "dcgan32")
    with pytest.raises(ReleaseError, match="slider glasses of dcgan32 version 2 has 5 numbers, expected 8"):
        deploy_now()
    assert not (release_dir / "release.json").exists()


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("change", [lambda card: card["columns"].reverse(), lambda card: card.pop("sure")], ids=["other tags", "older code"])
def test_a_tagger_that_the_server_refuses_is_not_deployed(
    registry: Registry, world: World, deploy_now: Deploy, release_dir: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    deploy_now()
    path = world.weights_dir / "tagger" / "card.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))
    promote_as_it_stands(registry, world, "tagger")
    said = "tagger version 2 was trained for another list of tags than genga/tags.yaml has now, or by older code"
    with pytest.raises(CheckpointError, match=said):
        deploy_now()
    assert served(release_dir)["tagger"] == "1"
    with pytest.raises(CheckpointError, match=said):
        check("tagger", "2", world.root / "gate.json", registry)


@pytest.mark.usefixtures("begun")
def test_while_a_new_tag_is_labeled_others_take_over_beside_the_tagger_that_is_served(
    registry: Registry, world: World, deploy_now: Deploy, release_dir: Path, add_a_tag: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    deploy_now()
    add_a_tag()
    write_model(world.weights_dir, "sketcher", seed=7)
    promote_as_it_stands(registry, world, "sketcher")
    deploy_now()
    assert (served(release_dir)["sketcher"], served(release_dir)["tagger"]) == ("2", "1")
    said = "tagger version 1 was trained for another list of tags than genga/tags.yaml has now"
    assert said in caplog.text
    with pytest.raises(CheckpointError, match=said):
        check("tagger", "1", world.root / "gate.json", registry)
    shutil.rmtree(release_dir)
    with pytest.raises(CheckpointError, match=said):
        deploy_now()


@pytest.fixture
def commanding(
    begun: None, registry: Registry, world: World, deploy_now: Deploy, release_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We stand in a project whose third sketcher is deployed."""
    for seed in (7, 8):
        write_model(world.weights_dir, "sketcher", seed=seed)
        promote_as_it_stands(registry, world, "sketcher")
    deploy_now()
    shutil.copy(REPO / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(versions, "GATE", world.root / "gate.json")
    monkeypatch.setattr(versions, "RELEASE", release_dir)
    monkeypatch.setattr(versions, "subprocess", SimpleNamespace(run=lambda command: subprocess.CompletedProcess(command, 0)))


def record_of(registry: Registry) -> list[str]:
    return [f"{line.kind} {line.to}" for line in registry.history("sketcher")]


def say(words: str) -> None:
    args = build_parser().parse_args(words.split())
    args.do(args)


@pytest.mark.usefixtures("commanding")
def test_a_rollback_that_a_full_disk_keeps_from_deploying_names_the_command_that_deploys_it(
    registry: Registry, release_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(RegistryError) as refused:
            versions.rollback("sketcher", "ugly")
    assert str(refused.value).startswith("sketcher version 2 is champion but not deployed ([Errno 28] No space left on device); ")
    assert served(release_dir)["sketcher"] == "3"
    said = re.search("`genga (.+)`", str(refused.value))
    assert said is not None
    say(said[1])
    assert served(release_dir)["sketcher"] == "2"
    assert record_of(registry) == ["promote 1", "promote 2", "promote 3", "rollback 2"]


@pytest.mark.usefixtures("commanding")
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_rollback_that_is_stopped_while_it_deploys_names_the_command_that_goes_on(
    registry: Registry, release_dir: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise stop

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", stopped)
        with pytest.raises(RegistryError, match=r"^sketcher version 2 is champion but not deployed \(it was told to stop\); .* `genga promote "):
            versions.rollback("sketcher", "ugly")
    with monkeypatch.context() as patched:
        patched.setattr(versions, "subprocess", SimpleNamespace(run=stopped))
        with pytest.raises(RegistryError, match=r"^sketcher version 2 is champion and deployed, but DVC .*\(it was told to stop\); .* `dvc commit"):
            say("promote sketcher 2 --why deployed")
    assert served(release_dir)["sketcher"] == "2"
    assert record_of(registry) == ["promote 1", "promote 2", "promote 3", "rollback 2"]


@pytest.mark.usefixtures("commanding")
def test_a_rollback_that_was_killed_before_it_was_deployed_goes_back_no_further_when_it_is_said_again(
    registry: Registry, release_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.rollback("sketcher", "ann", "ugly")  # as far as a killed one came
    registry.veto("sketcher", "3", "bob", "ugly too")
    say("rollback sketcher --why ugly")
    assert "the rollback to version 2 was stopped before it was deployed; that is done now" in capsys.readouterr().out
    assert served(release_dir)["sketcher"] == "2" and record_of(registry)[-2:] == ["rollback 2", "veto 3"]
    say("rollback sketcher --why again")
    assert served(release_dir)["sketcher"] == "1" and record_of(registry)[-1] == "rollback 1"


@pytest.mark.usefixtures("commanding")
def test_a_rollback_to_a_vetoed_version_is_refused_and_a_promotion_says_what_it_lifts(
    registry: Registry, release_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say("veto sketcher 2 --why licence")
    with pytest.raises(RegistryError, match=r"sketcher version 2, .* was vetoed by .+: licence; name a version with `genga promote sketcher N`"):
        versions.rollback("sketcher", "ugly")
    assert served(release_dir)["sketcher"] == "3" and record_of(registry)[-2:] == ["promote 3", "veto 2"]
    say("promote sketcher 2 --why cleared")
    assert re.search("sketcher: version 2 was vetoed by .+: licence; this promotion lifts that", capsys.readouterr().out)
    assert served(release_dir)["sketcher"] == "2" and not any(line.kind == "veto" for line in registry.vetoed("sketcher").values())
    say("rollback sketcher --why again")
    assert served(release_dir)["sketcher"] == "3"


@pytest.mark.usefixtures("begun")
def test_a_family_that_left_params_leaves_the_release(registry: Registry, world: World, deploy_now: Deploy, release_dir: Path) -> None:
    deploy_now()
    assert "dcgan32" in served(release_dir)
    folders = (world.root / name for name in ("weights", "directions", "gallery", "labels", "reports"))
    register(world.params.train_face.keys() - {"dcgan32"}, *folders, world.root / "registered.json", registry)
    gate(world.params.gate, world.params.evaluate, world.root / "registered.json", world.data, world.root / "gate.json", registry)
    deploy_now()
    assert served(release_dir) == dict.fromkeys([*(MODELS.keys() - {"dcgan32"}), "gallery"], "1")


@pytest.mark.usefixtures("begun")
def test_a_family_without_a_champion_is_left_out(registry: Registry, world: World, deploy_now: Deploy, release_dir: Path) -> None:
    registry.register("began64", world.weights_dir / "dcgan32", {}, {})
    gate_path = world.root / "gate.json"
    gate_path.write_text(json.dumps(json.loads(gate_path.read_text()) | {"began64": {"champion": None}}))
    deploy_now()
    assert served(release_dir).keys() == {*MODELS, "gallery"}


def test_no_champion_at_all_and_no_gate_are_said_with_the_way_out(world: World, deploy_now: Deploy) -> None:
    with pytest.raises(DataError, match="dvc repro"):
        deploy_now()
    (world.root / "gate.json").write_text(json.dumps({"upscaler": {}}))
    with pytest.raises(RegistryError, match="has no champion; run `dvc repro"):
        deploy_now()
