"""The pose networks: what they read off heat, a loss that does not ask which limb is the left one, and a confidence that means what it says."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from genga.params import TrainPose, Views, load_params
from genga.skeleton import LIMBS, MIRRORED, STICKS, J, mirror, pck
from models.loop import seed_step
from models.metrics import poses
from models.metrics.calibration import calibration_error, reliability
from models.metrics.poses import calibration_for, near, pose_metrics, read_poses, reliability_plot
from models.networks import build
from models.networks.pose import OTHER_VIEWS, UPRIGHT, PoseNet, heat_of, hints, nothing_seen, read_apart, read_heat, read_peaks
from models.networks.strokes import cell_centres
from models.recipes.pose import Batch, PoseRecipe, ink_of, pose_losses, thickened
from models.views import look, look_points, mirror_image, points_looked_at, random_views, seen_differently

REPO = Path(__file__).parents[2]
HINT_LOGITS = 20.0  # so that almost all heat lies at a hint
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
    none = nothing_seen(2, ink)
    assert torch.allclose(net.heat_logits(ink, none), net.heat_logits(ink * 0.3, none), atol=1e-4)
    assert torch.equal(net(ink)[0], net(ink / 4)[0])  # a power of two: no rounding that a flat heatmap's peak could turn on


def test_hints_show_where_joints_and_the_sticks_between_them_were_seen() -> None:
    joints, share = torch.rand(2, 11, 2) * 0.8 + 0.1, torch.rand(2, 11) * 0.5 + 0.5
    seen = hints(joints, share)
    assert seen.shape == nothing_seen(2, joints).shape
    found, _ = read_heat(HINT_LOGITS * seen)
    assert (found[:, :11] - joints).abs().max() < 0.5 / 32
    assert ((seen.amax(dim=(2, 3))[:, :11] / share > 0.7) & (seen.amax(dim=(2, 3))[:, :11] <= share)).all()
    for place, (start, end) in enumerate(STICKS):
        middle = ((joints[:, start] + joints[:, end]) / 2 * 32).long().clamp(max=31)
        there = seen[torch.arange(2), 11 + place, middle[:, 1], middle[:, 0]]
        assert (there > 0.5 * torch.minimum(share[:, start], share[:, end])).all()


def test_a_picture_and_its_mirror_image_are_read_alike(params: TrainPose) -> None:
    net = build(params.model.model_copy(update={"strokes": False})).eval()  # limbs are explained one after the other, the left one first
    ink, joints, share = torch.rand(2, 1, 32, 32), torch.rand(2, 11, 2) * 0.8 + 0.1, torch.rand(2, 11)
    upright = torch.tensor(UPRIGHT).expand(2, 2)
    here, sure = net.look_again(ink, joints, share, upright)
    there, as_sure = net.look_again(ink.flip(3), mirror_image(joints), share[:, list(MIRRORED)], upright)
    assert torch.allclose(mirror_image(there), here, atol=1e-4)
    assert torch.allclose(as_sure[:, list(MIRRORED)], sure, atol=1e-4)


def test_joints_are_found_where_they_are_in_whichever_view(params: TrainPose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network that takes what is dark for joints of the left side and of the middle, what is paler for those of the right side."""
    net = build(params.model.model_copy(update={"resolution": 128, "strokes": False})).eval()
    right = torch.tensor([joint > other for joint, other in enumerate(MIRRORED)])[None, :, None, None]

    def heat_logits(ink: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        cells = torch.nn.functional.interpolate(ink, (32, 32), mode="area")
        return 20 * torch.where(right, ((cells > 0.3) & (cells < 0.6)).float(), (cells > 0.6).float())

    monkeypatch.setattr(net, "heat_logits", heat_logits)
    ink = torch.zeros(1, 1, 128, 128)
    ink[..., 80:92, 20:32], ink[..., 24:36, 60:72] = 1, 0.45
    how = torch.tensor([UPRIGHT, *OTHER_VIEWS])
    joints, _ = net.seen(ink.expand(len(how), -1, -1, -1), how)
    places = torch.where(right[..., 0], torch.tensor([66.0, 30.0]), torch.tensor([26.0, 86.0])) / 128
    assert (joints - places).abs().max() < 0.03


@pytest.mark.parametrize("strokes", [True, False])
def test_what_is_unsure_is_seen_from_other_sides_and_the_surest_counts(params: TrainPose, monkeypatch: pytest.MonkeyPatch, strokes: bool) -> None:
    net = build(params.model.model_copy(update={"strokes": strokes})).eval()
    views = [UPRIGHT, *OTHER_VIEWS]
    shares = {1: [0.5, 0.6, 0.8, 0.7], 2: [0.95, 0.99, 0.99, 0.99], 3: [0.7, 0.6, 0.65, 0.6]}  # of three pictures from all sides
    asked: list[tuple[int, int]] = []

    def seen(ink: torch.Tensor, how: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pictures = ink[:, 0, 0, 0].int().tolist()
        sides = [min(range(len(views)), key=lambda at: (row - torch.tensor(views[at])).abs().sum()) for row in how]
        asked.extend(zip(pictures, sides, strict=True))
        sure = torch.tensor([shares[picture][side] for picture, side in zip(pictures, sides, strict=True)])
        return torch.tensor(sides)[:, None, None].expand(-1, 11, 2) / 10, sure[:, None].expand(-1, 11).clone()

    monkeypatch.setattr(net, "seen", seen)
    joints, confidence = net(torch.tensor([1.0, 2, 3])[:, None, None, None].expand(-1, 1, 32, 32))
    assert sorted(asked) == sorted([(1, 0), (2, 0), (3, 0), *((picture, side) for picture in (1, 3) for side in (1, 2, 3))])
    assert torch.allclose(joints, torch.tensor([0.2, 0, 0])[:, None, None].expand(-1, 11, 2))
    assert torch.allclose(confidence, torch.tensor([0.8, 0.95, 0.7])[:, None].expand(-1, 11))


def test_the_paper_is_what_the_border_is_made_of() -> None:
    dark_on_light = rng.integers(100, 256, (2, 16, 16), dtype=np.uint8)
    dark_on_light[:, [0, -1]] = dark_on_light[:, :, [0, -1]] = 230
    ink = ink_of(torch.from_numpy(dark_on_light))
    assert torch.allclose(ink[:, 0], torch.from_numpy((230 - dark_on_light.astype(np.float32)).clip(0) / 255), atol=1e-6)
    assert torch.allclose(ink_of(torch.from_numpy(255 - dark_on_light)), ink, atol=1e-6)


def test_heat_is_read_finer_than_its_cells() -> None:
    places = torch.rand(4, 11, 2) * 0.8 + 0.1
    joints, share = read_heat(heat_at(places, side=32))
    assert (joints - places).abs().max() < 0.25 / 32
    assert (share > 0.9).all()


def test_a_joint_that_may_be_in_two_places_is_in_one_of_them_with_less_confidence() -> None:
    one, other = torch.tensor([0.2, 0.5]).expand(1, 11, 2), torch.tensor([0.8, 0.5]).expand(1, 11, 2)
    joints, share = read_heat(torch.logaddexp(heat_at(one, 32) + 0.1, heat_at(other, 32)))
    assert (joints - one).abs().max() < 1 / 32
    assert ((share > 0.4) & (share < 0.6)).all()


def test_peaks_are_read_from_the_highest_to_the_lowest_and_none_twice() -> None:
    one, other = torch.tensor([0.2, 0.5]).expand(1, 11, 2), torch.tensor([0.8, 0.5]).expand(1, 11, 2)
    places, share = read_peaks(heat_of(torch.logaddexp(heat_at(one, 32) + 0.5, heat_at(other, 32))), 3)
    assert (places[:, :, 0] - one).abs().max() < 1 / 32
    assert (places[:, :, 1] - other).abs().max() < 1 / 32
    assert (share[:, :, 0] > share[:, :, 1]).all()
    assert (share[:, :, :2].sum(dim=2) > 0.9).all()
    assert (share[:, :, 2] < 0.01).all()
    places, share = read_peaks(heat_of(1e4 * heat_at(one, 32)), 3)  # all heat in one cell
    assert (places[:, :, 0] - one).abs().max() < 1 / 32
    assert places.isfinite().all()


def test_a_peak_whose_top_lies_between_two_cells_is_one_peak() -> None:
    heat = torch.zeros(1, 11, 32, 32)
    heat[:, :, 15:17, 5:7] = 0.15  # each of the four, to the last bit
    heat[:, :, 15, 25] = 0.4
    places, share = read_peaks(heat, 3)
    assert (places[:, :, :2] * 32 - torch.tensor([[6.0, 16.0], [25.5, 15.5]])).abs().max() < 1e-4
    assert (share - torch.tensor([0.6, 0.4, 0.0])).abs().max() < 1e-5


@pytest.mark.parametrize(("left", "right", "found"), [(0.55, 0.6, "both"), (0.95, 0.9, "one"), (1.0, 1.0, "one")])
def test_what_may_be_either_of_two_limbs_is_not_both_unless_that_is_far_likelier(left: float, right: float, found: str) -> None:
    here, there = torch.tensor([0.2, 0.5]), torch.tensor([0.8, 0.5])
    share = torch.full((1, 11, 1, 1), 0.9)
    share[:, J["l_wrist"]], share[:, J["r_wrist"]] = left, right
    at_here, at_there = (heat_of(heat_at(place.expand(1, 11, 2), 32)) for place in (here, there))
    joints, sure = read_apart((share * at_here + (1 - share) * at_there).log())
    l_wrist = there if found == "both" else here
    assert (joints[0, J["l_wrist"]] - l_wrist).abs().max() < 1 / 32
    assert abs(sure[0, J["l_wrist"]].item() - (1 - left if found == "both" else left)) < 0.05
    others = [at for at in range(11) if at != J["l_wrist"]]
    assert (joints[0, others] - here).abs().max() < 1 / 32


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


def test_an_elbow_goes_with_its_own_wrist() -> None:
    truth = torch.rand(4, 11, 2) * 0.8 + 0.1
    mixed = truth.clone()
    mixed[:, [J["l_wrist"], J["r_wrist"]]] = truth[:, [J["r_wrist"], J["l_wrist"]]]
    right, wrong = (pose_losses(heat_at(found, side=32, sigma=0.02), truth, limbs_may_swap=True) for found in (truth, mixed))
    assert wrong[0] > right[0] + 1
    assert wrong[1] > right[1] + 0.01


def test_steps_on_one_batch_lower_its_loss_and_the_recipe_comes_back_from_its_state(params: TrainPose) -> None:
    batch = some_batch(8, 32)
    still = params.model_copy(update={"views": Views(shift=0.0, scale=0.0, turn=0.0)})
    recipe = PoseRecipe(still, batch, limbs_may_swap=True)

    def loss_now() -> float:
        with torch.no_grad():
            logits = recipe.net.train().heat_logits(ink_of(batch.pictures), nothing_seen(len(batch.poses), batch.poses))
            return pose_losses(logits, batch.poses, limbs_may_swap=True)[0].item()

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
    assert torch.allclose(points_looked_at(look_points(points, views), views), points, atol=1e-5)
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
    assert "pck_0.1/visible" not in metrics
    visible = np.ones((10, 11), bool)
    assert "pck_0.1/visible" not in pose_metrics(off, truth, limbs_may_swap=False, visible=visible)
    visible[:4, J["head"]] = False
    assert pose_metrics(off, truth, limbs_may_swap=False, visible=visible)["pck_0.1/visible"] == pytest.approx(1 - 1 / 106)


def test_near_is_what_pck_counts() -> None:
    found, truth = rng.random((40, 11, 2)), rng.random((40, 11, 2))
    for swap in (False, True):
        assert np.allclose(near(found, truth, 0.3, limbs_may_swap=swap).mean(axis=0), pck(found, truth, 0.3, "bbox", limbs_may_swap=swap))


def over_confident(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Log odds three times too large, and what then was true."""
    odds = rng.normal(1.0, 1.5, count)
    hit = rng.random(count) < 1 / (1 + np.exp(-odds))
    return 1 / (1 + np.exp(-3 * odds)), hit


def test_an_over_confident_network_becomes_calibrated(params: TrainPose) -> None:
    confidence, hit = over_confident(20_000)
    scale, shift = calibration_for(confidence, hit).tolist()
    assert scale == pytest.approx(1 / 3, abs=0.06) and shift == pytest.approx(0, abs=0.15)
    odds = np.log(confidence.clip(1e-3, 1 - 1e-3) / (1 - confidence.clip(1e-3, 1 - 1e-3)))
    calibrated = 1 / (1 + np.exp(-(scale * odds + shift)))
    assert calibration_error(calibrated, hit) < 0.03 < 0.1 < calibration_error(confidence, hit)

    net = build(params.model).eval()
    assert isinstance(net, PoseNet)
    ink = torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        joints, raw = net(ink)
        net.calibration.copy_(torch.tensor([scale, shift]))
        same, sure = net(ink)
    assert torch.equal(joints, same)
    assert torch.allclose(sure.logit(), scale * raw.logit() + shift, atol=1e-4)


@pytest.mark.parametrize("outcome", [True, False])
def test_confidence_stays_a_probability_where_all_was_found_or_nothing(outcome: bool) -> None:
    scale, shift = calibration_for(rng.uniform(0.2, 0.8, 50), np.full(50, outcome)).tolist()
    sure = 1 / (1 + np.exp(-(scale * 0 + shift)))
    assert (sure > 0.9) == outcome and (sure < 0.1) != outcome


def test_calibration_error_of_a_known_case() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.35, 0.35])
    hit = np.array([True, True, True, False, False, True])
    assert calibration_error(confidence, hit) == pytest.approx((4 * (0.95 - 0.75) + 2 * (0.5 - 0.35)) / 6)
    assert reliability(confidence, hit) == [(pytest.approx(0.35), 0.5, 2), (pytest.approx(0.95), 0.75, 4)]
    assert calibration_error(np.ones(4), np.ones(4, bool)) == 0


def test_the_reliability_plot_marks_where_confidence_and_truth_stand() -> None:
    plot = reliability_plot(np.full(10, 0.95), np.arange(10) < 5)
    assert plot.dtype == np.uint8 and plot.shape[2] == 3
    blue = np.argwhere((plot == (40, 90, 220)).all(axis=2))
    assert np.allclose(blue.mean(axis=0), (40 + 0.5 * 360, 40 + 0.95 * 360), atol=3)


def test_pictures_are_read_in_batches_of_any_remainder(params: TrainPose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poses, "JUDGE_BATCH", 8)
    net = build(params.model)
    assert isinstance(net, PoseNet)
    pictures = rng.integers(0, 256, (10, 32, 32), dtype=np.uint8)
    joints, confidence = read_poses(net, pictures)
    assert joints.shape == (10, 11, 2)
    assert np.allclose(joints[9], read_poses(net, pictures[9:])[0][0], atol=1e-4)
    assert confidence.shape == (10, 11)


def test_a_thicker_line_is_the_darkest_ink_within_reach_of_the_pen() -> None:
    ink = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(thickened(ink, 2), torch.nn.functional.max_pool2d(ink, 5, 1, 2))
