"""Ink and frames of drawings by other means than Genga's own, and of Genga's own: the figure whole, in the middle, and nothing else."""

import dataclasses
from typing import Any

import cv2
import numpy as np
import pytest

from bench.outside_drawings import MEANS, POSES, draw
from drawing.stick import STYLES, draw_stick, sample_style, visible
from genga.errors import DataError
from genga.skeleton import STICKS, fit_into
from models.ink import FRAME_MARGIN, INK, THINNEST, Frame, as_read, frame_of, read_ink, thickness

SIDE = 192
STANDING = fit_into(np.array(POSES["star"]) / 100, 0.15)


def paper_with_figure(pose: np.ndarray = STANDING, side: int = 400, width: int = 6, paper: Any = 255, colour: Any = 0) -> Any:
    picture = np.full((side, side, 3), paper, np.uint8)
    for a, b in STICKS:
        cv2.line(
            picture,
            np.rint(pose[a] * side).astype(int).tolist(),
            np.rint(pose[b] * side).astype(int).tolist(),
            np.broadcast_to(colour, 3).tolist(),
            width,
        )
    return picture


def distance_to_sticks(pose: np.ndarray, points: np.ndarray) -> Any:
    """How far each of the points (N, 2) lies from the nearest stick, or from the head's circle."""
    distances = []
    for a, b in STICKS:
        along = pose[b] - pose[a]
        t = ((points - pose[a]) @ along / (along @ along)).clip(0, 1)
        distances.append(np.linalg.norm(points - pose[a] - t[:, None] * along, axis=1))
    distances.append(np.linalg.norm(points - pose[0], axis=1) - np.linalg.norm(pose[0] - pose[1]))
    return np.min(distances, axis=0)


def framed(picture: Any, joints: np.ndarray) -> tuple[Any, np.ndarray]:
    ink = read_ink(picture)
    frame = frame_of(ink)
    return frame.cut(ink, SIDE), frame.of_picture(joints, ink)


# --- drawings from outside


@pytest.mark.parametrize("means", list(MEANS))
def test_the_figure_and_nothing_else_fills_the_frame(means: str) -> None:
    for seed, pose in enumerate(list(POSES)[::3]):
        drawing = draw(pose, means, seed)
        cut, joints = framed(drawing.picture, drawing.joints)
        low, high = joints.min(axis=0), joints.max(axis=0)
        assert low.min() > 0.02 and high.max() < 0.98
        assert (high - low).max() > 0.58
        places = np.argwhere(cut > INK)[:, ::-1] / SIDE
        assert np.mean(distance_to_sticks(joints, places) < 0.05) > 0.97
        for x, y in (joints[1:] * SIDE).astype(int):
            assert cut[max(y - 7, 0) : y + 8, max(x - 7, 0) : x + 8].max() > INK


@pytest.mark.parametrize("means", ["phone photo", "shadowed photo", "chalkboard", "notebook"])
def test_ink_is_strong_and_paper_is_bare(means: str) -> None:
    drawing = draw("star", means, 1)
    cut, joints = framed(drawing.picture, drawing.joints)
    limbs = np.concatenate([joints[a] + np.linspace(0.3, 0.7, 9)[:, None] * (joints[b] - joints[a]) for a, b in STICKS[1:]])
    strong = [cut[y - 4 : y + 5, x - 4 : x + 5].max() for x, y in (limbs * SIDE).astype(int)]
    assert np.percentile(strong, 5) > 0.6
    points = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=2).reshape(-1, 2) / SIDE
    assert (cut.ravel()[distance_to_sticks(joints, points) > 0.08] > 0.05).mean() < 0.01


def test_yellow_lines_on_white_paper_are_strong_ink() -> None:
    cut, _ = framed(paper_with_figure(colour=(250, 220, 40)), STANDING)
    black, _ = framed(paper_with_figure(), STANDING)
    assert (cut > INK).sum() == pytest.approx((black > INK).sum(), rel=0.05)


@pytest.mark.parametrize("means", ["mouse", "coloured pens", "pencil scan"])
def test_a_drawing_turned_over_reads_the_same(means: str) -> None:
    picture = draw("run", means, 0).picture
    np.testing.assert_allclose(read_ink(255 - picture), read_ink(picture), atol=2.5 / 255)  # two grays of rounding


def test_gray_and_its_rgb_read_the_same() -> None:
    gray = draw("run", "mouse", 0).picture[..., 0]
    np.testing.assert_array_equal(read_ink(gray), read_ink(np.repeat(gray[..., None], 3, axis=2)))


def test_dust_and_a_dark_edge_do_not_move_the_frame() -> None:
    clean = paper_with_figure(fit_into(STANDING, 0.3))
    dirty = clean.copy()
    for x, y in np.random.default_rng(0).integers(20, 380, (40, 2)):
        cv2.circle(dirty, (int(x), int(y)), 1, (90, 90, 90), -1)
    dirty[:, -5:] = 40
    assert np.abs(np.array(frame_of(read_ink(dirty))) - frame_of(read_ink(clean))).max() <= 8


def test_strokes_stay_where_they_cross_the_lines_of_a_notebook() -> None:
    picture = paper_with_figure(colour=30)
    ruled = picture.copy()
    for y in range(15, 400, 22):
        ruled[y : y + 2] = np.minimum(ruled[y : y + 2], (170, 190, 225))
    plain, clean = (read_ink(each) > INK for each in (picture, ruled))
    assert (plain & clean).sum() > 0.95 * plain.sum()
    assert (clean & ~plain).sum() < 0.05 * plain.sum()


def test_a_body_of_straight_strokes_through_the_whole_picture_is_no_ruling() -> None:
    upright = np.array([(50, 3), (50, 15), (56, 30), (44, 30), (57, 48), (43, 48), (50, 52), (51, 74), (49, 74), (51, 98), (49, 98)]) / 100
    ink = read_ink(paper_with_figure(upright))
    for x, y in (upright[1:] * 400).astype(int):
        assert ink[max(y - 4, 0) : y + 5, x - 4 : x + 5].max() > 0.9


@pytest.mark.parametrize("width", [1, 2, 5, 12])
@pytest.mark.parametrize(("resolution", "least"), [(64, THINNEST), (128, THINNEST), (256, THINNEST / 2)])
def test_thin_pens_become_as_wide_as_the_network_knows_and_wide_ones_stay(resolution: int, least: float, width: int) -> None:
    ink = read_ink(paper_with_figure(width=width))
    frame = frame_of(ink)
    seen = cv2.resize(frame.cut(ink, resolution), (frame.side, frame.side), interpolation=cv2.INTER_LINEAR)
    drawn, found = (2 * thickness((each > edge).astype(np.uint8)) / frame.side for each, edge in ((ink, INK), (seen, 0.5)))
    assert found == pytest.approx(max(least, drawn), rel=0.25)


@pytest.mark.parametrize("paper", [255, 130, 40])
def test_a_blank_sheet_is_refused(paper: int) -> None:
    noise = np.random.default_rng(0).integers(-8, 9, (200, 300, 3))
    with pytest.raises(DataError, match="no drawing"):
        read_ink((paper + noise).clip(0, 255).astype(np.uint8))


def test_a_blank_page_of_a_notebook_is_refused() -> None:
    page = np.full((300, 300, 3), 245, np.uint8)
    page[20::25] = (170, 190, 225)
    with pytest.raises(DataError, match="no drawing"):
        read_ink(page)


# --- Genga's own


NOT_YET = pytest.mark.xfail(reason="one of the sheets on a table is cut along a shadow, and with it the figure", strict=True)


@pytest.mark.parametrize(("name", "first_seed"), [*((name, 0) for name in STYLES), pytest.param("photo-desk", 15_000, marks=NOT_YET)])
def test_what_is_learned_from_is_framed_like_what_is_read(name: str, first_seed: int) -> None:
    for seed, pose in enumerate(POSES):
        rng = np.random.default_rng(first_seed + seed)
        style = dataclasses.replace(sample_style([name], rng), cut=0.0, missing=())
        where = fit_into(np.array(POSES[pose]) / 100, 0.1 + 0.02 * seed % 0.15)
        picture, joints = as_read(draw_stick(where, 128, style, rng), where, SIDE)
        assert picture.shape == (SIDE, SIDE) and picture.dtype == np.uint8 and np.median(picture) == 255
        low, high = joints.min(axis=0), joints.max(axis=0)
        assert low.min() > 0 and high.max() < 1 and (high - low).max() > 0.5, (seed, visible(where, style))
        dark = [255 - picture[y - 8 : y + 9, x - 8 : x + 9].min() for x, y in (joints[1:] * SIDE).astype(int)]
        assert np.median(dark) > 150


def test_a_picture_without_a_drawing_stays_as_it_is() -> None:
    blank = np.full((90, 90, 3), 235, np.uint8)
    picture, joints = as_read(blank, STANDING, 32)
    assert np.array_equal(picture, np.full((32, 32), 235))
    assert np.array_equal(joints, STANDING)


def test_a_large_picture_is_read_as_finely_as_the_network_sees_and_no_finer() -> None:
    fine, coarse = (as_read(paper_with_figure(side=side, width=side // 60), STANDING, 64) for side in (1200, 128))
    assert np.allclose(fine[1], coarse[1], atol=0.02)
    assert np.abs(fine[0].astype(int) - coarse[0]).mean() < 12


def test_frames_lead_to_the_picture_and_back() -> None:
    ink, frame = np.zeros((200, 300), np.float32), Frame(left=-20, top=30, side=160)
    np.testing.assert_allclose(frame.to_picture(frame.of_picture(STANDING * 0.4, ink), ink), STANDING * 0.4)
    np.testing.assert_allclose(frame.of_picture(np.array([[60 / 300, 110 / 200]]), ink), [[0.5, 0.5]])


def test_the_frame_leaves_its_margin_around_the_ink() -> None:
    ink = np.zeros((100, 100), np.float32)
    ink[20:70, 40:60] = 1
    assert frame_of(ink).side == round(50 * (1 + 2 * FRAME_MARGIN))
    rows, columns = np.nonzero(frame_of(ink).cut(ink, 60) > INK)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 54, 20, 39)
