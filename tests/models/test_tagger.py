"""The tagger: its network, its loss, its recipe, its calibration."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from genga.errors import DataError
from genga.params import TrainTagger, load_params
from genga.tags import column_slices, columns, flags, groups
from models.batches import to_signed
from models.loop import seed_step
from models.metrics.tags import TEMPERATURES, decide, macro_f1, tag_metrics, temperatures_for, thresholds_for
from models.networks import build
from models.networks.tagger import Tagger, probabilities
from models.recipes.tagger import Batch, TaggerRecipe, tag_loss, value_weights
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
    step = TEMPERATURES[1] / TEMPERATURES[0]
    assert found.pop("blush") == 1
    assert all(3 / step**2 < temperature < 3 * step**2 for temperature in found.values())


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
