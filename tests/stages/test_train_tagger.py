"""From labelled faces to a tagger whose card says what it learned from whom."""

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from faces_and_labels import write_faces, write_labels

from bench import tagger_quality
from genga.errors import DataError
from genga.params import TrainTagger, load_params
from genga.store import Store
from genga.tags import columns, flags
from models.export import load_model, read_card
from models.targets import UNKNOWN, names, value_names
from stages.train_tagger import Pool, _batches, _content_hash, _judge, train_tagger

REPO = Path(__file__).parents[2]


@pytest.fixture
def params() -> TrainTagger:
    stated = load_params(REPO / "params.yaml").train_tagger
    model = stated.model.model_copy(update={"resolution": 32, "width": 8, "dropout": 0.0})
    short = {"batch_size": 16, "total_kimg": 0.5, "log_kimg": 0.1, "sample_kimg": 0.4, "checkpoint_kimg": 0.4, "precision": "fp32"}
    return stated.model_copy(
        update={
            "model": model,
            "training": stated.training.model_copy(update=short),
            "lr": 0.01,
            "min_labels": 10,
            "drawn_held_out": 0.2,
            "weak_labels": False,
        }
    )


def briefly(params: TrainTagger) -> TrainTagger:
    return params.model_copy(update={"training": params.training.model_copy(update={"total_kimg": 0.032})})


def train(params: TrainTagger, root: Path, out: str = "tagger") -> Path:
    train_tagger(params, root / "faces", root / "sample", root / "labels", root / f"runs-{out}", root / out)
    return root / out


def test_labels_that_came_along_are_learned_and_the_rest_comes_from_the_drawn_sample(params: TrainTagger, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 120, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    write_labels(tmp_path / "labels", [(f"cut-out-as-{id_}", "hair_color", colour, "imported") for id_, colour in faces])
    card = read_card(train(params, tmp_path))
    assert card["metrics"]["hair_color/accuracy"] > 0.9
    assert card["learned_from"] == dict.fromkeys(names(), "drawn") | {"hair_color": "imported"}
    assert card["measured_on"] == dict.fromkeys(names(), "drawn sample") | {"hair_color": "these faces"}
    assert card["columns"] == columns()
    assert set(card["thresholds"]) == set(flags())
    assert set(card["temperatures"]) == set(names())
    note = " ".join(card["notes"])
    assert "drawn sample" in note and "glasses" in note and "hair color" not in note
    tagger, _ = load_model(tmp_path / "tagger")
    assert not tagger.training
    assert (tmp_path / "tagger" / "sheet.png").stat().st_size > 1000
    assert not (tmp_path / "runs-tagger" / "checkpoints").exists()


def test_killed_before_mlflow_has_heard_of_the_weights_it_goes_on_from_the_end(
    params: TrainTagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_faces(tmp_path / "faces", 30, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    write_labels(tmp_path / "labels", [])
    paths = *(tmp_path / name for name in ("faces", "sample", "labels", "runs")), tmp_path / "tagger"
    with pytest.raises(KeyboardInterrupt):
        train_tagger(briefly(params), *paths, MagicMock(**{"finish.side_effect": KeyboardInterrupt}))
    monkeypatch.setattr("models.recipes.tagger.TaggerRecipe.step", lambda *_: pytest.fail("trained again"))
    train_tagger(briefly(params), *paths, MagicMock())
    assert not (tmp_path / "runs" / "checkpoints").exists()


def test_the_bench_trains_it_once_more_without_what_is_made_for_wrong_labels(
    params: TrainTagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = write_faces(tmp_path / "faces", 120, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    write_labels(tmp_path / "labels", [(f"cut-out-as-{id_}", "hair_color", colour, "imported") for id_, colour in faces])
    monkeypatch.setattr(tagger_quality, "lasting", lambda tagger, minutes: briefly(tagger))
    whole = load_params(REPO / "params.yaml").model_copy(update={"train_tagger": params})
    tagger_quality.measure("faces", whole, tmp_path, 1.0, {"hair_color/accuracy": 0.5}, plain=True)
    ours, plain = (read_card(tmp_path / name) for name in ("tagger", "plain"))
    assert plain["training"] == ours["training"] | {"label_smoothing": 0.0, "own_opinion": 0.0} != ours["training"]
    both = [card["metrics"]["hair_color/accuracy"] for card in (ours, plain)]
    assert f"faces: hair_color/accuracy {both[0]:.3f}, {both[1]:.3f} without label smoothing" in capsys.readouterr().out


def test_hair_and_eyes_without_labels_start_from_what_their_colours_are_called(params: TrainTagger, tmp_path: Path) -> None:
    write_faces(tmp_path / "faces", 120, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    write_labels(tmp_path / "labels", [])
    card = read_card(train(briefly(params).model_copy(update={"weak_labels": True}), tmp_path))
    assert card["learned_from"]["hair_color"] == "weak" and card["learned_from"]["glasses"] == "drawn"
    assert card["measured_on"]["hair_color"] == "drawn sample"
    assert any("named by rule" in note and "hair color" in note for note in card["notes"])


def test_the_surest_mistakes_are_shown_and_listed_by_the_ids_that_labels_have(params: TrainTagger, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 120, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    wrong, _ = faces[5]  # of the test split, and blue
    told = dict(faces) | {wrong: "green"}
    write_labels(tmp_path / "labels", [(f"cut-out-as-{id_}", "hair_color", colour, "imported") for id_, colour in told.items()])
    out = train(params, tmp_path)
    (doubt,) = [each for each in json.loads((out / "doubtful.json").read_text())["pictures"] if each["id"] == wrong]
    assert doubt["label"] == told[wrong] and doubt["guess"] == dict(faces)[wrong]
    assert (doubt["name"], doubt["origin"]) == ("hair_color", "imported") and 0.2 < doubt["confidence"] <= 1
    for name in ("curves", "confusion", "mistakes"):
        assert (out / f"{name}.png").stat().st_size > 1000
    card = read_card(out)
    assert card["baseline"]["hair_color/accuracy"] > 0.8
    assert card["metrics"].keys() >= {"ece", "hair_color/ece", "hair_color/answered", "hair_color/right"}
    assert card["sure"]["hair_color"].keys() >= {"red", "green", "blue"} and card["sure"]["glasses"].keys() == {"no", "yes"}


def test_mistakes_on_drawn_faces_take_no_place_from_those_on_the_faces_themselves(params: TrainTagger, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 120, seed=0)
    write_faces(tmp_path / "sample", 400, seed=1)
    told = zip(faces, np.random.default_rng(0).permutation([colour for _, colour in faces]), strict=True)  # nothing to go by
    write_labels(tmp_path / "labels", [(f"cut-out-as-{id_}", "hair_color", str(colour), "imported") for (id_, _), colour in told])
    out = train(briefly(params).model_copy(update={"drawn_held_out": 0.4}), tmp_path)
    wrong = round((1 - read_card(out)["metrics"]["hair_color/accuracy"]) * 20)
    doubtful = json.loads((out / "doubtful.json").read_text())["pictures"]
    assert len(doubtful) == wrong > 0 and {each["id"] for each in doubtful} <= {id_ for id_, _ in faces[5::6]}


@pytest.mark.parametrize(("share", "drawn"), [(0.0, 1), (0.01, 1), (0.5, 8), (0.99, 15), (1.0, 15)])
def test_a_batch_has_both_own_and_drawn_faces_where_there_are_both(params: TrainTagger, share: float, drawn: int) -> None:
    own, sample, nothing = (_pool(known) for known in (True, True, False))
    shared = params.model_copy(update={"drawn_share": share})
    for cur_nimg in (0, 16):
        assert int((_batches(shared, [own, sample])(cur_nimg).rows >= 40).sum()) == drawn
        for pools in ([own], [own, nothing], [nothing, sample]):
            assert len(_batches(shared, pools)(cur_nimg).pictures) == 16


def _pool(known: bool) -> Pool:
    return Pool(np.zeros((40, 32, 32, 3), np.uint8), np.full((40, len(names())), 0 if known else UNKNOWN), {"train": np.arange(40)})


def test_thresholds_come_from_the_val_split_and_metrics_from_the_test_split(params: TrainTagger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Glasses are worn from a logit of 1.7 on in val, and from -1.4 on in test."""
    targets, logits = np.full((40, len(names())), UNKNOWN), torch.zeros(40, len(columns()))
    targets[:, names().index("glasses")] = [*(np.arange(20) >= 15), *(np.arange(20) >= 5)]
    logits[:, columns().index("glasses")] = torch.linspace(-3, 3, 20).repeat(2)
    rows = {"train": np.arange(0), "val": np.arange(20), "test": np.arange(20, 40)}
    monkeypatch.setattr("stages.train_tagger._logits", lambda _tagger, _params, pool, split: logits[pool.rows[split]])
    card = _judge(torch.nn.Identity(), params, [Pool(np.zeros((40, 1, 1, 3), np.uint8), targets, rows)], []).card
    assert card["thresholds"]["glasses"] > 0.5 and card["metrics"]["glasses/accuracy"] == 0.5


def test_other_pictures_to_learn_from_are_another_training() -> None:
    pool = _pool(known=True)
    assert _content_hash([pool]) == _content_hash([_pool(known=True)])
    assert _content_hash([pool]) != _content_hash([replace(pool, rows={"train": np.arange(1, 41) % 40})])


def test_people_are_named_as_the_source_where_most_labels_are_theirs(params: TrainTagger, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 60, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    both = [(id_, "hair_color", colour, origin) for id_, colour in faces for origin in ("imported", "human")]
    write_labels(tmp_path / "labels", both)
    assert read_card(train(briefly(params), tmp_path))["learned_from"]["hair_color"] == "human"


def test_faces_that_are_the_drawn_sample_need_no_second_one_and_no_warning(params: TrainTagger, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 60, seed=0)
    everything = [
        (id_, name, str(value).lower(), "drawn")
        for id_, labels in zip((id_ for id_, _ in faces), _truths(tmp_path / "faces"), strict=True)
        for name, value in labels.items()
    ]
    write_labels(tmp_path / "labels", everything)
    card = read_card(train(briefly(params), tmp_path))
    assert card["notes"] == []
    assert set(card["learned_from"].values()) == {"drawn"}
    assert set(card["measured_on"].values()) == {"these faces"}


def test_what_the_drawn_sample_holds_out_is_not_trained_on_through_faces_that_are_the_same(
    params: TrainTagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = write_faces(tmp_path / "faces", 60, seed=0)
    write_faces(tmp_path / "sample", 60, seed=0)
    write_labels(tmp_path / "labels", [(id_, "hair_color", colour, "drawn") for id_, colour in faces])
    heard: list[Pool] = []
    monkeypatch.setattr("stages.train_tagger._batches", lambda params, pools: heard.extend(pools) or _batches(params, pools))
    train(briefly(params), tmp_path)
    trained_on, held_out = ({row for pool in heard for split in splits for row in pool.rows[split]} for splits in (["train"], ["val", "test"]))
    assert len(heard) == 2 and all(len(rows) for pool in heard for rows in pool.rows.values())
    assert heard[0].rows["test"].tolist() != heard[1].rows["test"].tolist()
    assert trained_on.isdisjoint(held_out) and len(trained_on | held_out) == 60


def _truths(store_dir: Path) -> list[dict[str, str | bool]]:
    return [json.loads(labels) for labels in Store(store_dir).column("labels")]


def test_faces_without_a_single_label_still_give_a_tagger(params: TrainTagger, tmp_path: Path) -> None:
    write_faces(tmp_path / "faces", 30, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    write_labels(tmp_path / "labels", [])
    card = read_card(train(briefly(params), tmp_path))
    assert set(card["learned_from"].values()) == {"drawn"}
    assert set(card["measured_on"].values()) == {"drawn sample"}


def test_few_labels_of_the_faces_do_not_count_among_the_drawn_sample_s(params: TrainTagger, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 60, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    few = briefly(params).model_copy(update={"min_labels": 50})
    store = Store(tmp_path / "faces")
    held_out = {store.column("id")[row] for row in store.indices("test")}
    found = []
    for at, flipped in enumerate((False, True)):
        labels = [(id_, "smile", str((row % 2 == 0) ^ (flipped and id_ in held_out)).lower(), "human") for row, (id_, _) in enumerate(faces)]
        write_labels(tmp_path / "labels", labels)
        found.append(read_card(train(few, tmp_path, str(at))))
    assert found[0]["measured_on"]["smile"] == "drawn sample" and held_out
    assert found[0]["metrics"] == found[1]["metrics"]


def test_a_flag_that_is_always_yes_is_learned_from_the_drawn_sample_alone(params: TrainTagger, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 60, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    both = [(id_, "smile", str(row % 2 == 0).lower(), "imported") for row, (id_, _) in enumerate(faces)]
    write_labels(tmp_path / "labels", [*both, *((id_, "glasses", "true", "imported") for id_, _ in faces)])
    card = read_card(train(params, tmp_path))
    assert (card["learned_from"]["glasses"], card["measured_on"]["glasses"]) == ("drawn", "drawn sample")
    assert (card["learned_from"]["smile"], card["measured_on"]["smile"]) == ("imported", "these faces")
    assert any("glasses" in note and "smile" not in note for note in card["notes"])


def test_a_group_with_one_value_is_learned_from_the_drawn_sample_alone(params: TrainTagger, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 60, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    write_labels(tmp_path / "labels", [(id_, "hair_color", "blue", "imported") for id_, _ in faces])
    card = read_card(train(briefly(params), tmp_path))
    assert (card["learned_from"]["hair_color"], card["measured_on"]["hair_color"]) == ("drawn", "drawn sample")
    assert any("too few labels for them or the same for all" in note and "hair color" in note for note in card["notes"])


def test_the_one_value_that_people_name_stays_beside_colours_named_by_rule(
    params: TrainTagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = write_faces(tmp_path / "faces", 120, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    write_labels(tmp_path / "labels", [(id_, "hair_color", "orange", "human") for id_, _ in faces[:20]])
    heard: list[Pool] = []
    monkeypatch.setattr("stages.train_tagger._batches", lambda params, pools: heard.extend(pools) or _batches(params, pools))
    card = read_card(train(briefly(params).model_copy(update={"weak_labels": True}), tmp_path))
    assert card["learned_from"]["hair_color"] == "weak"
    said = heard[0].targets_of("train")[:, names().index("hair_color")]
    orange = value_names("hair_color").index("orange")
    assert (said[:14] == orange).all() and (said[14:] != orange).any()


def test_the_same_inputs_give_the_same_bytes(params: TrainTagger, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 60, seed=0)
    write_faces(tmp_path / "sample", 60, seed=1)
    write_labels(tmp_path / "labels", [(id_, "hair_color", colour, "imported") for id_, colour in faces])
    one, other = train(briefly(params), tmp_path, "one"), train(briefly(params), tmp_path, "other")
    for name in ("weights.safetensors", "card.json", "sheet.png", "curves.png", "confusion.png", "mistakes.png", "doubtful.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_tags_that_nothing_shows_stop_the_training(params: TrainTagger, tmp_path: Path) -> None:
    write_faces(tmp_path / "faces", 30, seed=0)
    write_faces(tmp_path / "sample", 1, seed=1)
    write_labels(tmp_path / "labels", [])
    with pytest.raises(DataError, match=r"fewer than 10 training labels for hair_color.*does not show them; label more"):
        train(briefly(params), _without_truth(tmp_path))


def _without_truth(root: Path) -> Path:
    import numpy as np

    from genga.store import StoreWriter

    with StoreWriter(root / "sample", {"32": (32, 32, 3)}) as writer:
        writer.append([{"id": f"{1:064x}", "source": "s", "licence": "l", "labels": "{}"}], **{"32": np.zeros((1, 32, 32, 3), np.uint8)})
    return root


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("hair_color", "plaid", "human"), "'plaid', expected one of blonde"),
        (("hairdo", "blue", "human"), "'hairdo', expected one of hair_color"),
        (("hair_color", "blue", "a cat"), "'a cat', expected one of human"),
        (("glasses", "perhaps", "human"), "'perhaps', expected one of false, true"),
    ],
)
def test_a_label_outside_the_vocabulary_stops_with_its_word(params: TrainTagger, tmp_path: Path, row: tuple[str, str, str], sentence: str) -> None:
    faces = write_faces(tmp_path / "faces", 6, seed=0)
    write_labels(tmp_path / "labels", [(faces[0][0], *row)])
    with pytest.raises(DataError, match=sentence):
        train(params, tmp_path)


def test_missing_labels_name_the_command_that_makes_them(params: TrainTagger, tmp_path: Path) -> None:
    write_faces(tmp_path / "faces", 6, seed=0)
    with pytest.raises(DataError, match="dvc repro labels"):
        train(params, tmp_path)
