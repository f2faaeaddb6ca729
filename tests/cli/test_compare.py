"""`genga compare`: versions in numbers and pictures; numbers that were not measured alike are refused."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from cli.compare import compare
from cli.main import main
from genga.documents import write_json
from genga.errors import RegistryError
from genga.registry import Registry
from stages.judge import New

REPO = Path(__file__).parents[2]
PROTOCOL = {"samples": 40, "seed": 0, "extractors": {"tagger": {"sha256": "a" * 64}, "edges": {"sha256": "e" * 64}}}
MODEL = {"arch": "dcgan", "resolution": 32, "z_dim": 8, "width": 8, "kernel": 4, "bn_momentum": 0.5, "activation": "relu", "dropout": 0.0}


@pytest.fixture
def registry(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, "mlflow.db")
    document = yaml.safe_load((REPO / "params.yaml").read_text())
    document["evaluate"] |= {"samples": 40, "batch_size": 32}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    return Registry()


def register(registry: Registry, seed: int, kid: float, protocol: dict[str, object], **data: object) -> str:
    import torch

    from models.export import save_model
    from models.networks import build

    torch.manual_seed(seed)
    card = {"family": "dcgan32", "model": MODEL, "training": {}, "data": data, "kimg": 0.0, "metrics": {}, "notes": []}
    save_model(Path("made") / str(seed), build(MODEL), card)
    metrics = {"kid": kid, "edges/kid": 2 * kid}
    return registry.register("dcgan32", Path("made") / str(seed), metrics, {"data_id": "d", "protocol": json.dumps(protocol)}).number


def test_versions_measured_alike_stand_in_one_table_and_one_picture(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, kid in ((0, 0.125), (1, 0.25)):
        register(registry, seed, kid, PROTOCOL)
    registry.promote("dcgan32", "1", "ann", "better")
    compare("dcgan32", again=False)
    said = capsys.readouterr().out
    assert "0.125" in said and "0.25" in said and "0.5" in said and "champion" in said
    assert "cannot be held against" not in said
    picture = cv2.imread("runs/compare/dcgan32.png")
    assert picture is not None and picture.shape == (2 * 32, 130 + 12 * 32, 3)


def test_what_the_gate_decided_last_stands_below_the_numbers(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    register(registry, 0, 0.125, PROTOCOL)
    register(registry, 1, 0.25, PROTOCOL)
    decision = {"champion": "1", "challenger": "2", "promoted": False, "why": "kid 0.25 against 0.125 of version 1", "scores": {}}
    write_json(Path("data/registry/gate.json"), {"dcgan32": decision})
    compare("dcgan32", again=False)
    said = capsys.readouterr().out
    assert "the gate decided last: version 1 stays and version 2 does not take over: kid 0.25 against 0.125 of version 1" in said


def test_numbers_of_another_protocol_are_refused_with_the_reason_and_the_way_out(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    other = PROTOCOL | {"extractors": PROTOCOL["extractors"] | {"tagger": {"sha256": "b" * 64}}}  # type: ignore[operator]
    register(registry, 0, 0.125, PROTOCOL)
    register(registry, 1, 0.75, other)
    registry.promote("dcgan32", "1", "ann", "better")
    compare("dcgan32", again=False)
    said = capsys.readouterr().out
    assert "version 2: kid cannot be held against those of version 1: tagger.sha256 aaaaaaaaaaaa against bbbbbbbbbbbb" in said
    assert "0.75" not in said and "1.5" in said, "the number by colours and edges was measured alike"
    assert "`genga compare dcgan32 --again` scores every version by one protocol" in said


def test_numbers_of_which_nobody_knows_how_they_came_about_are_not_alike(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    register(registry, 0, 0.125, {})
    register(registry, 1, 0.75, {})
    registry.promote("dcgan32", "1", "ann", "better")
    compare("dcgan32", again=False)
    said = capsys.readouterr().out
    assert "version 2: edges/kid, kid cannot be held against those of version 1: how they were measured is not said" in said
    assert "0.125" in said and "0.75" not in said


def test_a_version_that_no_longer_loads_is_left_out_with_a_sentence(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, kid in ((0, 0.125), (1, 0.25), (2, 0.375)):
        register(registry, seed, kid, PROTOCOL)
    registry.promote("dcgan32", "1", "ann", "better")
    (registry.version_dir("dcgan32", "1") / "weights.safetensors").unlink()
    folder = Path("made/unknown")
    folder.mkdir()
    save_file({}, folder / "weights.safetensors")
    (folder / "card.json").write_text(json.dumps({"model": {"arch": "of_other_code"}, "weights_sha256": "0"}))
    registry.register("dcgan32", folder, {"kid": 0.5}, {"protocol": json.dumps(PROTOCOL)})
    compare("dcgan32", again=False)
    said = capsys.readouterr().out
    assert "0.125" in said and "0.25" in said and "0.5" in said
    assert "version 1 cannot be drawn any more: the files of dcgan32 version 1" in said
    assert "version 4 cannot be drawn any more" in said
    assert cv2.imread("runs/compare/dcgan32.png").shape == (2 * 32, 130 + 12 * 32, 3)


def test_scored_again_a_champion_whose_files_are_gone_keeps_no_number_and_the_others_are_compared(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(3):
        register(registry, seed, 0.125, {})
    registry.promote("dcgan32", "1", "ann", "better")
    (registry.version_dir("dcgan32", "1") / "weights.safetensors").unlink()
    judge = SimpleNamespace(score=lambda family, folder, new: SimpleNamespace(metrics={"kid": 0.375}, protocol=PROTOCOL))
    monkeypatch.setattr("cli.judging.judge_of_today", lambda params: judge)
    compare("dcgan32", again=True)
    said = capsys.readouterr().out
    assert "version 1 cannot be scored any more: the files of dcgan32 version 1" in said
    assert said.count("0.375") == 2 and "0.125" not in said and "cannot be held against" not in said


def test_scored_again_all_are_asked_what_none_of_them_has_learned_from(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, first_learned in enumerate(("5a", "3b")):
        register(registry, seed, 0.125, {}, first_learned=first_learned)
    asked = []

    def score(family: str, folder: Path, new: New) -> SimpleNamespace:
        asked.append(new.first_learned)
        return SimpleNamespace(metrics={"kid": 0.375}, protocol=PROTOCOL)

    monkeypatch.setattr("cli.judging.judge_of_today", lambda params: SimpleNamespace(score=score))
    compare("dcgan32", again=True)
    assert asked == ["3b", "3b"]


def test_a_family_that_draws_no_faces_is_compared_without_a_picture(registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made" / "upscaler"
    folder.mkdir(parents=True)
    save_file({}, folder / "weights.safetensors")
    (folder / "card.json").write_text(json.dumps({"model": {"arch": "upscaler"}}))
    registry.register("upscaler", folder, {"psnr": 22.5}, {})
    compare("upscaler", again=False)
    assert "22.5" in capsys.readouterr().out and not Path("runs").exists()


def test_names_of_numbers_stay_whole_however_many_there_are(registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made" / "upscaler"
    folder.mkdir(parents=True)
    save_file({}, folder / "weights.safetensors")
    (folder / "card.json").write_text(json.dumps({"model": {"arch": "upscaler"}}))
    names = [f"pck_0.1/joint_of_a_long_name_{number}" for number in range(40)]
    registry.register("upscaler", folder, dict.fromkeys(names, 0.5), {})
    compare("upscaler", again=False)
    said = capsys.readouterr().out
    assert all(f" {name} " in said for name in names) and "…" not in said


def test_scored_again_what_still_differs_is_said_and_no_third_time_is_proposed(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        register(registry, seed, 0.125, {})
    sides = iter((32, 64))
    judge = SimpleNamespace(score=lambda family, folder, new: SimpleNamespace(metrics={"kid": 0.375}, protocol=PROTOCOL | {"side": next(sides)}))
    monkeypatch.setattr("cli.judging.judge_of_today", lambda params: judge)
    compare("dcgan32", again=True)
    said = capsys.readouterr().out
    assert "version 1: kid cannot be held against those of version 2: side 64 against 32" in said and "--again" not in said


def test_a_gallery_is_never_scored_and_that_is_said(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("made/gallery")
    folder.mkdir(parents=True)
    np.save(folder / "images-64.npy", np.zeros((1, 64, 64, 3), np.uint8))
    registry.register("gallery", folder, {}, {})
    compare("gallery", again=True)
    said = capsys.readouterr().out
    assert "gallery holds no network, so its versions are never scored" in said and "cannot be" not in said


def test_all_families_are_not_scored_again_at_once(registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    register(registry, 0, 0.125, PROTOCOL)
    monkeypatch.setattr("sys.argv", ["genga", "compare", "--again"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "error: --again was given without a family, expected the one to score anew; run `genga compare FAMILY --again`" in capsys.readouterr().err


def test_an_unknown_family_names_those_that_there_are(registry: Registry) -> None:
    register(registry, 0, 0.125, PROTOCOL)
    with pytest.raises(RegistryError, match="dcgan64 has no version, registered are: dcgan32"):
        compare("dcgan64", again=False)
