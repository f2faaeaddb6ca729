"""The sketchers, the default and the first system's: what they draw, their recipes, their scores."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from genga.params import SketchGan, StickUNetParams, TrainSketcher, Views, load_params
from genga.skeleton import STICKS, J
from models.loop import seed_step
from models.metrics.sketches import draw_all, ink_f1, sketch_metrics
from models.networks import build
from models.networks.sketcher import CANDIDATES, CROP, LOOKS, Sketcher, crops_of, looks_of, shapes_of
from models.networks.stick_unet import draw_sticks
from models.recipes.pose import Batch, ink_of
from models.recipes.sketcher import SketcherRecipe, misfit_of
from models.recipes.stick_gan import StickGanRecipe
from models.views import mirror_image

REPO = Path(__file__).parents[2]
ARCHS = ("sketcher", "stick_unet")
ARMS, LEGS = [[0.7, 0.35], [0.3, 0.35], [0.9, 0.35], [0.1, 0.35]], [[0.6, 0.75], [0.4, 0.75], [0.6, 0.9], [0.4, 0.9]]
STANDING = torch.tensor([[[0.5, 0.15], [0.5, 0.3], *ARMS, [0.5, 0.55], *LEGS]])
SIDE = 64
rng = np.random.default_rng(0)


@pytest.fixture
def params() -> TrainSketcher:
    stated = load_params(REPO / "params.yaml").train_sketcher
    model = stated.model.model_copy(update={"resolution": SIDE, "z_dim": 4, "width": 16})
    training = stated.training.model_copy(update={"batch_size": 4, "total_kimg": 0.4, "precision": "fp32"})
    return stated.model_copy(update={"model": model, "training": training})


def of_arch(arch: str, params: TrainSketcher) -> TrainSketcher:
    if arch == "sketcher":
        return params
    model = StickUNetParams(arch="stick_unet", resolution=SIDE, z_dim=4, width=8)
    gan = SketchGan(beta1=0.5, ink_weight=0.3, adversarial=0.5, views=Views(shift=0.05, scale=0.1, turn=15.0))
    return params.model_copy(update={"model": model, "remembered": None, "gan": gan, "ema_kimg": 0.0})


def drawn(poses: Tensor, head: float = 0.06) -> np.ndarray:
    """Sticks, and a head of this radius, as a person may draw them."""
    sheets = np.full((len(poses), 4 * SIDE, 4 * SIDE), 255, np.uint8)
    for sheet, pose in zip(sheets, (poses * 4 * SIDE).int().tolist(), strict=True):
        for start, end in STICKS:
            cv2.line(sheet, pose[start], pose[end], 0, 6, cv2.LINE_AA)
        cv2.circle(sheet, pose[J["head"]], round(head * 4 * SIDE), 0, 6, cv2.LINE_AA)
    return np.stack([cv2.resize(sheet, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for sheet in sheets])


def some_poses(count: int) -> Tensor:
    """People who move their arms and legs a little."""
    moved = STANDING + torch.from_numpy(rng.normal(0, 0.04, (count, 11, 2))).float()
    return moved.clamp(0.05, 0.95)


def some_batch(count: int) -> Batch:
    poses = some_poses(count)
    return Batch(torch.from_numpy(drawn(poses)), poses)


def knowing(drawings: np.ndarray, poses: Tensor, z_dim: int = 4) -> Sketcher:
    torch.manual_seed(0)
    sketcher = Sketcher(SIDE, z_dim, 16).eval()
    sketcher.remember(drawings, poses)
    return sketcher


def untrained(params: TrainSketcher) -> Any:
    torch.manual_seed(0)
    net = build(params.model).eval()
    if isinstance(net, Sketcher):
        poses = some_poses(30)
        net.remember(np.concatenate([drawn(poses[:15]), drawn(poses[15:], head=0.1)]), poses)
    return net


def recipe_of(params: TrainSketcher, batch: Batch) -> SketcherRecipe | StickGanRecipe:
    return SketcherRecipe(params, some_batch(30), batch) if params.remembered else StickGanRecipe(params, batch)


# --- what they draw


@pytest.mark.parametrize("arch", ARCHS)
def test_a_pose_and_a_latent_give_a_sketch_on_paper(arch: str, params: TrainSketcher) -> None:
    sketch = untrained(of_arch(arch, params))(torch.rand(3, 11, 2), torch.randn(3, 4))
    assert sketch.shape == (3, 1, SIDE, SIDE)
    assert ((sketch >= 0) & (sketch <= 1)).all()


@pytest.mark.parametrize("arch", ARCHS)
def test_the_sketch_follows_the_pose_and_the_latent(arch: str, params: TrainSketcher) -> None:
    sketcher, poses, z = untrained(of_arch(arch, params)), some_poses(2), torch.randn(2, 4)
    with torch.no_grad():
        sketch = sketcher(poses, z)
        assert not torch.allclose(sketch, sketcher(poses.flip(0), z), atol=1e-4)
        assert not torch.allclose(sketch, sketcher(poses, z.flip(0)), atol=1e-6)
        assert torch.equal(sketch, sketcher(poses, z))


def test_ink_lies_along_the_sticks_of_a_pose_that_nobody_drew() -> None:
    known = some_poses(40)
    sketcher, asked = knowing(drawn(known), known), some_poses(5)
    with torch.no_grad():
        ink = 1 - sketcher(asked, torch.zeros(5, 4))
    wanted = 1 - torch.from_numpy(drawn(asked))[:, None].float() / 255
    assert misfit_of(ink, wanted).max() < 0.1 < 0.4 < misfit_of(ink.flip(2), wanted).min()


def test_the_pose_of_a_drawing_finds_that_drawing_and_its_mirror_image_finds_it_flipped() -> None:
    known = some_poses(20)
    sketcher = knowing(drawn(known), known)
    moved = known[[7]] * 0.5 + 0.2
    assert sketcher.near(moved)[0, 0] == 7
    assert sketcher.near(mirror_image(moved))[0, 0] == 20 + 7
    assert torch.allclose(sketcher.poses_of(torch.tensor([7, 27])), torch.cat([known[[7]], mirror_image(known[[7]])]))
    with torch.no_grad():
        ink = sketcher.bent(torch.tensor([7, 27]), torch.cat([known[[7]], mirror_image(known[[7]])]))
    assert (ink[0] - ink[1].flip(2)).abs().mean() < 0.02 * ink.mean() / 0.1
    least = (shapes_of(known[[7]]) - shapes_of(known)).norm(dim=1).sort().values[3].item()
    assert 7 not in sketcher.near(known[[7]], least)[0, :16].tolist()


def test_z_decides_among_looks_and_its_first_number_makes_heads_larger() -> None:
    poses = STANDING.expand(8, 11, 2) + torch.linspace(0, 1e-3, 8)[:, None, None]
    sketcher = knowing(np.concatenate([drawn(poses[:4], 0.05), drawn(poses[4:], 0.12)]), poses)
    small, large = sketcher.looks[:4].mean(dim=0), sketcher.looks[4:].mean(dim=0)
    assert (sketcher.choose(STANDING, small[None]) % 8).item() < 4 <= (sketcher.choose(STANDING, large[None]) % 8).item()
    sketcher.expect = lambda pose, rows: 0.5 * (rows % 8 >= 4)  # type: ignore[method-assign,assignment]
    assert (sketcher.choose(STANDING, large[None]) % 8).item() < 4  # whatever it looks like, it would become much worse


def test_no_drawing_is_taken_twice_of_one_pose_while_there_is_another() -> None:
    poses = STANDING.expand(12, 11, 2) + torch.linspace(0, 1e-3, 12)[:, None, None]
    sketcher = knowing(np.concatenate([drawn(poses[[n]], 0.04 + 0.008 * n) for n in range(12)]), poses)
    z = torch.randn(1, 4).expand(12, 1, 4)  # alone, each would take the same
    rows = [int(sketcher.choose(STANDING, each, z[:at])) for at, each in enumerate(z)]
    assert rows[0] == sketcher.choose(STANDING, z[0])
    assert sorted(row % 12 for row in rows) == list(range(12))
    lonely = knowing(drawn(STANDING), STANDING)
    assert {int(lonely.choose(STANDING, each, z[:at])) % 1 for at, each in enumerate(z)} == {0}


def test_the_first_number_of_z_makes_heads_larger() -> None:
    sketcher = knowing(drawn(STANDING, 0.1), STANDING)

    def head_width(first: float) -> float:
        with torch.no_grad():
            ink = 1 - sketcher(STANDING, torch.tensor([[first, 0, 0, 0]]))[0, 0]
        across = (ink[round(0.15 * SIDE)] > 0.5).nonzero()
        return float(across.max() - across.min())

    assert head_width(3.0) >= head_width(-3.0) + 2


def test_what_is_expected_to_fit_badly_is_not_taken() -> None:
    known = some_poses(60)
    sketcher = knowing(drawn(known), known)
    rows = sketcher.near(STANDING)
    assert rows.shape == (1, CANDIDATES)
    assert (sketcher.expect(STANDING, rows).diff(dim=1) > -1e-6).all()  # untrained: by how like the poses are
    refused = rows[0, :20].tolist()

    def expect(pose: Tensor, rows: Tensor) -> Tensor:
        return torch.tensor([[float(row in refused) for row in rows[0].tolist()]])

    sketcher.expect = expect  # type: ignore[assignment,method-assign]
    assert {sketcher.choose(STANDING, torch.randn(1, 4)).item() for _ in range(20)}.isdisjoint(refused)


def test_looks_are_as_a_random_latent_and_say_nothing_where_all_are_alike() -> None:
    seen = torch.randn(200, 10) * torch.linspace(5, 0.1, 10)
    looks = looks_of(seen, 4)
    assert torch.allclose(looks.T.cov(), torch.eye(4), atol=1e-3)
    assert torch.allclose(looks.mean(dim=0), torch.zeros(4), atol=1e-4)
    assert torch.equal(looks_of(torch.ones(5, 10), 4), torch.zeros(5, 4))
    assert looks_of(torch.randn(3, 2), 4).shape == (3, 4)


def test_a_figure_is_seen_upright_however_it_lies() -> None:
    lying = torch.stack([1.05 - STANDING[..., 1], STANDING[..., 0] - 0.02], dim=2)
    crops, again = (crops_of(draw_sticks(pose, 128), pose, LOOKS) for pose in (STANDING, lying))
    assert crops.shape == (1, len(LOOKS), CROP, CROP)
    assert (crops - again).abs().mean() < 0.02 < 0.04 < crops.mean()


def test_what_it_remembers_is_saved_with_it() -> None:
    known = some_poses(9)
    sketcher, empty = knowing(drawn(known), known), Sketcher(SIDE, 4, 16).eval()
    empty.load_state_dict(sketcher.state_dict())
    poses, z = some_poses(2), torch.randn(2, 4)
    with torch.no_grad():
        assert torch.equal(empty(poses, z), sketcher(poses, z))
    with pytest.raises(RuntimeError, match="misfit"):
        Sketcher(SIDE, 4, 32).load_state_dict(sketcher.state_dict())


def test_sticks_are_drawn_along_the_bones_and_nowhere_else() -> None:
    ink = draw_sticks(STANDING, 128)[0, 0]
    for start, end in STICKS:
        x, y = (STANDING[0, [start, end]].mean(dim=0) * 128).int().tolist()
        assert ink[y, x] > 0.9
    assert ink[:15].max() == 0 and ink[80, 64] == 0
    dot = draw_sticks(torch.full((1, 11, 2), 0.5), 128)
    assert torch.isfinite(dot).all() and 0 < dot.sum() < 8


# --- their recipes


@pytest.mark.parametrize(("arch", "loss"), [("sketcher", "surprise"), ("stick_unet", "drawn")])
def test_steps_on_one_batch_lower_its_loss_and_the_recipe_comes_back_from_its_state(arch: str, loss: str, params: TrainSketcher) -> None:
    params, batch = of_arch(arch, params).model_copy(update={"lr": 0.002}), some_batch(4)
    recipe = recipe_of(params, batch)
    losses = []
    for step in range(30):
        seed_step(0, step % 3)
        losses.append(recipe.step(batch, 60)[loss])  # the same place in the schedule
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])

    twin = deepcopy(recipe)
    twin.load_state_dict(deepcopy(recipe.state_dict()))
    seed_step(0, 99)
    scalars = recipe.step(batch, 60)
    seed_step(0, 99)
    assert twin.step(batch, 60) == scalars
    assert (twin.sample() == recipe.sample()).all()


def test_the_sketcher_learns_which_drawings_do_not_fit(params: TrainSketcher) -> None:
    """Whoever has the left hand up was drawn upside down: only from poses can that be known beforehand."""
    poses, wrong = some_poses(24), torch.arange(24) < 12
    poses[wrong, J["l_wrist"], 1] -= 0.25
    drawings = drawn(poses)
    drawings[wrong.numpy()] = drawings[wrong.numpy(), ::-1]
    known, right = Batch(torch.from_numpy(drawings), poses), (~wrong).nonzero()[:, 0]
    recipe = SketcherRecipe(params.model_copy(update={"lr": 0.01, "ema_kimg": 0.05}), known, known)
    for step in range(150):
        seed_step(0, step)
        idxs = right[torch.randperm(len(right))[:4]]
        recipe.step(Batch(known.pictures[idxs], poses[idxs]), 60)
    sketcher, asked = recipe.sketcher_ema, poses[right[:8]]
    rows = sketcher.near(asked)
    expected, is_wrong = sketcher.expect(asked, rows), wrong[rows % 24]
    assert expected[is_wrong].mean() > expected[~is_wrong].mean() + 0.1


def test_it_remembers_no_more_drawings_than_it_may_and_of_these_the_first(params: TrainSketcher) -> None:
    known = some_batch(30)
    recipe = SketcherRecipe(params.model_copy(update={"remembered": 12}), known, some_batch(2))
    assert torch.equal(recipe.sketcher_ema.poses.cpu(), known.poses[:12])


def test_each_arch_has_the_settings_of_its_own_training(params: TrainSketcher) -> None:
    stick_unet = of_arch("stick_unet", params).model_dump()
    for wrong in (params.model_dump() | {"remembered": None}, params.model_dump() | {"gan": stick_unet["gan"]}, stick_unet | {"gan": None}):
        with pytest.raises(ValidationError, match="the sketcher has a number of drawings in remembered"):
            TrainSketcher.model_validate(wrong)


# --- their scores


def test_misfit_is_0_for_the_same_ink_and_1_where_none_is_shared() -> None:
    ink = torch.zeros(1, 1, 64, 64)
    ink[..., 10] = 1
    assert misfit_of(ink, ink) == pytest.approx(0, abs=1e-6)
    assert misfit_of(ink, ink.roll(1, 3)) == pytest.approx(0, abs=1e-6)  # in the same cells
    assert misfit_of(ink, ink.roll(20, 3)) == pytest.approx(1)
    assert misfit_of(ink, torch.zeros_like(ink)) == pytest.approx(1)


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
    sketcher, batch = untrained(params), some_batch(70)
    truth = 1 - ink_of(batch.pictures)
    heard = sketch_metrics(sketcher, batch.poses, truth, seed=0)
    assert heard["variety"] > 0
    assert heard["l1_blank"] == pytest.approx((1 - truth).mean().item())
    assert heard == sketch_metrics(sketcher, batch.poses, truth, seed=0)
    assert draw_all(sketcher, batch.poses, torch.zeros(70, 4)).shape == truth.shape

    class Deaf(nn.Module):
        z_dim = 4

        def __init__(self) -> None:
            super().__init__()
            self.heard = sketcher

        def forward(self, poses: Tensor, z: Tensor, before: Tensor) -> Any:
            return self.heard(poses, torch.zeros_like(z), before)

    assert sketch_metrics(Deaf(), batch.poses, truth, seed=0)["variety"] == 0
