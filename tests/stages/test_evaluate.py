import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from small_world import MODELS, World, write_faces, write_model
from torch import Tensor
from torch.nn import functional as F

from genga.errors import CheckpointError, DataError, ParamsError
from genga.params import InceptionFile, Section, judged_by, named
from genga.protocols import difference
from genga.skeleton import OWN
from genga.splits import split_of
from genga.store import Store
from models.batches import to_signed
from models.export import card_of, load_model
from models.metrics.distance import Reference, frechet
from models.metrics.extractors import Inception, stripes
from models.metrics.sampling import Sampling, draw_faces
from models.precision import number_format
from stages.evaluate import evaluate
from stages.judge import Judge, New, NoneHeldOut, held_out

HELD_AGAINST = ("_bicubic", "_blank", "_of_truth", "_of_base")


@pytest.fixture(scope="module")
def reports(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports_dir = tmp_path_factory.mktemp("evaluated") / "reports"
    evaluate(shared_world.params.evaluate, shared_world.params.train_face, shared_world.weights_dir, shared_world.data, reports_dir)
    return reports_dir


def judge_of(world: World) -> Judge:
    return Judge(world.params.evaluate, world.data, world.weights_dir / "tagger", world.weights_dir / "figure-pose")


def test_every_family_has_numbers_a_protocol_and_a_sheet(reports: Path) -> None:
    scores = json.loads((reports / "metrics.json").read_text())
    expected = {
        "tagger": {"macro_f1", "hair_color/accuracy"},
        "stick-pose": {"pck_0.1", "pck_0.05"},
        "figure-pose": {"pck_0.1", "pck_0.05"},
        "dcgan32": {"kid", "fd", "precision", "recall", "density", "coverage", "near_identical", "edges/kid", "edges/coverage"},
        "tag-transfer": {"kid", "tag_share", "tag_share_of_base"},
        "upscaler": {"psnr", "ssim", "sharpness", "sharpness_error", "psnr_bicubic", "ssim_bicubic", "sharpness_bicubic"},
        "sketcher": {"ink_f1", "l1", "l1_blank", "pck_0.1", "variety"},
    }
    assert scores.keys() == expected.keys() == MODELS.keys()
    for family, names in expected.items():
        assert names <= scores[family]["metrics"].keys()
        assert np.isfinite(list(scores[family]["metrics"].values())).all()
        assert len(scores[family]["protocol"]["data"]) == 64
        assert cv2.imread(str(reports / f"{family}.png")).std() > 0


def test_a_gate_s_rule_may_ask_for_what_the_judge_measures_and_nothing_else(shared_world: World, reports: Path) -> None:
    """But for the numbers of what a family is held against, and for sharpness, of which noise has most."""
    scores = json.loads((reports / "metrics.json").read_text())
    for family in MODELS:
        found = {name for name in scores[family]["metrics"] if not name.endswith(HELD_AGAINST)} - {"sharpness"}
        assert found == set(named(family, judged_by(family, inception=False))), family


def test_the_protocol_says_how_faces_were_compared(reports: Path, shared_world: World) -> None:
    protocol = json.loads((reports / "metrics.json").read_text())["dcgan32"]["protocol"]
    tagger = json.loads((shared_world.weights_dir / "tagger" / "card.json").read_text())
    assert (protocol["samples"], protocol["seed"], protocol["side"]) == (40, 0, 32)
    assert protocol["extractors"].keys() == {"tagger", "edges"}
    assert protocol["number_format"] == number_format("auto")
    for extractor in protocol["extractors"].values():
        assert extractor["reference_count"] == 40 and len(extractor["reference_sha256"]) == 64 and extractor["resize"]
    assert protocol["extractors"]["tagger"]["sha256"] == tagger["weights_sha256"]


def test_sketches_of_another_side_are_measured_otherwise(reports: Path, shared_world: World) -> None:
    protocol = json.loads((reports / "metrics.json").read_text())["sketcher"]["protocol"]
    assert protocol["side"] == 64
    assert difference("ink_f1", protocol, protocol | {"side": 128}) == "side 64 against 128"


SIDE = 23  # of what the stand-in pools with a margin, as Inception does where its pictures have become 35, 17 and 8 wide


def means(images: Tensor, num_features: int) -> np.ndarray:
    """The smallest network in Inception's place, as PyTorch has it: (N, 3, 299, 299) -> (N, F), channel means after a pool that does not count its
    padding, times fixed weights."""
    pooled = F.avg_pool2d(F.avg_pool2d(images, 299 // SIDE), 3, 1, 1, count_include_pad=False).mean(dim=(2, 3))
    return pooled.numpy() @ np.random.default_rng(0).normal(size=(3, num_features))


def onnx_of_means(path: Path, num_features: int, *, divided: bool = True) -> str:
    """The same written as ONNX's protocol buffers, its padded pool divided by that of ones, as docs/measuring.md has it exported, or as PyTorch does
    by itself; beside it what it makes of one picture. Gives its sha256."""

    def field(number: int, value: bytes | int) -> bytes:
        def varint(n: int) -> bytes:
            return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)

        return varint(number << 3) + varint(value) if isinstance(value, int) else varint(number << 3 | 2) + varint(len(value)) + value

    def node(kind: str, inputs: tuple[str, ...], output: str, **attributes: int | list[int]) -> bytes:
        said = b"".join(field(1, name.encode()) for name in inputs) + field(2, output.encode()) + field(4, kind.encode())
        return said + b"".join(field(5, attribute(name, value)) for name, value in attributes.items())

    def attribute(name: str, value: int | list[int]) -> bytes:
        if isinstance(value, int):
            return field(1, name.encode()) + field(3, value) + field(20, 2)
        return field(1, name.encode()) + b"".join(field(8, each) for each in value) + field(20, 7)

    def tensor(name: str, array: np.ndarray) -> bytes:
        return b"".join(field(1, side) for side in array.shape) + field(2, 1) + field(8, name.encode()) + field(9, array.astype("<f4").tobytes())

    def value(name: str, shape: tuple[int, ...]) -> bytes:
        dims = b"".join(field(1, field(1, side)) for side in shape)
        return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, dims)))

    weights, there = np.random.default_rng(0).normal(size=(3, num_features)), F.avg_pool2d(torch.ones(1, 1, SIDE, SIDE), 3, 1, 1).numpy()
    nodes = [
        node("AveragePool", ("x",), "s", kernel_shape=[299 // SIDE] * 2, strides=[299 // SIDE] * 2),
        node("AveragePool", ("s",), "m", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=int(divided)),
        *([node("Div", ("m", "n"), "d")] if divided else []),
        *(node("GlobalAveragePool", ("d" if divided else "m",), "p"), node("Flatten", ("p",), "f"), node("MatMul", ("f", "w"), "y")),
    ]
    graph = b"".join(field(1, each) for each in nodes) + field(2, b"g") + field(5, tensor("w", weights)) + field(5, tensor("n", there))
    graph += field(11, value("x", (1, 3, 299, 299))) + field(12, value("y", (1, num_features)))
    data = field(1, 8) + field(2, b"pytorch") + field(7, graph) + field(8, field(1, b"") + field(2, 13))
    path.write_bytes(data)
    np.save(path.with_suffix(".npy"), means(stripes(), num_features)[0])
    return hashlib.sha256(data).hexdigest()


def test_networks_that_compute_in_another_number_format_are_measured_otherwise(shared_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def scored(takes: bool) -> dict[str, object]:
        monkeypatch.setattr("models.precision._has_bf16", lambda _: takes)
        return judge_of(shared_world).score("upscaler", shared_world.weights_dir / "upscaler").protocol

    assert difference("psnr", scored(True), scored(False)) == "number_format bf16 against float32"


def test_a_file_in_inception_s_place_gives_fid_on_features_as_they_are(world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = InceptionFile(path=str(tmp_path / "inception.onnx"), sha256=onnx_of_means(tmp_path / "inception.onnx", 2048))
    params = world.params.evaluate.model_copy(update={"inception": file, "samples": 20})
    judge = Judge(params, world.data, world.weights_dir / "tagger", world.weights_dir / "figure-pose")
    score = judge.score("dcgan32", world.weights_dir / "dcgan32")
    assert score.protocol["extractors"]["inception"]["sha256"] == file.sha256
    assert score.metrics.keys() == judged_by("dcgan32", inception=True).keys()
    assert "FID against 20 real faces was asked for, expected 2048 or more" in caplog.text

    def means_of(pictures: np.ndarray) -> np.ndarray:
        return means(F.interpolate(to_signed(torch.from_numpy(pictures)), size=(299, 299), mode="bilinear"), 2048)

    generator, _ = load_model(world.weights_dir / "dcgan32")
    store = Store(world.data.faces_dir)
    chosen = np.sort(np.random.default_rng(0).permutation(len(store))[:20])
    expected = frechet(means_of(store.images(32)[chosen]), means_of(draw_faces(generator, Sampling(20, 0, 32))))
    assert score.metrics["inception/fid"] == pytest.approx(expected, rel=1e-3)


def test_a_file_in_inception_s_place_that_is_none_is_refused_with_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "inception.onnx"
    small = InceptionFile(path=str(path), sha256=onnx_of_means(path, 64))
    with pytest.raises(CheckpointError, match="gives 64 features of a picture, expected 2048"):
        Inception(small).features(np.zeros((1, 32, 32, 3), np.uint8), 1)
    with pytest.raises(ParamsError, match=r"has the sha256 .*, expected 0000"):
        Inception(small.model_copy(update={"sha256": "0" * 64}))
    with pytest.raises(ParamsError, match=r"evaluate\.inception\.path is .*elsewhere"):
        Inception(small.model_copy(update={"path": str(tmp_path / "elsewhere")}))
    path.write_bytes(b"no network")
    with pytest.raises(CheckpointError, match="is no ONNX file that OpenCV reads"):
        Inception(small.model_copy(update={"sha256": hashlib.sha256(b"no network").hexdigest()}))


def test_a_file_in_inception_s_place_that_opencv_reads_otherwise_than_it_was_exported_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "inception.onnx"
    counted = InceptionFile(path=str(path), sha256=onnx_of_means(path, 2048, divided=False))
    with pytest.raises(CheckpointError, match=r"reads .* otherwise than it was exported: .* off by 0\.\d+ .*less than 0\.001; .*docs/measuring"):
        Inception(counted)
    right = InceptionFile(path=str(path), sha256=onnx_of_means(path, 2048))
    Inception(right)
    for content in (None, b"", b"no array"):
        path.with_suffix(".npy").unlink(missing_ok=True)
        if content is not None:
            path.with_suffix(".npy").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"inception\.npy holds no features of one picture .*expected the 2048 .*docs/measuring\.md"):
            Inception(right)


def test_the_same_weights_give_the_same_bytes(reports: Path, shared_world: World, tmp_path: Path) -> None:
    evaluate(shared_world.params.evaluate, shared_world.params.train_face, shared_world.weights_dir, shared_world.data, tmp_path / "again")
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


def test_the_faces_own_labels_do_not_count_for_tags_that_are_measured_on_the_drawn_sample(world: World) -> None:
    before = judge_of(world).score("tagger", world.weights_dir / "tagger").metrics
    path = world.data.labels_dir / "tags.parquet"
    table = pq.read_table(path)
    spared = pc.not_equal(table["name"], "glasses")
    pq.write_table(table.filter(spared), path)
    assert 0 < pc.sum(spared).as_py() < len(table)
    assert judge_of(world).score("tagger", world.weights_dir / "tagger").metrics == before


def test_other_labels_of_the_same_pictures_make_another_protocol(world: World) -> None:
    tagger_dir = world.weights_dir / "tagger"
    before = judge_of(world).score("tagger", tagger_dir).protocol
    assert judge_of(world).score("tagger", tagger_dir).protocol == before
    path = world.data.labels_dir / "tags.parquet"
    table = pq.read_table(path)
    flipped = [{"true": "false", "false": "true"}.get(value, value) for value in table["value"].to_pylist()]
    pq.write_table(table.set_column(table.column_names.index("value"), "value", [flipped]), path)
    after = judge_of(world).score("tagger", tagger_dir).protocol
    assert difference("macro_f1", before, after).startswith("truth_sha256 ")


@pytest.mark.parametrize("family", ["figure-pose", "stick-pose", "sketcher"])
def test_other_poses_of_the_same_figures_make_another_protocol(world: World, family: str) -> None:
    before = judge_of(world).score(family, world.weights_dir / family).protocol
    path = world.data.figures_dir / ("sticks" if family == "stick-pose" else "mannequins") / "manifest.parquet"
    table = pq.read_table(path)
    moved = [[value + 0.01 for value in pose] for pose in table["pose"].to_pylist()]
    pq.write_table(table.set_column(table.column_names.index("pose"), "pose", [moved]), path)
    after = judge_of(world).score(family, world.weights_dir / family).protocol
    assert difference("pck_0.1", before, after).startswith("truth_sha256 ")


def test_pose_networks_of_another_resolution_are_measured_alike(world: World) -> None:
    """Before they are read the mannequins, of 96 px, are shrunk for the smaller one, and not for the other."""
    small, large = (
        judge_of(world).score("figure-pose", write_model(world.weights_dir, "figure-pose", seed=0, resolution=side)).protocol for side in (32, 64)
    )
    assert difference("pck_0.1", small, large) == ""


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
    with pytest.raises(CheckpointError, match=r"it was trained for another list of tags than genga/tags.yaml has now"):
        judge.score("tagger", world.weights_dir / "tagger")


def test_a_tagger_of_before_a_new_tag_is_refused_as_that(world: World, add_a_tag: Callable[[], None]) -> None:
    judge = judge_of(world)
    add_a_tag()
    with pytest.raises(CheckpointError, match="it was trained for another list of tags"):
        judge.score("tagger", world.weights_dir / "tagger")


def test_a_generator_of_a_size_that_the_faces_lack_is_refused(world: World) -> None:
    model_dir = write_model(world.weights_dir, "dcgan32", 0, resolution=16)
    with pytest.raises(DataError, match="no pictures of size 16"):
        judge_of(world).score("dcgan32", model_dir)


def test_what_an_earlier_params_yaml_trained_is_left_alone(world: World, tmp_path: Path) -> None:
    write_model(world.weights_dir, "dcgan32", 0, resolution=16)  # the faces have no pictures of this size
    evaluate(world.params.evaluate, ["stylegan2"], world.weights_dir, world.data, tmp_path / "reports")
    found = json.loads((tmp_path / "reports" / "metrics.json").read_text())
    assert "dcgan32" not in found and {"tagger", "sketcher", "stick-pose"} <= set(found)


def test_no_weights_is_said_and_leaves_no_reports(world: World, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    with pytest.raises(DataError, match="no trained family"):
        evaluate(world.params.evaluate, world.params.train_face, tmp_path / "weights", world.data, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_a_set_too_small_to_have_a_test_split_is_judged_whole_and_says_so(tmp_path: Path) -> None:
    write_faces(tmp_path / "faces", 0, "x", count=1)
    assert held_out(Store(tmp_path / "faces"))[1] == "test"
    store = with_columns(Store(tmp_path / "faces"), split=["train"])
    rows, split = held_out(store)
    assert rows.tolist() == [0] and split.startswith("all")


def with_columns(store: Store, **values: list[Any]) -> Store:
    """The same with other values in these columns of its manifest."""
    for name, column in values.items():
        store.__dict__["manifest"] = store.manifest.set_column(store.manifest.column_names.index(name), name, [column])
    return store


def card_after(family: str, store: Store, **training: float) -> dict[str, Any]:
    return {**card_of(family, MODELS[family], Section(), store, count=1, kimg=0.0, metrics={}, notes=[]), "training": training}


def test_a_raised_share_of_held_out_faces_is_none_for_those_who_learned_from_them(world: World) -> None:
    store = Store(world.data.faces_dir)
    ids = store.column("imported_id")
    before, now = ([split_of(id_, 0.1, test) for id_ in ids] for test in (0.3, 0.6))
    card, other = card_after("upscaler", with_columns(store, split=before)), card_after("upscaler", with_columns(store, split=now))
    rows, split = held_out(store, New.to([card, other]))
    assert [row for row, was in enumerate(before) if was == "test"] == rows.tolist() and split.startswith("test, without")
    assert held_out(store, New.to([other, {"data": {}, "training": {}}]))[0].tolist() == store.indices("test").tolist()
    with pytest.raises(NoneHeldOut, match=r"no picture in .*faces was held out from every one"):
        held_out(store, New.to([card_after("upscaler", with_columns(Store(store.dir), split=["train"] * len(ids)))]))


def test_a_style_that_one_of_two_has_learned_decides_nothing_and_own_figures_only_beside_all_others(world: World) -> None:
    store = Store(world.data.figures_dir / "sticks")
    ids, splits = [f"{row:02d}" for row in range(8)], ["test"] * 5 + ["train"] * 3
    drawn = {"pose_id": [*ids[:4], "99", *ids[5:7], "00"], "split": splits}  # the fifth and the last are own ones, whose ids say nothing

    def of(*styles: str) -> Store:
        return with_columns(store, **drawn, style=list(styles))

    card = card_after("stick-pose", of("brush", "brush", "spiral", "spiral", OWN, "pen", "pen", OWN))
    assert (card["data"]["first_learned"], card["data"]["styles"]) == ("05", ["pen"])
    other = card_after("stick-pose", of("brush", "brush", "spiral", "spiral", OWN, "pen", "spiral", OWN))
    assert held_out(store, New.to([card, card]))[0].tolist() == [0, 1, 2, 3, 4]
    assert held_out(store, New.to([card, other]))[0].tolist() == [0, 1]


def test_a_pose_to_validate_with_is_no_new_one(world: World) -> None:
    store = Store(world.data.figures_dir / "sticks")
    about = {"pose_id": [f"{row:02d}" for row in range(8)], "split": ["test"] * 3 + ["val"] * 2 + ["train"] * 3, "style": ["pen"] * 8}
    assert card_after("stick-pose", with_columns(store, **about))["data"]["first_learned"] == "03"


def test_of_drawn_faces_those_are_asked_that_no_tagger_learned_from(shared_world: World) -> None:
    judge, tagger_dir = judge_of(shared_world), shared_world.weights_dir / "tagger"
    shares = [judge.score("tagger", tagger_dir, New(drawn_held_out=share)).protocol["drawn_faces_of_the_sample"] for share in (1.0, 0.2, 0.05)]
    assert shares[0] == shares[1] > shares[2]
    assert New.to([{"data": {}, "training": {"drawn_held_out": share}} for share in (0.2, 0.05)]).drawn_held_out == 0.05


def test_a_set_of_one_face_is_too_small_to_compare_with_and_one_of_two_is_not(world: World) -> None:
    write_faces(world.data.faces_dir, seed=0, source="my pictures", count=1)
    with pytest.raises(DataError, match=r"1 face was found in .*faces to compare drawn ones with, expected 2 or more; import more"):
        judge_of(world).score("dcgan32", world.weights_dir / "dcgan32")
    write_faces(world.data.faces_dir, seed=0, source="my pictures", count=2)
    metrics = judge_of(world).score("dcgan32", world.weights_dir / "dcgan32").metrics
    assert np.isfinite(list(metrics.values())).all()
