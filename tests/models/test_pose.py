"""The pose networks: what they read off heat, and a loss that does not ask which limb is the left one."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from genga.params import TrainPose, Views, load_params
from genga.skeleton import LIMBS, J, mirror, swap_limbs
from models.loop import seed_step
from models.metrics.poses import pose_metrics, read_poses
from models.networks import build
from models.networks.pose import PoseNet, cell_centres, read_heat
from models.recipes.pose import Batch, PoseRecipe, ink_of, nearer_names, pose_losses
from models.views import look, look_points, random_views, seen_differently

REPO = Path(__file__).parents[2]
rng = np.random.default_rng(0)


@pytest.fixture
def params() -> TrainPose:
    stated = load_params(REPO / "params.yaml").train_pose["stick"]
    model = stated.model.model_copy(update={"resolution": 32, "width": 8})
    training = stated.training.model_copy(update={"batch_size": 8, "total_kimg": 1.6, "precision": "fp32"})
    return stated.model_copy(update={"model": model, "training": training})


def some_batch(count: int, side: int) -> Batch:
    return Batch(
        torch.from_numpy(rng.integers(0, 256, (count, side, side), dtype=np.uint8)), torch.from_numpy(rng.random((count, 11, 2), dtype=np.float32))
    )


def heat_at(places: torch.Tensor, side: int, sigma: float = 0.03) -> torch.Tensor:
    """Logits (N, J, H, H) of blobs around places (N, J, 2)."""
    centres = cell_centres(side, places)
    across, down = ((centres - places[..., axis, None]) ** 2 for axis in (0, 1))
    return -(across[:, :, None, :] + down[:, :, :, None]) / (2 * sigma**2)


def exchanged(poses: torch.Tensor, limb: str) -> torch.Tensor:
    left, right = LIMBS[limb]
    swapped = poses.clone()
    swapped[:, [*left, *right]] = poses[:, [*right, *left]]
    return swapped


def test_the_network_gives_joints_and_confidence_in_the_unit_square(params: TrainPose) -> None:
    joints, confidence = build(params.model).eval()(torch.rand(3, 1, 32, 32))
    assert joints.shape == (3, 11, 2)
    assert confidence.shape == (3, 11)
    for found in (joints, confidence):
        assert ((found >= 0) & (found <= 1)).all()


def test_pale_lines_are_read_like_dark_ones(params: TrainPose) -> None:
    net = build(params.model).eval()
    ink = torch.rand(2, 1, 32, 32)
    assert torch.allclose(net(ink)[0], net(ink * 0.3)[0], atol=1e-4)


def test_heat_is_read_finer_than_its_cells() -> None:
    places = torch.rand(4, 11, 2) * 0.8 + 0.1
    joints, confidence = read_heat(heat_at(places, side=32))
    assert (joints - places).abs().max() < 0.25 / 32
    assert (confidence > 0.9).all()


def test_a_joint_that_may_be_in_two_places_is_in_one_of_them_with_less_confidence() -> None:
    one, other = torch.tensor([0.2, 0.5]).expand(1, 11, 2), torch.tensor([0.8, 0.5]).expand(1, 11, 2)
    joints, confidence = read_heat(torch.logaddexp(heat_at(one, 32) + 0.1, heat_at(other, 32)))
    assert (joints - one).abs().max() < 1 / 32
    assert ((confidence > 0.4) & (confidence < 0.6)).all()


@pytest.mark.parametrize("limb", ["arm", "leg"])
def test_with_sticks_the_loss_does_not_ask_which_limb_is_the_left_one(limb: str) -> None:
    truth = torch.rand(4, 11, 2) * 0.8 + 0.1
    logits = heat_at(truth, side=32, sigma=0.02)
    other_names = heat_at(exchanged(truth, limb), side=32, sigma=0.02)
    same, swapped = (pose_losses(found, truth, limbs_may_swap=True) for found in (logits, other_names))
    assert torch.allclose(torch.stack(same), torch.stack(swapped), atol=1e-5)
    strict = pose_losses(other_names, truth, limbs_may_swap=False)
    assert strict[0] > same[0] + 1
    assert strict[1] > same[1] + 0.01


def test_limbs_are_named_by_the_rule_of_the_skeleton() -> None:
    found, truth = torch.rand(50, 11, 2), torch.rand(50, 11, 2)
    ours = nearer_names(found, truth).numpy()
    by_rule = swap_limbs(found.numpy(), truth.numpy())
    assert np.allclose(np.linalg.norm(ours - found.numpy(), axis=2).sum(), np.linalg.norm(by_rule - truth.numpy(), axis=2).sum())


def test_steps_on_one_batch_lower_its_loss_and_the_recipe_comes_back_from_its_state(params: TrainPose) -> None:
    batch = some_batch(8, 32)
    still = params.model_copy(update={"views": Views(shift=0.0, scale=0.0, turn=0.0)})
    recipe = PoseRecipe(still, batch, limbs_may_swap=True)

    def loss_now() -> float:
        with torch.no_grad():
            return pose_losses(recipe.net.train().heat_logits(ink_of(batch.pictures)), batch.poses, limbs_may_swap=True)[0].item()

    before = loss_now()
    for step in range(30):
        seed_step(0, step)
        recipe.step(batch, 160 + step * 8)
    assert loss_now() < 0.9 * before

    twin = PoseRecipe(still, batch, limbs_may_swap=True)
    twin.load_state_dict(deepcopy(recipe.state_dict()))
    seed_step(0, 99)
    scalars = recipe.step(batch, 120)
    seed_step(0, 99)
    assert twin.step(batch, 120) == scalars


def test_points_move_with_the_picture() -> None:
    side, count = 64, 6
    points = torch.rand(count, 1, 2) * 0.4 + 0.3
    centres = cell_centres(side, points)
    blobs = torch.exp(-((centres - points[:, :, :1]) ** 2)[:, :, None, :] / 0.005 - ((centres - points[:, :, 1:]) ** 2)[:, :, :, None] / 0.005)
    views = random_views(count, Views(shift=0.1, scale=0.3, turn=30.0), torch.device("cpu"))
    seen = look(blobs, views, "zeros")
    mass = seen.sum(dim=(2, 3))
    middle = torch.stack([(seen.sum(dim=2) * centres).sum(dim=2) / mass, (seen.sum(dim=3) * centres).sum(dim=2) / mass], dim=2)
    assert (middle - look_points(points, views)).abs().max() < 0.005
    assert (middle - points).abs().max() > 0.02


def test_a_mirrored_picture_has_the_mirrored_pose() -> None:
    batch = some_batch(64, 8)
    ink, poses = seen_differently(ink_of(batch.pictures), batch.poses, Views(shift=0.0, scale=0.0, turn=0.0))
    flipped = torch.isclose(ink, ink_of(batch.pictures).flip(3), atol=1e-4).all(dim=3).all(dim=2).all(dim=1)
    assert 10 < flipped.sum() < 54
    expected = np.where(flipped[:, None, None].numpy(), mirror(batch.poses.numpy()), batch.poses.numpy())
    assert np.allclose(poses.numpy(), expected, atol=1e-5)


def test_metrics_count_joints_near_the_truth() -> None:
    truth = rng.random((10, 11, 2))
    off = truth.copy()
    off[:5, J["head"], 0] += 0.7
    metrics = pose_metrics(off, truth, limbs_may_swap=False)
    assert metrics["pck_0.1/head"] == 0.5
    assert metrics["pck_0.1"] == pytest.approx(1 - 0.5 / 11)


def test_pictures_are_read_in_batches_of_any_remainder(params: TrainPose) -> None:
    net = build(params.model)
    assert isinstance(net, PoseNet)
    pictures = rng.integers(0, 256, (130, 32, 32), dtype=np.uint8)
    joints, confidence = read_poses(net, pictures)
    assert joints.shape == (130, 11, 2)
    assert np.allclose(joints[129], read_poses(net, pictures[129:])[0][0], atol=1e-4)
    assert confidence.shape == (130, 11)
