import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_world import MODELS, World, write_faces, write_model

from genga.errors import CheckpointError, DataError
from genga.store import Store
from models.metrics.distance import Reference
from models.metrics.scores import Sampling, draw_faces
from stages.evaluate import evaluate
from stages.judge import Judge, held_out


@pytest.fixture(scope="module")
def reports(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports_dir = tmp_path_factory.mktemp("evaluated") / "reports"
    evaluate(shared_world.params.evaluate, shared_world.weights_dir, shared_world.data, reports_dir)
    return reports_dir


def judge_of(world: World) -> Judge:
    return Judge(world.params.evaluate, world.data, world.weights_dir / "tagger", world.weights_dir / "figure-pose")


def test_every_family_has_numbers_a_protocol_and_a_sheet(reports: Path) -> None:
    scores = json.loads((reports / "metrics.json").read_text())
    expected = {
        "tagger": {"macro_f1", "hair_color/accuracy"},
        "stick-pose": {"pck_0.1", "pck_0.05"},
        "figure-pose": {"pck_0.1", "pck_0.05"},
        "dcgan32": {"kid", "fd", "precision", "recall", "near_identical"},
        "tag-transfer": {"kid", "tag_share", "tag_share_of_base"},
        "upscaler": {"psnr", "ssim", "psnr_bicubic", "ssim_bicubic"},
        "sketcher": {"ink_f1", "l1", "l1_blank", "pck_0.1", "variety"},
    }
    assert scores.keys() == expected.keys() == MODELS.keys()
    for family, names in expected.items():
        assert names <= scores[family]["metrics"].keys()
        assert np.isfinite(list(scores[family]["metrics"].values())).all()
        assert len(scores[family]["protocol"]["data"]) == 64
        assert cv2.imread(str(reports / f"{family}.png")).std() > 0


def test_the_protocol_says_how_faces_were_compared(reports: Path, shared_world: World) -> None:
    protocol = json.loads((reports / "metrics.json").read_text())["dcgan32"]["protocol"]
    tagger = json.loads((shared_world.weights_dir / "tagger" / "card.json").read_text())
    assert protocol["extractor_sha256"] == tagger["weights_sha256"]
    assert (protocol["samples"], protocol["reference_count"], protocol["seed"]) == (40, 40, 0)


def test_the_same_weights_give_the_same_bytes(reports: Path, shared_world: World, tmp_path: Path) -> None:
    evaluate(shared_world.params.evaluate, shared_world.weights_dir, shared_world.data, tmp_path / "again")
    assert {path.name: path.read_bytes() for path in reports.iterdir()} == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}


def test_real_faces_score_better_than_a_generator_that_has_not_learned(shared_world: World) -> None:
    judge = judge_of(shared_world)
    score = judge.score("dcgan32", shared_world.weights_dir / "dcgan32")
    real = Store(shared_world.data.faces_dir).images(32)
    features = judge._onlooker.features(np.array(real), 32)
    from models.metrics.distance import compare

    halves = compare(Reference.of(features[::2]), features[1::2])
    assert halves["kid"] < 0.2 * score.metrics["kid"] and halves["fd"] < score.metrics["fd"]
    assert halves["near_identical"] < 0.5 < score.metrics["near_identical"]


def test_a_network_that_knows_the_answer_scores_full_marks(world: World) -> None:
    """An upscaler that adds nothing is bicubic enlarging itself."""
    import torch

    from models.export import load_model, save_model

    upscaler, card = load_model(world.weights_dir / "upscaler")
    with torch.no_grad():
        for weight in upscaler.parameters():
            weight.zero_()
    save_model(world.weights_dir / "upscaler", upscaler, card)
    metrics = judge_of(world).score("upscaler", world.weights_dir / "upscaler").metrics
    assert metrics["psnr"] == pytest.approx(metrics["psnr_bicubic"], abs=0.01)
    assert metrics["ssim"] == pytest.approx(metrics["ssim_bicubic"], abs=1e-4)


def test_a_generator_for_one_tag_is_held_against_faces_with_that_tag(shared_world: World) -> None:
    judge = judge_of(shared_world)
    protocol = judge.score("tag-transfer", shared_world.weights_dir / "tag-transfer").protocol
    assert protocol["reference"] == "faces with glasses"
    labels = [json.loads(text) for text in Store(shared_world.data.faces_dir).column("labels")]
    with_glasses = {row for row, known in enumerate(labels) if known["glasses"]}
    found = judge._faces_with("glasses")
    assert set(found[: len(with_glasses)]) == with_glasses and len(found) == 50


def test_tags_learned_from_the_drawn_sample_are_scored_on_held_out_drawn_faces_too(shared_world: World) -> None:
    score = judge_of(shared_world).score("tagger", shared_world.weights_dir / "tagger")
    drawn = score.protocol["drawn_faces_of_the_sample"]
    assert 0 < drawn < 40
    assert score.protocol["pictures"] == 20 + drawn


def test_sampling_does_not_depend_on_the_batch_size(shared_world: World) -> None:
    from models.export import load_model

    generator, _ = load_model(shared_world.weights_dir / "dcgan32")
    small, large = (draw_faces(generator, Sampling(10, 3, size)).astype(int) for size in (3, 10))
    assert np.abs(small - large).max() <= 2
    assert small.shape == (10, 32, 32, 3)


def test_a_tagger_of_another_tag_list_is_refused_with_the_way_out(world: World) -> None:
    judge = judge_of(world)
    path = world.weights_dir / "tagger" / "card.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"columns": card["columns"][::-1]}))
    with pytest.raises(CheckpointError, match="dvc repro train_tagger"):
        judge.score("tagger", world.weights_dir / "tagger")


def test_a_generator_of_a_size_that_the_faces_lack_is_refused(world: World) -> None:
    model_dir = write_model(world.weights_dir, "dcgan32", 0, resolution=16)
    with pytest.raises(DataError, match="no pictures of size 16"):
        judge_of(world).score("dcgan32", model_dir)


def test_no_weights_is_said_and_leaves_no_reports(world: World, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    with pytest.raises(DataError, match="no trained family"):
        evaluate(world.params.evaluate, tmp_path / "weights", world.data, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_a_set_too_small_to_have_a_test_split_is_judged_whole_and_says_so(tmp_path: Path) -> None:
    write_faces(tmp_path / "faces", 0, "x", count=1)
    assert held_out(Store(tmp_path / "faces"))[1] == "test"
    store = Store(tmp_path / "faces")
    store.__dict__["manifest"] = store.manifest.set_column(store.manifest.column_names.index("split"), "split", [["train"]])
    rows, split = held_out(store)
    assert rows.tolist() == [0] and split.startswith("all")
