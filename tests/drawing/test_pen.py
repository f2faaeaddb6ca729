"""Strokes as lines and as polygons: where they begin, end and swing, and how wide they are."""

import numpy as np
import pytest

from drawing.pen import ARCS, CORNERS, SPILL, STEPS, SUBPIXEL_BITS, circle_lines, outlines, stroke_lines

ANCHORS = np.array([[0.2, 0.5], [0.8, 0.5], [0.5, 0.1]])
BONES = np.array([[0, 1]])
STRAIGHT, EVEN, WHOLE = np.zeros((1, 2, 2)), np.zeros((1, 3)), np.array([[0.0, 1.0]])


def test_a_steady_stroke_is_the_straight_line_between_its_anchors() -> None:
    (path,) = stroke_lines(ANCHORS, ANCHORS, BONES, STRAIGHT, EVEN, WHOLE)
    np.testing.assert_allclose(path, np.linspace(*ANCHORS[:2], STEPS))


def test_it_begins_and_ends_where_its_part_of_the_way_does() -> None:
    (path,) = stroke_lines(ANCHORS, ANCHORS, BONES, STRAIGHT, EVEN, np.array([[-0.1, 0.5]]))
    np.testing.assert_allclose(path[[0, -1]], [[0.14, 0.5], [0.5, 0.5]])


def test_it_lies_on_the_lines_that_meet_beyond_a_bend_and_ends_at_the_bend() -> None:
    meeting, bent = ANCHORS.copy(), np.array([[2, 1]])
    meeting[1, 0] += 0.1
    (path,) = stroke_lines(ANCHORS, meeting, bent, STRAIGHT, EVEN, WHOLE)
    np.testing.assert_allclose(path[[0, -1]], ANCHORS[[2, 1]], atol=1e-12)
    straight = np.linspace(ANCHORS[2], meeting[1], STEPS)
    assert np.linalg.norm(path - straight, axis=1)[1:-1] == pytest.approx(0.1 * np.linspace(0, 1, STEPS)[1:-1] ** 3)


def test_it_swings_across_its_way_and_not_at_its_ends() -> None:
    (path,) = stroke_lines(ANCHORS, ANCHORS, BONES, STRAIGHT, np.array([[0.05, 0, 0]]), WHOLE)
    np.testing.assert_allclose(path[[0, -1]], ANCHORS[:2], atol=1e-12)
    aside = np.abs(path[:, 1] - 0.5)
    assert aside.argmax() == STEPS // 2
    assert aside.max() == pytest.approx(0.05)


def test_a_circle_is_round_closed_and_one_line_around() -> None:
    arcs = circle_lines(np.array([0.5, 0.4]), (0.0, -1.0), 0.1, 1.0, 0.3, 1.0, np.zeros((2, 6)))
    assert arcs.shape == (2 * ARCS, STEPS, 2)
    np.testing.assert_allclose(np.linalg.norm(arcs - (0.5, 0.4), axis=-1), 0.1)
    np.testing.assert_allclose(arcs[:ARCS, -1], np.roll(arcs[:ARCS, 0], -1, axis=0), atol=1e-12)
    long = circle_lines(np.array([0.5, 0.4]), (0.0, -1.0), 0.1, 1.5, 0.0, 1.0, np.zeros((1, 6)))
    assert np.ptp(long[..., 1]) == pytest.approx(0.3, rel=0.03)
    assert np.ptp(long[..., 0]) == pytest.approx(0.2, rel=0.03)


def test_an_outline_goes_around_its_stroke_at_half_its_width_and_thins_out() -> None:
    side, width = 1000, 0.02
    paths = np.repeat(np.linspace(*ANCHORS[:2], STEPS)[None], 2, axis=0)
    even, thin = outlines(paths, width, 0.0, np.zeros(2), side), outlines(paths, width, 0.9, np.array([0.0, 1.0]), side)
    assert even.shape == (2, CORNERS, 2)
    pixels = (even[0] + 0.0) / 2**SUBPIXEL_BITS + 0.5
    half = (width * side - SPILL) / 2
    assert np.abs(pixels[:, 1] - 500).max() == pytest.approx(half, abs=0.1)
    assert pixels[:, 0].min() == pytest.approx(200 - half, abs=0.1)
    assert pixels[:, 0].max() == pytest.approx(800 + half, abs=0.1)
    widths = np.abs(thin[:, :STEPS, 1] - thin[:, 2 * STEPS + 2 : STEPS + 2 : -1, 1])
    assert widths[0, 0] == widths[0, -1] < widths[0, STEPS // 2] / 5
    assert widths[1, 0] > 5 * widths[1, -1]
