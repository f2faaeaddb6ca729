"""The sketcher: the pose it draws for itself, its recipe, its scores."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from genga.params import TrainSketcher, load_params
from genga.skeleton import JOINTS, STICKS, J
from models.loop import seed_step
from models.metrics.sketches import draw_all, ink_f1, sketch_metrics
from models.networks import build
from models.networks.sketcher import Sketcher, draw_pose
from models.recipes.pose import Batch, ink_of
from models.recipes.sketcher import FAR, SketcherRecipe, nearness_of_ink

REPO = Path(__file__).parents[2]
rng = np.random.default_rng(0)


@pytest.fixture
def params() -> TrainSketcher:
    stated = load_params(REPO / "params.yaml").train_sketcher
    model = stated.model.model_copy(update={"resolution": 32, "z_dim": 4, "width": 8})
    training = stated.training.model_copy(update={"batch_size": 4, "total_kimg": 0.4, "precision": "fp32"})
    return stated.model_copy(update={"model": model, "training": training})


def some_batch(count: int, side: int) -> Batch:
    """A square of ink around each hip."""
    poses = torch.from_numpy(rng.uniform(0.2, 0.8, (count, 11, 2)).astype(np.float32))
    pictures = np.full((count, side, side), 255, np.uint8)
    for picture, (x, y) in zip(pictures, (poses[:, J["hip"]] * side).int().tolist(), strict=True):
        picture[y - 3 : y + 4, x - 3 : x + 4] = 0
    return Batch(torch.from_numpy(pictures), poses)


def untrained(params: TrainSketcher) -> Sketcher:
    sketcher = build(params.model)
    assert isinstance(sketcher, Sketcher)
    return sketcher.eval()


def test_a_pose_and_a_latent_give_a_sketch_on_paper(params: TrainSketcher) -> None:
    sketch = untrained(params)(torch.rand(3, 11, 2), torch.randn(3, 4))
    assert sketch.shape == (3, 1, 32, 32)
    assert ((sketch >= 0) & (sketch <= 1)).all()


def test_the_sketch_follows_the_pose_and_the_latent(params: TrainSketcher) -> None:
    sketcher, poses, z = untrained(params), torch.rand(2, 11, 2), torch.randn(2, 4)
    sketch = sketcher(poses, z)
    assert not torch.allclose(sketch, sketcher(poses.flip(0), z), atol=1e-4)
    assert not torch.allclose(sketch, sketcher(poses, z.flip(0)), atol=1e-4)
    assert torch.equal(sketch, sketcher(poses, z))


def test_each_joint_and_stick_is_drawn_where_it_stands() -> None:
    pose = torch.rand(1, 11, 2) * 0.8 + 0.1
    maps = draw_pose(pose, 64)[0]
    assert len(maps) == len(JOINTS) + len(STICKS)
    for joint_idx in range(len(JOINTS)):
        y, x = divmod(int(maps[joint_idx].argmax()), 64)
        assert torch.allclose((torch.tensor([x, y]) + 0.5) / 64, pose[0, joint_idx], atol=1 / 64)
    for stick_idx, (start, end) in enumerate(STICKS):
        x, y = (pose[0, [start, end]].mean(dim=0) * 64).int().tolist()
        assert maps[len(JOINTS) + stick_idx, y, x] > 0.9


def test_a_stick_of_no_length_is_a_dot() -> None:
    maps = draw_pose(torch.full((1, 11, 2), 0.5), 16)
    assert torch.isfinite(maps).all()
    assert maps[0, len(JOINTS)].sum() == pytest.approx(maps[0, -1].sum().item())


def test_before_any_training_a_sketch_is_the_outlines_of_limbs(params: TrainSketcher) -> None:
    model = params.model.model_copy(update={"resolution": 128})
    arms, legs = [[0.3, 0.35], [0.7, 0.35], [0.1, 0.35], [0.9, 0.35]], [[0.35, 0.7], [0.65, 0.7], [0.3, 0.9], [0.7, 0.9]]
    pose = torch.tensor([[[0.5, 0.15], [0.5, 0.3], *arms, [0.5, 0.55], *legs]])
    torch.manual_seed(0)
    ink = 1 - untrained(params.model_copy(update={"model": model}))(pose, torch.zeros(1, 4))[0, 0]
    across_the_forearm = ink[:, int(0.2 * 128)]
    middle, radius = int(0.35 * 128), 5
    assert across_the_forearm[middle - 1 : middle + 2].max() < 0.2
    assert across_the_forearm[middle - 2 * radius : middle].max() > 0.8
    assert across_the_forearm[middle : middle + 2 * radius].max() > 0.8
    assert ink[:8].max() == 0


def test_a_discriminator_joins_in_where_it_is_asked_for(params: TrainSketcher) -> None:
    batch = some_batch(4, 32)
    with_one = SketcherRecipe(params.model_copy(update={"adversarial": 0.5}), batch)
    before = with_one.discriminator.both[1].weight.clone()
    assert {"fooled", "told_apart"} <= set(with_one.step(batch, 0))
    assert not torch.equal(before, with_one.discriminator.both[1].weight)
    assert set(SketcherRecipe(params, batch).step(batch, 0)) == {"drawn", "kl"}


def test_nearness_of_ink_falls_with_the_distance_from_it() -> None:
    pictures = torch.full((1, 32, 32), 255, dtype=torch.uint8)
    pictures[0, :, 10] = 0
    nearness = nearness_of_ink(pictures)[0, 0, 5]
    assert nearness[10] == 1
    assert nearness[14] == pytest.approx(1 - 4 / FAR, abs=0.01)
    assert nearness[31] == 0


def test_steps_on_one_batch_lower_its_loss_and_the_recipe_comes_back_from_its_state(params: TrainSketcher) -> None:
    batch = some_batch(4, 32)
    recipe = SketcherRecipe(params, batch)
    losses = []
    for step in range(20):
        seed_step(0, step)
        losses.append(recipe.step(batch, 60)["drawn"])  # the same place in the schedule, so that lines stay as wide
    assert max(losses[-3:]) < 0.9 * min(losses[:3])

    twin = SketcherRecipe(params, batch)
    twin.load_state_dict(deepcopy(recipe.state_dict()))
    seed_step(0, 99)
    scalars = recipe.step(batch, 60)
    seed_step(0, 99)
    assert twin.step(batch, 60) == scalars
    assert (twin.sample() == recipe.sample()).all()


def test_ink_f1_allows_a_line_to_lie_beside_itself_and_no_more() -> None:
    paper = torch.ones(1, 1, 32, 32)
    line, beside, apart = (paper.clone() for _ in range(3))
    line[..., 10], beside[..., 11], apart[..., 20] = 0, 0, 0
    assert ink_f1(line, line) == pytest.approx(1)
    assert ink_f1(beside, line) == pytest.approx(1)
    assert ink_f1(apart, line) == 0
    assert ink_f1(paper, line) == 0
    assert ink_f1(torch.minimum(line, apart), line) == pytest.approx(2 / 3)


def test_a_sketcher_deaf_to_its_latent_shows_no_variety(params: TrainSketcher) -> None:
    sketcher, batch = untrained(params), some_batch(70, 32)
    truth = 1 - ink_of(batch.pictures)
    heard = sketch_metrics(sketcher, batch.poses, truth, seed=0)
    assert heard["variety"] > 0
    assert heard["l1_blank"] == pytest.approx((1 - truth).mean().item())
    assert heard == sketch_metrics(sketcher, batch.poses, truth, seed=0)
    for up in sketcher.up:
        torch.nn.init.zeros_(up.by_z.weight)
    assert sketch_metrics(sketcher, batch.poses, truth, seed=0)["variety"] == 0
    assert draw_all(sketcher, batch.poses, torch.zeros(70, 4)).shape == truth.shape
