"""Triangles in a depth buffer, against balls, planes and rays that are known."""

import numpy as np
import pytest

from drawing.mesh import FAR, Grid, Mesh, cross, fill, join, smooth, spline, tube, unit


def ball(x: float, y: float, depth: float, radius: float, part: int = 0, rings: int = 41, columns: int = 80) -> Grid:
    turn = np.linspace(0, np.pi, rings)[:, None]
    axes = np.zeros((rings, 4, 3))
    axes[:, 0] = np.array([x, y, depth]) + np.cos(turn) * (0, -radius, 0)
    axes[:, 1], axes[:, 2] = np.sin(turn) * (radius, 0, 0), np.sin(turn) * (0, 0, -radius)
    return Grid(tube(axes, columns), part, 0)


def filled(mesh: Mesh, size: int, shade: np.ndarray | None = None):
    return fill(mesh.points, np.zeros(len(mesh.points)) if shade is None else shade, mesh.faces, mesh.shell, (size, size))


def test_a_ball_is_a_disc_around_its_centre_nearest_in_its_middle() -> None:
    mesh = join([ball(80, 120, 20, 40)])
    front = filled(mesh, 200)
    rows, columns = np.nonzero(front.face > 0)
    assert np.allclose((columns.mean() + 0.5, rows.mean() + 0.5), (80, 120), atol=0.05)
    assert len(rows) == pytest.approx(np.pi * 40**2, rel=0.01)
    assert front.depth[120, 80] == pytest.approx(20 - 40, abs=0.1)
    assert (front.depth[front.face == 0] == FAR).all()


def test_normals_face_outward_and_shade_is_smooth() -> None:
    mesh = join([ball(100, 100, 0, 60)])
    assert np.abs(mesh.normals - unit(mesh.points - (100, 100, 0))).max() < 0.05
    front = filled(mesh, 200, mesh.normals @ (0, 0, -1.0))
    y, x = np.mgrid[:200, :200] + 0.5
    off = ((x - 100) ** 2 + (y - 100) ** 2) / 60**2
    middle = off < 0.9
    assert np.abs(front.shade - np.sqrt(np.maximum(1 - off, 0)))[middle].max() < 0.02


def test_what_is_lit_otherwise_keeps_its_shape() -> None:
    plain = ball(50, 50, 0, 30)
    mesh = join([plain._replace(facing=np.broadcast_to((0.0, 0.0, -2.0), plain.points.shape))])
    assert (mesh.points == join([plain]).points).all()
    assert np.allclose(mesh.normals, (0, 0, -1))


def test_what_is_nearer_hides_what_is_behind_in_any_order() -> None:
    near, far = ball(50, 50, -30, 10, part=1), ball(55, 50, 30, 30, part=2)
    for order in ([near, far], [far, near]):
        mesh = join(order)
        part = np.append(0, mesh.part)[filled(mesh, 100).face]
        assert (part[50, 50], part[50, 80], part[5, 5]) == (1, 2, 0)


def test_grids_with_different_columns_stay_apart() -> None:
    mesh = join([ball(20, 20, 0, 10, 1), ball(60, 60, 0, 10, 2, columns=12), ball(20, 60, 0, 10, 3, rings=9)])
    part = np.append(0, mesh.part)[filled(mesh, 80).face]
    assert (part[20, 20], part[60, 60], part[60, 20], part[20, 60]) == (1, 2, 3, 0)
    assert set(np.unique(part)) == {0, 1, 2, 3}


def test_a_back_shows_only_on_a_shell() -> None:
    points = np.array([[10, 10, 0], [30, 10, 0], [10, 30, 0]], float)
    outward, inward = np.array([[0, 2, 1, 1]]), np.array([[0, 1, 2, 2]])  # the picture's y points down
    sizes = [(fill(points, np.zeros(3), turn, np.array([shell]), (40, 40)).face == 1).sum() for turn in (outward, inward) for shell in (False, True)]
    assert sizes[0] == sizes[1] == sizes[3] == pytest.approx(200, abs=12)
    assert sizes[2] == 0


def test_faces_that_meet_leave_no_gap_and_lie_on_their_planes() -> None:
    rng = np.random.default_rng(0)
    side = 12
    grid = np.stack(np.meshgrid(np.linspace(5, 95, side), np.linspace(5, 95, side)), axis=-1)
    grid[1:-1, 1:-1] += rng.uniform(-3.5, 3.5, (side - 2, side - 2, 2))
    points = np.column_stack([grid.reshape(-1, 2), 3 + 0.5 * grid[..., 0].ravel() - 0.25 * grid[..., 1].ravel()])
    here = np.arange(side * side).reshape(side, side)
    a, b, c, d = here[:-1, :-1].ravel(), here[:-1, 1:].ravel(), here[1:, :-1].ravel(), here[1:, 1:].ravel()
    triangles = np.concatenate([np.stack([a, b, c, c], axis=1), np.stack([b, d, c, c], axis=1)])
    for faces in (np.stack([a, b, d, c], axis=1), triangles):
        front = fill(points, points[:, 0], faces, np.ones(len(faces), bool), (100, 100))
        assert (front.face[5:95, 5:95] > 0).all() and (front.face > 0).sum() == 90 * 90
        y, x = np.mgrid[5:95, 5:95] + 0.5
        assert np.abs(front.depth[5:95, 5:95] - (3 + 0.5 * x - 0.25 * y)).max() < 1e-3
        assert np.abs(front.shade[5:95, 5:95] - x).max() < 1e-3


def test_a_face_that_folds_is_two_triangles() -> None:
    """Seen so that one half is turned to us and the other away."""
    points = np.array([[10, 10, 0], [30, 20, 0], [10, 40, 9], [14, 20, 4]], float)
    for order in ([0, 3, 2, 1], [3, 2, 1, 0], [0, 1, 2, 3]):
        for shell in (True, False):
            halves = np.array([[order[0], order[1], order[3], order[3]], [order[1], order[2], order[3], order[3]]])
            whole, cut = (fill(points, points[:, 2], faces, np.full(len(faces), shell), (50, 50)) for faces in (np.array([order]), halves))
            assert ((whole.face > 0) == (cut.face > 0)).all()
            assert np.abs(whole.shade - cut.shade).max() < 0.01


def test_every_pixel_shows_what_a_ray_through_its_centre_hits_first() -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform(2, 58, (40, 3, 3))
    faces = np.arange(120).reshape(40, 3)[:, [0, 1, 2, 2]]
    front = fill(corners.reshape(-1, 3), np.zeros(120), faces, np.ones(40, bool), (60, 60))
    for row, column in rng.integers(0, 60, (400, 2)):
        eye, way = np.array([column + 0.5, row + 0.5, -100.0]), np.array([0.0, 0.0, 1.0])
        # Möller and Trumbore 1997
        one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        normal = np.cross(way, other)
        scale = np.einsum("ti,ti->t", one, normal)
        u = np.einsum("ti,ti->t", eye - corners[:, 0], normal) / scale
        v = np.cross(eye - corners[:, 0], one) @ way / scale
        far = np.where((u >= 0) & (v >= 0) & (u + v <= 1), np.einsum("ti,ti->t", other, np.cross(eye - corners[:, 0], one)) / scale, np.inf)
        assert front.face[row, column] == (1 + int(far.argmin()) if np.isfinite(far).any() else 0)


def test_cross_is_the_cross_product() -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 5, 4, 3))
    assert np.allclose(cross(a, b), np.cross(a, b))
    assert np.allclose(cross(a, b[0, 0]), np.cross(a, b[0, 0]))


def test_a_spline_goes_through_its_knots_and_keeps_a_line_straight() -> None:
    knots = np.random.default_rng(3).normal(size=(6, 3))
    assert np.allclose(smooth(knots, 4)[::4], knots)
    assert len(smooth(knots, 4)) == 21
    assert np.allclose(spline(5, 3)[3:-3] @ np.arange(5), np.arange(3, 10) / 3)
