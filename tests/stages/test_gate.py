import json
import logging
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_world import MODELS, World, write_model

from bench.real_poses import with_profiles
from genga.errors import ParamsError, RegistryError
from genga.params import GateRule, parse_params
from genga.registry import Registry
from genga.store import Store
from models.export import load_model, save_model
from models.metrics import fidelity
from models.metrics.scores import Score
from stages.gate import beyond_compare, gate, verdict
from stages.judge import Judge, New

Decide = Callable[..., dict[str, Any]]


FAMILIES = ("tagger", "figure-pose", "dcgan32", "upscaler")


@pytest.fixture
def decide(registered: Callable[[], Path], registry: Registry, world: World) -> Decide:
    """Registers what stands in the world, and lets the gate decide."""
    for family in set(MODELS) - set(FAMILIES):
        rmtree(world.weights_dir / family)

    def run(**rules: GateRule) -> dict[str, Any]:
        gate_path = world.root / "gate.json"
        gate(world.params.gate | rules, world.params.evaluate, registered(), world.data, gate_path, registry)
        return dict(json.loads(gate_path.read_text()))

    return run


def champions(registry: Registry) -> dict[str, str]:
    return {family: champion.number for family in registry.families() if (champion := registry.champion(family))}


def good_upscaler(world: World) -> None:
    """One that adds nothing to bicubic enlarging: far better than random weights."""
    upscaler, card = load_model(world.weights_dir / "upscaler")
    with torch.no_grad():
        for weight in upscaler.parameters():
            weight.zero_()
    save_model(world.weights_dir / "upscaler", upscaler, card)


def write_one_of_other_pictures(world: World, family: str) -> None:
    path = write_model(world.weights_dir, family, seed=0, sources=("drawn by Genga",)) / "card.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"data": card["data"] | {"id": "d1"}}))


def meanwhile(monkeypatch: pytest.MonkeyPatch, say: Callable[[], Any]) -> None:
    """A person says something when the gate has begun to score."""
    score, to_say = Judge.score, [say]

    def scoring(self: Judge, family: str, model_dir: Path, new: New) -> Score:
        if to_say:
            to_say.pop()()
        return score(self, family, model_dir, new)

    monkeypatch.setattr(Judge, "score", scoring)


def test_the_first_versions_become_champions_without_being_scored(decide: Decide, registry: Registry) -> None:
    decisions = decide()
    assert champions(registry) == dict.fromkeys([*FAMILIES, "gallery"], "1")
    assert {decision["why"] for decision in decisions.values()} == {"the first version"}
    assert {line.who for line in registry.history()} == {"gate"}


@pytest.mark.usefixtures("begun")
def test_another_model_by_the_number_that_was_registered_is_refused(registered: Callable[[], Path], registry: Registry, world: World) -> None:
    path = registered()
    path.write_text(path.read_text().replace(registry.version("upscaler", "1").sha256, "0" * 64))
    with pytest.raises(RegistryError, match=r"upscaler version 1 in the registry at .* is another model than the one that .*; run `genga repro`"):
        gate(world.params.gate, world.params.evaluate, path, world.data, world.root / "gate.json", registry)


@pytest.mark.usefixtures("begun")
def test_a_second_look_changes_nothing_and_leaves_no_line(decide: Decide, registry: Registry) -> None:
    lines = len(registry.history())
    assert not any(decision["promoted"] for decision in decide().values())
    assert len(registry.history()) == lines


@pytest.mark.usefixtures("begun")
def test_a_better_challenger_takes_over_and_a_worse_one_does_not(decide: Decide, registry: Registry, world: World) -> None:
    good_upscaler(world)
    better = decide()["upscaler"]
    assert better["promoted"] and better["champion"] == "2" and better["scores"]["challenger"] > better["scores"]["champion"]
    assert "psnr" in better["why"]
    write_model(world.weights_dir, "upscaler", seed=9)
    worse = decide()["upscaler"]
    assert not worse["promoted"] and worse["champion"] == "2" and worse["challenger"] == "3"
    assert champions(registry)["upscaler"] == "2"


@pytest.mark.usefixtures("begun")
def test_what_was_decided_is_said_and_nothing_of_those_who_are_champion_already(
    decide: Decide, registered: Callable[[], Path], registry: Registry, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for family in ("upscaler", "dcgan32"):
        write_model(world.weights_dir, family, seed=9)
    registered()
    registry.veto("upscaler", "2", "bob", "licence")
    with caplog.at_level(logging.INFO, "stages.gate"):
        why = decide(dcgan32=GateRule(metric="kid", better="lower", min_gain=-1e9))["dcgan32"]["why"]
    assert [record.getMessage() for record in caplog.records if record.name == "stages.gate"] == [
        f"gate: dcgan32: version 2 takes over: {why}",
        "gate: upscaler: version 1 stays and version 2 does not take over: turned down by bob: licence",
    ]


@pytest.mark.usefixtures("begun")
def test_the_gain_must_reach_what_the_rule_asks(decide: Decide, registry: Registry, world: World) -> None:
    good_upscaler(world)
    assert not decide(upscaler=GateRule(metric="psnr", better="higher", min_gain=500.0))["upscaler"]["promoted"]
    assert champions(registry)["upscaler"] == "1"


@pytest.mark.usefixtures("begun")
def test_both_generators_are_compared_by_the_challengers_tagger(decide: Decide, world: World) -> None:
    write_model(world.weights_dir, "dcgan32", seed=3)
    before = decide()["dcgan32"]["scores"]
    write_model(world.weights_dir, "dcgan32", seed=4)
    write_model(world.weights_dir, "tagger", seed=8)
    after = decide()["dcgan32"]["scores"]
    assert after.keys() == before.keys() == {"challenger", "champion"}
    assert after["champion"] != before["champion"]


@pytest.mark.usefixtures("begun")
def test_a_version_that_people_rolled_back_from_does_not_come_back_by_itself(decide: Decide, registry: Registry, world: World) -> None:
    good_upscaler(world)
    decide()
    registry.rollback("upscaler", "ann", "it blurs")
    again = decide()["upscaler"]
    assert not again["promoted"] and again["why"] == "turned down by ann: it blurs"
    assert champions(registry)["upscaler"] == "1"
    registry.promote("upscaler", "2", "ann", "after all")
    assert decide()["upscaler"]["why"] == "it is champion already"


@pytest.mark.usefixtures("begun")
def test_a_person_who_names_an_older_version_is_not_overruled(decide: Decide, registry: Registry, world: World) -> None:
    good_upscaler(world)
    decide()
    registry.promote("upscaler", "1", "ann", "it blurs")
    again = decide()["upscaler"]
    assert not again["promoted"] and again["why"] == "turned down by ann: it blurs"
    assert champions(registry)["upscaler"] == "1"


@pytest.mark.usefixtures("begun")
def test_a_veto_that_is_said_while_the_gate_scores_holds(decide: Decide, registry: Registry, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good_upscaler(world)
    meanwhile(monkeypatch, lambda: registry.veto("upscaler", "2", "bob", "licence"))
    decision = decide()["upscaler"]
    assert not decision["promoted"] and decision["champion"] == "1" and decision["why"] == "turned down by bob: licence"
    assert champions(registry)["upscaler"] == "1" and list(registry.vetoed("upscaler")) == ["2"]


@pytest.mark.usefixtures("begun")
def test_whom_a_person_promotes_while_the_gate_scores_is_the_one_to_beat(
    decide: Decide, registry: Registry, registered: Callable[[], Path], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good_upscaler(world)
    registered()
    write_model(world.weights_dir, "upscaler", seed=9)
    meanwhile(monkeypatch, lambda: registry.promote("upscaler", "2", "ann", "sharper"))
    decision = decide(upscaler=GateRule(metric="psnr", better="higher", min_gain=-1.0))["upscaler"]
    assert not decision["promoted"] and decision["champion"] == "2" and decision["why"].endswith("version 2")
    assert champions(registry)["upscaler"] == "2"


def test_a_vetoed_first_version_leaves_the_family_without_a_champion(decide: Decide, registered: Callable[[], Path], registry: Registry) -> None:
    registered()
    registry.veto("upscaler", "1", "bob", "licence")
    assert decide()["upscaler"]["champion"] is None
    assert "upscaler" not in champions(registry)


def test_a_champion_that_cannot_be_scored_any_more_makes_way_and_the_reason_is_kept(decide: Decide, registry: Registry, world: World) -> None:
    write_model(world.weights_dir, "dcgan32", seed=0, resolution=16)
    decide()
    write_model(world.weights_dir, "dcgan32", seed=1)
    decision = decide()["dcgan32"]
    assert decision["promoted"] and "cannot be scored any more" in decision["why"] and "size 16" in decision["why"]
    assert registry.history("dcgan32")[-1].why == decision["why"]


def test_a_generator_of_other_peoples_pictures_makes_way_whatever_its_numbers(decide: Decide, world: World) -> None:
    write_one_of_other_pictures(world, "dcgan32")
    write_one_of_other_pictures(world, "upscaler")
    decide()
    write_model(world.weights_dir, "dcgan32", seed=1)
    write_model(world.weights_dir, "upscaler", seed=1)
    decisions = decide(dcgan32=GateRule(metric="kid", better="lower", min_gain=1e9))
    assert decisions["dcgan32"]["promoted"] and "drawn by Genga" in decisions["dcgan32"]["why"]
    assert decisions["upscaler"]["scores"].keys() == {"challenger", "champion"}


def test_another_word_for_the_source_of_the_same_pictures_is_no_way_past_the_numbers(decide: Decide, registry: Registry, world: World) -> None:
    decide()
    write_model(world.weights_dir, "dcgan32", seed=1, sources=("mine",))
    decision = decide(dcgan32=GateRule(metric="kid", better="lower", min_gain=1e9))["dcgan32"]
    assert not decision["promoted"] and decision["scores"].keys() == {"challenger", "champion"}
    assert champions(registry)["dcgan32"] == "1"


def test_what_is_made_for_another_tag_or_purpose_is_not_compared_by_numbers() -> None:
    cards = [
        {"model": {"arch": arch}, "tag": tag, "data": {"id": "d0", "sources": ["x"]}}
        for arch, tag in (("dcgan", "glasses"), ("dcgan", "smile"), ("pose", "smile"))
    ]
    assert beyond_compare(cards[0], cards[0]) == ""
    assert "glasses" in beyond_compare(cards[0], cards[1])
    assert "something else" in beyond_compare(cards[1], cards[2])


def test_a_tagger_of_other_pictures_makes_way_and_an_upscaler_is_compared() -> None:
    drawn, real = (
        {arch: {"model": {"arch": arch}, "data": {"id": source, "sources": [source]}} for arch in ("tagger", "upscaler")}
        for source in ("drawn", "real")
    )
    assert "learned from other pictures: drawn" in beyond_compare(drawn["tagger"], real["tagger"])
    assert beyond_compare(drawn["tagger"], drawn["tagger"]) == ""
    assert beyond_compare(drawn["upscaler"], real["upscaler"]) == ""


def test_numbers_that_were_not_measured_alike_decide_nothing_and_the_champion_stays(decide: Decide, registry: Registry, world: World) -> None:
    write_model(world.weights_dir, "dcgan32", seed=0, resolution=64)
    decide()
    write_model(world.weights_dir, "dcgan32", seed=1)
    decision = decide()["dcgan32"]
    assert not decision["promoted"] and champions(registry)["dcgan32"] == "1"
    assert "kid of version 1 was not measured alike (side 32 against 64), so no number decides; `genga promote` does" in decision["why"]


@pytest.mark.usefixtures("begun")
def test_the_same_weights_with_other_sliders_take_over_unscored_and_not_without_any(decide: Decide, registry: Registry, world: World) -> None:
    rule = GateRule(metric="kid", better="lower", min_gain=0.5)
    path = world.root / "directions" / "dcgan32" / "directions.json"
    path.write_text(path.read_text().replace("0.2", "0.3"))
    other = decide(dcgan32=rule)["dcgan32"]
    assert other["promoted"] and other["why"] == "the same weights as version 1, with other sliders or words" and not other["scores"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sliders": {}}))
    none = decide(dcgan32=rule)["dcgan32"]
    assert not none["promoted"] and "it has the weights of version 2 and no slider, where that has 1; `genga promote`" in none["why"]
    assert champions(registry)["dcgan32"] == "2"


def learned_from_all_but(world: World, family: str, count: int) -> None:
    """On its card: of today's test pictures all but the first ones by their ids."""
    held_out = sorted(id_ for id_, split in zip(*map(Store(world.data.faces_dir).column, ("imported_id", "split")), strict=True) if split == "test")
    path = world.weights_dir / family / "card.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"data": card["data"] | {"first_learned": held_out[count]}}))


def test_of_pictures_that_a_champion_learned_from_none_decides(decide: Decide, registry: Registry, world: World) -> None:
    learned_from_all_but(world, "upscaler", 5)
    decide()
    good_upscaler(world)
    learned_from_all_but(world, "upscaler", 10)
    scored = decide()["upscaler"]
    assert scored["promoted"]
    judge = Judge(world.params.evaluate, world.data, world.weights_dir / "tagger", world.weights_dir / "figure-pose")
    by_both = judge.score("upscaler", world.weights_dir / "upscaler", New.to([load_model(registry.version_dir("upscaler", "1"))[1]]))
    assert scored["scores"]["challenger"] == by_both.metrics["psnr"] and by_both.protocol["split"] != "test"
    write_model(world.weights_dir, "upscaler", seed=9)
    learned_from_all_but(world, "upscaler", 0)
    none = decide()["upscaler"]
    assert not none["promoted"] and champions(registry)["upscaler"] == "2"
    assert "was held out from every one of these versions, so no number decides; `genga promote` does" in none["why"]


@pytest.mark.usefixtures("begun")
def test_a_family_without_a_rule_gets_its_newest_version(decide: Decide, registry: Registry, world: World) -> None:
    path = world.root / "gallery" / "images-64.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "no gate rule" in decide()["gallery"]["why"]
    assert champions(registry)["gallery"] == "2"


@pytest.mark.usefixtures("begun")
def test_an_unknown_metric_names_the_key_and_the_known_ones(decide: Decide, world: World) -> None:
    write_model(world.weights_dir, "upscaler", seed=9)
    with pytest.raises(ParamsError, match=r"gate\.upscaler\.metric is pnsr, expected one of psnr, ssim"):
        decide(upscaler=GateRule(metric="pnsr", better="higher", min_gain=0.0))


@pytest.mark.parametrize(
    ("better", "challenger", "champion", "promoted"),
    [
        ("higher", 2.0, 1.0, True),
        ("higher", 1.4, 1.0, False),
        ("lower", 1.0, 2.0, True),
        ("lower", 2.0, 1.0, False),
        ("higher", float("nan"), 1.0, False),
        ("higher", 0.0, float("nan"), True),
    ],
)
def test_the_rule_reads_both_ways_and_knows_what_is_no_number(better: Any, challenger: float, champion: float, promoted: bool) -> None:
    assert verdict(GateRule(metric="m", better=better, min_gain=0.5), challenger, champion)[0] is promoted


@pytest.mark.parametrize("profile", ["sharp-upscaler", "image-development"])
def test_an_upscaler_that_ends_in_a_contest_wins_by_being_as_sharp_as_the_truth_and_not_by_noise(profile: str) -> None:
    rule = parse_params(with_profiles(profile), profile).gate["upscaler"]
    truth = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).repeat(6, axis=1).repeat(6, axis=2).astype(np.uint8)
    noisy = np.clip(truth + np.random.default_rng(1).normal(0, 100, truth.shape), 0, 255).astype(np.uint8)
    little, much = (np.stack([cv2.GaussianBlur(picture, (0, 0), sigma) for picture in truth]) for sigma in (0.5, 2.0))
    scores = {name: getattr(fidelity, rule.metric)(pictures, truth) for name, pictures in (("noisy", noisy), ("little", little), ("much", much))}
    assert verdict(rule, scores["little"], scores["much"])[0]
    assert not verdict(rule, scores["noisy"], scores["little"])[0]
