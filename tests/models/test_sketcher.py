"""The sketchers, the default and the first system's: what they draw, their recipes, their scores."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from genga.params import StickUNetParams, TrainSketcher, load_params
from genga.skeleton import STICKS, J
from models.loop import seed_step
from models.metrics.sketches import draw_all, ink_f1, sketch_metrics
from models.networks import build
from models.networks.sketcher import PARTS, Outlines, Sketcher, draw_fine_lines, draw_lines, outline
from models.networks.stick_unet import draw_sticks
from models.recipes.pose import Batch, ink_of
from models.recipes.sketcher import CROP, FACE, FAR, LOOKS, SketcherRecipe, crops_of, lines_at, nearness_of_ink
from models.recipes.stick_gan import StickGanRecipe

REPO = Path(__file__).parents[2]
ARCHS = ("sketcher", "stick_unet")
ARMS, LEGS = [[0.7, 0.35], [0.3, 0.35], [0.9, 0.35], [0.1, 0.35]], [[0.6, 0.75], [0.4, 0.75], [0.6, 0.9], [0.4, 0.9]]
STANDING = torch.tensor([[[0.5, 0.15], [0.5, 0.3], *ARMS, [0.5, 0.55], *LEGS]])
rng = np.random.default_rng(0)


@pytest.fixture
def params() -> TrainSketcher:
    stated = load_params(REPO / "params.yaml").train_sketcher
    model = stated.model.model_copy(update={"resolution": 32, "z_dim": 4, "width": 8})
    training = stated.training.model_copy(update={"batch_size": 4, "total_kimg": 0.4, "precision": "fp32"})
    return stated.model_copy(update={"model": model, "training": training})


def of_arch(arch: str, params: TrainSketcher) -> TrainSketcher:
    if arch == "sketcher":
        return params
    model = StickUNetParams(arch="stick_unet", resolution=32, z_dim=4, width=8)
    return params.model_copy(update={"model": model, "outlines": None, "ema_kimg": 0.0})


def some_batch(count: int, side: int) -> Batch:
    """A square of ink around each hip."""
    poses = torch.from_numpy(rng.uniform(0.2, 0.8, (count, 11, 2)).astype(np.float32))
    pictures = np.full((count, side, side), 255, np.uint8)
    for picture, (x, y) in zip(pictures, (poses[:, J["hip"]] * side).int().tolist(), strict=True):
        picture[y - 3 : y + 4, x - 3 : x + 4] = 0
    return Batch(torch.from_numpy(pictures), poses)


def untrained(params: TrainSketcher) -> Any:
    torch.manual_seed(0)
    return build(params.model).eval()


def recipe_of(params: TrainSketcher, batch: Batch) -> SketcherRecipe | StickGanRecipe:
    return SketcherRecipe(params, batch) if params.outlines else StickGanRecipe(params, batch)


def outlines_of(sketcher: Sketcher, pose: Tensor, side: int) -> Tensor:
    """Ink (side, side) of the lines that the inker gets."""
    shapes, _ = sketcher.outliner(pose, torch.zeros(1, sketcher.z_dim))
    return draw_lines(outline(shapes, side, 1 / 256), 1 / 256)[0, 0].detach()


@pytest.mark.parametrize("arch", ARCHS)
def test_a_pose_and_a_latent_give_a_sketch_on_paper(arch: str, params: TrainSketcher) -> None:
    sketch = untrained(of_arch(arch, params))(torch.rand(3, 11, 2), torch.randn(3, 4))
    assert sketch.shape == (3, 1, 32, 32)
    assert ((sketch >= 0) & (sketch <= 1)).all()


@pytest.mark.parametrize("arch", ARCHS)
def test_the_sketch_follows_the_pose_and_the_latent(arch: str, params: TrainSketcher) -> None:
    sketcher, poses, z = untrained(of_arch(arch, params)), torch.rand(2, 11, 2), torch.randn(2, 4)
    sketch = sketcher(poses, z)
    assert not torch.allclose(sketch, sketcher(poses.flip(0), z), atol=1e-4)
    assert not torch.allclose(sketch, sketcher(poses, z.flip(0)), atol=1e-6)
    assert torch.equal(sketch, sketcher(poses, z))


def test_sticks_are_drawn_along_the_bones_and_nowhere_else() -> None:
    ink = draw_sticks(STANDING, 128)[0, 0]
    for start, end in STICKS:
        x, y = (STANDING[0, [start, end]].mean(dim=0) * 128).int().tolist()
        assert ink[y, x] > 0.9
    assert ink[:15].max() == 0 and ink[80, 64] == 0
    dot = draw_sticks(torch.full((1, 11, 2), 0.5), 128)
    assert torch.isfinite(dot).all() and 0 < dot.sum() < 8


def test_before_any_training_an_outline_runs_around_each_limb(params: TrainSketcher) -> None:
    ink = outlines_of(untrained(params), STANDING, 256)
    across_the_forearm = ink[:, int(0.8 * 256)]
    middle = int(0.35 * 256)
    assert across_the_forearm[middle - 1 : middle + 2].max() < 0.2
    assert across_the_forearm[middle - 10 : middle].max() > 0.8
    assert across_the_forearm[middle : middle + 10].max() > 0.8
    assert ink[-4:].max() < 0.1


def test_a_turned_pose_has_the_same_outlines_turned(params: TrainSketcher) -> None:
    sketcher = untrained(params)
    torch.nn.init.zeros_(sketcher.outliner.say.weight)
    turned = torch.stack([1 - STANDING[..., 1], STANDING[..., 0]], dim=2)
    assert torch.allclose(outlines_of(sketcher, turned, 64), outlines_of(sketcher, STANDING, 64).rot90(-1), atol=1e-3)


def test_what_lies_nearer_hides_the_outline_behind_it_and_equals_fuse(params: TrainSketcher) -> None:
    shapes, _ = untrained(params).outliner(STANDING, torch.zeros(1, 4))
    torso, head = list(PARTS).index("torso"), list(PARTS).index("head")
    ends = shapes.ends.clone()
    ends[0, head] = ends[0, torso] + torch.tensor([0.1, 0.0])  # two capsules that overlap

    def ink_in_the_torso(nearness: float) -> float:
        near = shapes.nearness.clone()
        near[0, head, 0], near[0, head, 1] = nearness, 0
        presence = torch.zeros_like(shapes.presence)
        presence[0, [torso, head]] = 1
        outlines = outline(shapes._replace(ends=ends, nearness=near, presence=presence), 64, 1 / 256)
        line = draw_lines(Outlines(*(maps[:, [head]] for maps in outlines)), 1 / 64)
        return float((line[0, 0] * (outlines.inside[0, torso] > 0.02)).max().detach())

    assert ink_in_the_torso(8.0) > 0.7
    assert ink_in_the_torso(0.0) < 0.3
    assert ink_in_the_torso(-8.0) < 0.05


def test_fine_lines_are_the_lines_of_a_drawing_twice_as_large() -> None:
    def a_ring(side: int) -> Outlines:
        centres = (torch.arange(side) + 0.5) / side - 0.5
        x, y = centres[None], centres[:, None]
        away = (x**2 + y**2).sqrt()
        maps = 0.3 - away, torch.ones_like(away), torch.ones_like(away), -x / away, -y / away
        return Outlines(*(each[None, None] for each in maps))

    fine = F.pixel_shuffle(draw_fine_lines(a_ring(32), 1 / 64), 2)
    assert torch.allclose(fine, draw_lines(a_ring(64), 1 / 64), atol=0.02)
    assert fine.max() > 0.8


def test_nearness_of_ink_falls_with_the_distance_from_it_and_gives_lines_of_any_width() -> None:
    pictures = torch.full((1, 32, 32), 255, dtype=torch.uint8)
    pictures[0, :, 10] = 0
    nearness = nearness_of_ink(pictures)
    assert nearness[0, 0, 5, 10] == 1
    assert nearness[0, 0, 5, 14] == pytest.approx(1 - 4 / 32 / FAR, abs=0.01)
    assert nearness[0, 0, 5, 31] == 0
    assert lines_at(nearness, 2 / 32)[0, 0, 5, 12] == pytest.approx(np.exp(-0.5), abs=0.01)


def test_the_encoder_sees_a_figure_upright_however_it_lies() -> None:
    lying = torch.stack([1.05 - STANDING[..., 1], STANDING[..., 0] - 0.02], dim=2)
    crops, again = (crops_of(F.avg_pool2d(draw_sticks(pose, 128), 2), pose, LOOKS) for pose in (STANDING, lying))
    assert crops.shape == (1, len(LOOKS), CROP, CROP)
    assert (crops - again).abs().mean() < 0.02 < 0.04 < crops.mean()


@pytest.mark.parametrize("arch", ARCHS)
def test_steps_on_one_batch_lower_its_loss_and_the_recipe_comes_back_from_its_state(arch: str, params: TrainSketcher) -> None:
    params, batch = of_arch(arch, params).model_copy(update={"lr": 0.002}), some_batch(4, 32)
    for cur_nimg, loss in ((60, "drawn"), (300, "inked")) if arch == "sketcher" else ((60, "drawn"),):
        recipe = recipe_of(params, batch)
        losses = []
        for step in range(30):
            seed_step(0, step)
            losses.append(recipe.step(batch, cur_nimg)[loss])  # the same place in the schedule
        assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])

        twin = recipe_of(params, batch)
        twin.load_state_dict(deepcopy(recipe.state_dict()))
        seed_step(0, 99)
        scalars = recipe.step(batch, cur_nimg)
        seed_step(0, 99)
        assert twin.step(batch, cur_nimg) == scalars
        assert (twin.sample() == recipe.sample()).all()


def test_the_outlines_are_learned_first_and_then_stay(params: TrainSketcher) -> None:
    batch = some_batch(4, 32)
    recipe = SketcherRecipe(params, batch)
    outliner, inker = recipe.sketcher.outliner.say.bias, recipe.sketcher.inker.stem[0].weight
    before = outliner.clone(), inker.clone()
    assert set(recipe.step(batch, 0)) == {"drawn", "kl"}
    assert not torch.equal(outliner, before[0]) and torch.equal(inker, before[1])
    learned = outliner.clone()
    assert set(recipe.step(batch, 300)) == {"inked", "features", "fooled", "told_apart"}
    assert torch.equal(outliner, learned) and not torch.equal(inker, before[1])


def test_the_discriminator_learns_to_tell_drawings_from_sketches(params: TrainSketcher) -> None:
    recipe, batch = SketcherRecipe(params.model_copy(update={"adversarial": 0.0, "ink_weight": 0.0}), some_batch(4, 32)), some_batch(4, 32)
    told_apart = []
    for step in range(30):
        seed_step(0, step)
        told_apart.append(recipe.step(batch, 300)["told_apart"])
    assert np.mean(told_apart[-3:]) < 0.85 * told_apart[0]


def test_heads_are_judged_by_themselves(params: TrainSketcher) -> None:
    recipe, batch = SketcherRecipe(params, some_batch(4, 32)), some_batch(4, 32)
    before = [weight.clone() for weight in recipe.face_discriminator.parameters()]
    recipe.step(batch, 300)
    after = recipe.face_discriminator.parameters()
    assert not any(torch.equal(weight, old) for weight, old in zip(after, before, strict=True))
    ink = torch.zeros(1, 1, 128, 128)
    x, y = (STANDING[0, J["head"]] * 128).long().tolist()
    ink[0, 0, y - 1 : y + 2, x - 1 : x + 2] = 1
    head, nowhere = (crops_of(drawn, STANDING, FACE) for drawn in (ink, ink.flip(2)))
    assert head[0, 0, CROP // 2 - 2 : CROP // 2 + 2, CROP // 2 - 2 : CROP // 2 + 2].max() > 0.5 and nowhere.max() == 0


def test_each_arch_has_the_settings_of_its_own_training(params: TrainSketcher) -> None:
    for wrong in ({"outlines": None}, {"model": {"arch": "stick_unet", "resolution": 32, "z_dim": 4, "width": 8}}):
        with pytest.raises(ValidationError, match="outlines belong to the sketcher"):
            TrainSketcher.model_validate(params.model_dump() | wrong)


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
    torch.nn.init.zeros_(sketcher.outliner.understand[0].weight[:, -4:])
    assert sketch_metrics(sketcher, batch.poses, truth, seed=0)["variety"] == 0
    assert draw_all(sketcher, batch.poses, torch.zeros(70, 4)).shape == truth.shape
