"""The tagger: its network, its loss, its recipe, its calibration."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from genga.errors import DataError
from genga.params import TrainTagger, load_params
from genga.tags import column_slices, columns, flags, groups
from models.baseline import Baseline
from models.batches import to_signed
from models.loop import seed_step
from models.metrics.calibration import calibration_error
from models.metrics.colours_edges import colours_and_edges
from models.metrics.tag_sheets import confusion_plot, curves_plot, mistake_sheet, surest_mistakes
from models.metrics.tags import (
    answer_metrics,
    answers,
    confidence_of,
    decide,
    macro_f1,
    sure_from,
    tag_metrics,
    temperatures_for,
    thresholds_for,
)
from models.networks import build
from models.networks.tagger import Tagger, probabilities
from models.recipes.tagger import Batch, Opinions, TaggerRecipe, opinion_loss, tag_loss, value_weights
from models.targets import UNKNOWN, counts, names, targets_of, value_names

REPO = Path(__file__).parents[2]
rng = np.random.default_rng(0)


@pytest.fixture
def params() -> TrainTagger:
    stated = load_params(REPO / "params.yaml").train_tagger
    model = stated.model.model_copy(update={"resolution": 32, "width": 8, "dropout": 0.0})
    training = stated.training.model_copy(update={"batch_size": 16, "total_kimg": 1.6, "precision": "fp32"})
    return stated.model_copy(update={"model": model, "training": training})


def some_targets(count: int) -> np.ndarray:
    return np.stack([rng.integers(0, len(value_names(name)), count) for name in names()], axis=1)


def even_weights() -> dict[str, torch.Tensor]:
    return {name: torch.ones(len(value_names(name))) for name in names()}


def test_the_tagger_answers_for_every_column_and_has_features_for_kid(params: TrainTagger) -> None:
    tagger = build(params.model)
    assert isinstance(tagger, Tagger)
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    assert tagger(images).shape == (3, len(columns()))
    assert tagger.features(images).shape == (3, tagger.num_features)


def test_probabilities_of_a_group_sum_to_one_and_a_higher_temperature_evens_them_out() -> None:
    logits = torch.randn(5, len(columns())) * 3
    found = {t: probabilities(logits, dict.fromkeys(names(), t)) for t in (1.0, 4.0)}
    for name in groups():
        part = column_slices()[name]
        assert torch.allclose(found[1.0][:, part].sum(dim=1), torch.ones(5), atol=1e-5)
        assert (found[4.0][:, part].amax(dim=1) < found[1.0][:, part].amax(dim=1)).all()
    glasses = column_slices()["glasses"]
    assert torch.allclose(found[1.0][:, glasses], logits[:, glasses].sigmoid())


def test_a_label_that_is_missing_moves_nothing() -> None:
    logits = torch.randn(4, len(columns()), requires_grad=True)
    targets = torch.from_numpy(some_targets(4))
    blind = names().index("eye_color")
    targets[:, blind] = UNKNOWN
    targets[1, names().index("glasses")] = UNKNOWN
    tag_loss(logits, targets, even_weights(), smoothing=0.05).backward()
    assert logits.grad is not None
    assert (logits.grad[:, column_slices()["eye_color"]] == 0).all()
    assert logits.grad[1, column_slices()["glasses"]].item() == 0
    assert logits.grad[0, column_slices()["glasses"]].item() != 0
    assert (logits.grad[:, column_slices()["hair_color"]] != 0).any()


def test_every_label_counts_the_same_however_few_pictures_have_one_of_its_kind() -> None:
    logits = torch.zeros(4, len(columns()), requires_grad=True)
    targets = torch.full((4, len(names())), UNKNOWN)
    targets[:, names().index("glasses")] = 1
    targets[0, names().index("smile")] = 1
    tag_loss(logits, targets, even_weights(), smoothing=0).backward()
    assert logits.grad is not None
    assert torch.allclose(logits.grad[0, column_slices()["smile"]], logits.grad[0, column_slices()["glasses"]])


def test_a_mirrored_tagger_says_the_same_of_a_picture_and_its_mirror_image_and_learns_as_any_other() -> None:
    tagger = Tagger(resolution=32, width=8, dropout=0.0, mirrored=True)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    assert not torch.allclose(tagger.train()(images), tagger(images.flip(3)))
    assert torch.allclose(tagger.eval()(images), tagger(images.flip(3)), atol=1e-5)


def test_faces_without_any_label_give_no_loss() -> None:
    targets = torch.full((4, len(names())), UNKNOWN)
    assert tag_loss(torch.randn(4, len(columns())), targets, even_weights(), smoothing=0.05).item() == 0


def test_rare_values_count_for_more_and_the_mean_over_labels_stays_one() -> None:
    targets = some_targets(100)
    glasses = names().index("glasses")
    targets[:, glasses] = np.arange(100) < 10
    weights = value_weights(targets, balance=1.0)["glasses"]
    assert weights[1] / weights[0] == pytest.approx(9)
    assert (weights[torch.from_numpy(targets[:, glasses])]).mean() == pytest.approx(1)
    assert value_weights(targets, balance=0.0)["glasses"].tolist() == [1, 1]


def test_a_value_that_never_occurs_has_no_weight_rather_than_an_endless_one() -> None:
    targets = np.full((5, len(names())), UNKNOWN)
    targets[:, names().index("smile")] = 1
    weights = value_weights(targets, balance=1.0)
    assert weights["smile"].tolist() == [0, 1]
    assert weights["hair_color"].tolist() == [0] * len(groups()["hair_color"])


def test_steps_on_one_batch_lower_its_loss_and_the_recipe_comes_back_from_its_state(params: TrainTagger) -> None:
    targets = some_targets(16)
    batch = Batch(torch.from_numpy(rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)), torch.from_numpy(targets), torch.arange(16))
    weights = value_weights(targets, params.balance)
    recipe = TaggerRecipe(params, weights, batch.pictures.numpy()[:2], 16)

    def loss_now() -> float:
        with torch.no_grad():
            return tag_loss(recipe.tagger.train()(to_signed(batch.pictures)), batch.targets, weights, 0.05).item()

    before = loss_now()
    for step in range(20):
        seed_step(0, step)
        recipe.step(batch, 160 + step * 16)
    assert loss_now() < 0.9 * before

    twin = TaggerRecipe(params, weights, batch.pictures.numpy()[:2], 16)
    twin.load_state_dict(deepcopy(recipe.state_dict()))
    seed_step(0, 99)
    scalars = recipe.step(batch, 160)
    seed_step(0, 99)
    assert twin.step(batch, 160) == scalars
    assert (recipe.sample() == twin.sample()).all()


def test_the_colours_of_a_face_survive_augmentation(params: TrainTagger) -> None:
    red = torch.zeros(32, 3, 32, 32) - 0.5
    red[:, 0] = 0.5
    recipe = TaggerRecipe(params, even_weights(), np.zeros((1, 32, 32, 3), np.uint8), 1)
    seen = recipe._augment(red)
    assert (seen[:, 0] > seen[:, 1] + 0.5).all()
    assert torch.allclose(seen[:, 1], seen[:, 2])


def test_labels_become_numbers_and_what_is_not_said_is_unknown() -> None:
    row = dict(zip(names(), targets_of({"hair_color": "blue", "glasses": True, "smile": False}), strict=True))
    assert row["hair_color"] == groups()["hair_color"].index("blue")
    assert (row["glasses"], row["smile"], row["eye_color"], row["blush"]) == (1, 0, UNKNOWN, UNKNOWN)
    assert counts(np.array([list(row.values())]))["glasses"].tolist() == [0, 1]
    with pytest.raises(DataError, match="expected one of blonde"):
        targets_of({"hair_color": "plaid"})


def test_macro_f1_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    found, truth = rng.integers(0, 5, 200), rng.integers(0, 4, 200)
    assert macro_f1(found, truth) == pytest.approx(f1_score(truth, found, average="macro"))
    assert macro_f1(truth, truth) == 1


def test_temperatures_undo_overconfidence_and_stay_one_without_labels() -> None:
    honest = torch.randn(4000, len(columns()))
    truth = {name: honest[:, part] for name, part in column_slices().items()}
    targets = np.stack(
        [
            torch.distributions.Categorical(logits=truth[name]).sample().numpy() if name in groups()
            else torch.bernoulli(truth[name][:, 0].sigmoid()).long().numpy()
            for name in names()
        ],
        axis=1,
    )  # fmt: skip
    targets[:, names().index("blush")] = UNKNOWN
    found = temperatures_for(honest * 3, targets)
    assert found.pop("blush") == 1
    assert all(temperature == pytest.approx(3, rel=0.15) for temperature in found.values())


def test_a_tagger_that_learned_from_softened_labels_is_as_sure_as_it_is_right() -> None:
    torch.manual_seed(0)
    columns_of, at = column_slices()["hair_color"], names().index("hair_color")
    shares = (3 * torch.randn(20000, columns_of.stop - columns_of.start)).softmax(dim=1)
    logits, targets = torch.zeros(20000, len(columns())), np.full((20000, len(names())), UNKNOWN)
    logits[:, columns_of] = (0.85 * shares + 0.15 / shares.shape[1]).log()
    targets[:, at] = torch.distributions.Categorical(shares).sample().numpy()

    def error(temperatures: dict[str, float]) -> float:
        found = probabilities(logits[4000:], temperatures)[:, columns_of].numpy()
        return calibration_error(found.max(axis=1), found.argmax(axis=1) == targets[4000:, at])

    assert error(dict.fromkeys(names(), 1.0)) > 0.06
    assert error(temperatures_for(logits[:4000], targets[:4000])) < 0.025  # 0.032 by the likelihood


def test_a_flag_gets_the_threshold_that_parts_it_best() -> None:
    found = np.zeros((100, len(columns())), np.float32)
    targets = np.full((100, len(names())), UNKNOWN)
    glasses = names().index("glasses")
    targets[:, glasses] = np.arange(100) < 20
    found[:, column_slices()["glasses"]] = np.where(targets[:, [glasses]] == 1, 0.3, 0.1)
    thresholds = thresholds_for(found, targets)
    assert 0.1 < thresholds["glasses"] <= 0.3
    assert thresholds["smile"] == 0.5
    assert tag_metrics(found, targets, thresholds) == {
        "macro_f1": 1,
        "ece": pytest.approx(0.1, abs=0.2),
        "glasses/accuracy": 1,
        "glasses/macro_f1": 1,
        "glasses/ece": pytest.approx(0.22, abs=1e-6),
    }
    assert decide(found, dict.fromkeys(flags(), 0.5))[:, glasses].sum() == 0


def test_opinions_are_averages_and_pull_towards_themselves_where_there_is_a_label() -> None:
    opinions = Opinions(3)
    for _ in range(6):
        said = opinions.of(torch.tensor([1]), torch.full((1, len(columns())), 0.8))
    assert torch.allclose(said, torch.full_like(said, 0.8))  # an average, from the first time on
    assert (opinions.said[[0, 2]] == 0).all()
    said = opinions.of(torch.tensor([1]), torch.full((1, len(columns())), 0.2))
    assert 0.2 < said[0, 0] < 0.8

    logits = torch.zeros(1, len(columns()), requires_grad=True)
    targets = torch.full((1, len(names())), UNKNOWN)
    targets[0, 0] = 1
    spoken = torch.zeros(1, len(columns()))
    spoken[0, 0] = 1
    opinion_loss(logits, targets, spoken, even_weights()).backward()
    assert logits.grad is not None and logits.grad[0, 0] < 0 < logits.grad[0, 1]
    assert (logits.grad[0, column_slices()["glasses"]] == 0).all()  # no label, no say


def test_opinions_are_not_heard_before_a_fifth_of_the_training(params: TrainTagger) -> None:
    recipe = TaggerRecipe(params, even_weights(), np.zeros((1, 32, 32, 3), np.uint8), 1)
    total = params.training.total_kimg * 1000
    assert [round(recipe._opinions_count(int(total * done)), 2) for done in (0, 0.2, 0.35, 0.5, 1)] == [0, 0, 0.5, 1, 1]


def calibrated_answers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of glasses, and labels that are drawn from them."""
    found = np.zeros((count, len(columns())), np.float32)
    found[:, [column_slices()[name].start for name in groups()]] = 1
    found[:, column_slices()["glasses"].start] = rng.uniform(0, 1, count)
    targets = np.full((count, len(names())), UNKNOWN)
    targets[:, names().index("glasses")] = rng.uniform(0, 1, count) < found[:, column_slices()["glasses"].start]
    return found, targets


def test_the_tagger_abstains_where_held_out_answers_were_too_often_wrong() -> None:
    found, targets = calibrated_answers(8000)
    even = dict.fromkeys(flags(), 0.5)
    sure = sure_from(found, targets, even, right=0.9)
    # of answers from c on, (c + 1) / 2 are right: 0.9 where c is 0.8
    assert sure["glasses"]["yes"] == pytest.approx(0.8, abs=0.05) == sure["glasses"]["no"]
    assert set(sure["smile"].values()) == {0.0}  # no labels: always answered
    metrics = answer_metrics(found, targets, even, sure)
    assert metrics["glasses/answered"] == pytest.approx(0.4, abs=0.06) and metrics["glasses/right"] == pytest.approx(0.9, abs=0.01)
    said = answers(found, even, sure)[:, names().index("glasses")]
    assert ((said == UNKNOWN) == (confidence_of(found, decide(found, even))[:, names().index("glasses")] < sure["glasses"]["yes"])).mean() > 0.97
    assert tag_metrics(found, targets, even)["glasses/ece"] < 0.03


def test_a_tagger_that_is_always_right_enough_never_abstains_and_a_hopeless_one_always() -> None:
    found, targets = calibrated_answers(400)
    glasses, even = names().index("glasses"), dict.fromkeys(flags(), 0.5)
    right = targets.copy()
    right[:, glasses] = decide(found, even)[:, glasses]
    assert sure_from(found, right, even, right=0.9)["glasses"] == {"no": 0.0, "yes": 0.0}
    wrong = right.copy()
    wrong[:, glasses] = 1 - right[:, glasses]
    assert sure_from(found, wrong, even, right=0.9)["glasses"] == {"no": 1.0, "yes": 1.0}


def test_a_value_that_is_answered_too_rarely_is_as_sure_as_all_answers() -> None:
    found, targets = calibrated_answers(400)
    glasses = column_slices()["glasses"].start
    found[:, glasses], targets[:, names().index("glasses")] = 0.1, 1  # "no", and always wrong
    found[:5, glasses] = 0.9
    assert sure_from(found, targets, dict.fromkeys(flags(), 0.5), right=0.9)["glasses"] == {"no": 1.0, "yes": 1.0}


def test_the_baseline_reads_plain_colours_and_says_nothing_of_what_it_never_saw() -> None:
    colours = rng.integers(0, 3, 90)
    pictures = np.clip(rng.normal(np.eye(3)[colours][:, None, None] * 150 + 40, 20, (90, 16, 16, 3)), 0, 255).astype(np.uint8)
    targets = np.full((90, len(names())), UNKNOWN)
    targets[:, 0], targets[:, names().index("smile")] = colours, 1
    features = colours_and_edges(pictures)
    found = Baseline(features[:60], targets[:60]).probabilities(features[60:])
    decided = decide(found, dict.fromkeys(flags(), 0.5))
    assert (decided[:, 0] == colours[60:]).mean() > 0.95
    assert (decided[:, names().index("smile")] == 1).all()
    for name in groups():
        assert np.allclose(found[:, column_slices()[name]].sum(axis=1), 1, atol=1e-5)
    assert np.allclose(found[:, column_slices()["hair_length"]], 1 / 3) and np.allclose(found[:, column_slices()["glasses"]], 0.5)


def test_the_surest_mistakes_come_first_and_right_answers_never() -> None:
    found, targets = calibrated_answers(200)
    decided = decide(found, dict.fromkeys(flags(), 0.5))
    mistakes = surest_mistakes(found, decided, targets, 10)
    assert [each.confidence for each in mistakes] == sorted((each.confidence for each in mistakes), reverse=True)
    for each in mistakes:
        assert each.name == "glasses" and each.label != each.guess
        assert (each.label == "yes") == bool(targets[each.row, names().index("glasses")])
    sheet = mistake_sheet(np.zeros((200, 16, 16, 3), np.uint8), mistakes[:3])
    assert sheet.ndim == 3 and sheet.shape[1] > 3 * 100
    assert mistake_sheet(np.zeros((200, 16, 16, 3), np.uint8), []).std() > 0  # says so


@pytest.mark.parametrize("labels", ["none", "flags", "all"])
def test_curves_and_confusion_are_drawn_whatever_labels_there_are(labels: str) -> None:
    found, targets = calibrated_answers(50)
    if labels == "none":
        targets[:] = UNKNOWN
    if labels == "all":
        targets = some_targets(50)
    for plot in (curves_plot(found, targets), confusion_plot(decide(found, dict.fromkeys(flags(), 0.5)), targets)):
        assert plot.dtype == np.uint8 and plot.shape[2] == 3 and min(plot.shape[:2]) > 200
