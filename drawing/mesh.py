"""Grids of points around tubes, and which of their triangles is in front at every pixel: a z-buffer.

Picture space: x, y and depth in the unit of the picture; depth grows away from the viewer. Each face is cut into rows, each row into pixels, and
per pixel the smallest depth wins: loops that Numba compiles.
"""

import math
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

TINY = np.float32(1e-6)  # square pixels: a triangle seen from its edge
HALF = np.float32(0.5)
FAR = np.float32(2**15)  # in pixels
YZX, ZXY = np.array([1, 2, 0]), np.array([2, 0, 1])


def cross(a: Array, b: Array) -> Array:
    """np.cross (..., 3), at a fifth of what a call of it costs."""
    product: Array = a.take(YZX, axis=-1) * b.take(ZXY, axis=-1) - a.take(ZXY, axis=-1) * b.take(YZX, axis=-1)
    return product


def unit(vector: Array) -> Array:
    normed: Array = vector / np.sqrt((vector * vector).sum(axis=-1, keepdims=True))
    return normed


class Grid(NamedTuple):
    """Points (K, n, 3): K rings of n points, closed around; turning from one point to the next and going on to the next ring faces outward."""

    points: Array
    part: int
    tone: int
    shell: bool = False  # open: seen from inside too
    facing: Array | None = None  # (K, n, 3) which way it is lit as facing, where not as its own folds do


class Mesh(NamedTuple):
    """V points (V, 3) with unit normals, F faces (F, 4) of them; per face its part, its tone and whether its back shows."""

    points: Array
    normals: Array
    faces: Array
    part: Array
    tone: Array
    shell: Array


@cache
def circle(columns: int) -> Array:
    """(columns, 4): 1, cos, sin and |sin| around a ring."""
    turn = np.arange(columns) * (2 * np.pi / columns)
    return np.stack([np.ones(columns), np.cos(turn), np.sin(turn), np.abs(np.sin(turn))], axis=1)


def tube(rings: Array, columns: int) -> Array:
    """Rings (K, 4, 3) -> points (K, columns, 3): a centre, two axes, and what the second axis is longer by on its one side, shorter on the other."""
    points: Array = circle(columns) @ rings
    return points


@cache
def spline(knots: int, steps: int) -> Array:
    """(K, knots): Catmull-Rom from each knot to the next in `steps` steps."""
    rows = []
    for knot in range(knots - 1):
        around = np.clip([knot - 1, knot, knot + 1, knot + 2], 0, knots - 1)
        for t in np.arange(steps + (knot == knots - 2)) / steps:
            row = np.zeros(knots)
            weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
            np.add.at(row, around, np.array(weights) / 2)
            rows.append(row)
    return np.stack(rows)


def smooth(knots: Array, steps: int) -> Array:
    """(k, ...) -> (K, ...) through the knots."""
    return np.tensordot(spline(len(knots), steps), knots, 1)


@cache
def quads(columns: int) -> Array:
    """(columns, 4): the faces between a ring's points and those of the next, counted from the ring's first point."""
    here = np.arange(columns)
    right = (here + 1) % columns
    return np.stack([here, right, right + columns, here + columns], axis=1)


def join(grids: Iterable[Grid]) -> Mesh:
    """One mesh of all grids; those with as many points in a ring are worked on together."""
    groups: dict[int, list[Grid]] = {}
    for grid in grids:
        groups.setdefault(grid.points.shape[1], []).append(grid)
    meshes: list[Mesh] = []
    total = 0
    for columns, group in groups.items():
        lengths = np.array([len(grid.points) for grid in group])
        ends = np.cumsum(lengths)
        points = np.concatenate([grid.points for grid in group])
        normals = normals_of(points, ends - 1)
        for grid, end in zip(group, ends.tolist(), strict=True):
            if grid.facing is not None:
                normals[end - len(grid.points) : end] = grid.facing
        normals /= np.sqrt((normals * normals).sum(axis=-1, keepdims=True)) + 1e-12
        firsts = np.delete(np.arange(len(points)), ends - 1) * columns + total
        faces = (firsts[:, None, None] + quads(columns)).reshape(-1, 4)
        about = np.repeat(np.array([(grid.part, grid.tone, grid.shell) for grid in group]), (lengths - 1) * columns, axis=0)
        meshes.append(Mesh(points.reshape(-1, 3), normals.reshape(-1, 3), faces, about[:, 0], about[:, 1], about[:, 2] > 0))
        total += len(points) * columns
    return Mesh(*(np.concatenate(arrays) for arrays in zip(*meshes, strict=True)))


def normals_of(points: Array, last: Array) -> Array:
    """Outward, as long as the faces around a point are large; `last` are the rings after which another grid begins."""
    right = np.concatenate([points[:, 1:], points[:, :1]], axis=1)
    below, across = (np.concatenate([ring[1:], ring[:1]]) for ring in (points, right))
    faces = cross(across - points, below - right)  # of the diagonals, since a side may be but a point
    faces[last] = 0
    normals: Array = faces + np.concatenate([faces[:, -1:], faces[:, :-1]], axis=1)
    normals[1:] += normals[:-1].copy()
    return normals


class Front(NamedTuple):
    """What is in front at each pixel (H, W): its depth (FAR where nothing is), its face, counted from 1 (0 there), and its shade."""

    depth: NDArray[np.float32]
    face: NDArray[np.int32]
    shade: NDArray[np.float32]


def fill(points: Array, shade: Array, faces: Array, shell: Array, shape: tuple[int, int]) -> Front:
    """Points (V, 3) in pixels with a shade each (V,), faces (F, 4); one whose back is turned counts only where it is of a shell (F,)."""
    front = Front(np.full(shape, FAR, np.float32), np.zeros(shape, np.int32), np.zeros(shape, np.float32))
    corners = np.column_stack([points, shade]).astype(np.float32)
    polygons, face = turned_to_us(corners[:, :2], faces, shell)
    fill_polygons(corners, polygons, face + 1, *front)
    return front


def turned_to_us(xy: Array, faces: Array, shell: Array) -> tuple[Array, Array]:
    """Convex polygons (N, 4), one way around, of the faces that are seen, and which face each is of. One that is bent so far that it folds in
    the picture is cut into its two triangles."""
    (ax, bx, cx, dx), (ay, by, cy, dy) = (xy[:, axis].take(faces.T) for axis in range(2))
    abd, bcd, abc = area(ax, ay, bx, by, dx, dy), area(bx, by, cx, cy, dx, dy), area(ax, ay, bx, by, cx, cy)
    cda = abd + bcd - abc
    least, most = np.minimum(np.minimum(abd, bcd), np.minimum(abc, cda)), np.maximum(np.maximum(abd, bcd), np.maximum(abc, cda))
    folded = (least < 0) & (most > 0)
    fronts, backs, halves = (np.flatnonzero(which) for which in ((most <= 0) & (least < -TINY), shell & (least >= 0) & (most > TINY), folded))
    polygons, of = [faces.take(fronts, axis=0), faces.take(backs, axis=0)[:, ::-1]], [fronts, backs]
    for size, corner in ((abd, (0, 1, 3, 3)), (bcd, (1, 2, 3, 3))):
        size = size.take(halves)
        for seen, step in ((size < -TINY, 1), ((size > TINY) & shell.take(halves), -1)):
            of.append(halves[seen])
            polygons.append(faces[of[-1]][:, corner[::step]])
    return np.concatenate(polygons), np.concatenate(of)


def area(ax: Array, ay: Array, bx: Array, by: Array, cx: Array, cy: Array) -> Array:
    """Twice that of a triangle, below 0 where it is turned to us."""
    twice: Array = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    return twice


@njit(cache=True, error_model="numpy")
def fill_polygons(corners: Array, polygons: Array, face: Array, depth: Array, faces: Array, shades: Array) -> None:
    """Corners (V, 4): x, y, depth and shade; polygons (N, 4) of them, convex in the picture.

    A polygon has the pixels whose centre lies in it. An edge is computed from its upper end whichever polygon it is of, so that no pixel between
    two polygons is lost.
    """
    height, width = depth.shape
    x, z, s = np.empty((3, 2), np.float32)  # at the two edges that a row meets
    for polygon in range(len(polygons)):
        a, b, c, d = polygons[polygon]
        top = min(corners[a, 1], corners[b, 1], corners[c, 1], corners[d, 1])
        bottom = max(corners[a, 1], corners[b, 1], corners[c, 1], corners[d, 1])
        for row in range(max(0, math.ceil(top - HALF)), min(height, math.ceil(bottom - HALF))):
            middle, met = np.float32(row) + HALF, 0
            for one, other in ((a, b), (b, c), (c, d), (d, a)):
                upper, lower = (one, other) if corners[one, 1] <= corners[other, 1] else (other, one)
                if corners[upper, 1] <= middle < corners[lower, 1]:
                    share = (middle - corners[upper, 1]) / (corners[lower, 1] - corners[upper, 1])
                    x[met] = corners[upper, 0] + share * (corners[lower, 0] - corners[upper, 0])
                    z[met] = corners[upper, 2] + share * (corners[lower, 2] - corners[upper, 2])
                    s[met] = corners[upper, 3] + share * (corners[lower, 3] - corners[upper, 3])
                    met += 1
            left = 0 if x[0] <= x[1] else 1
            begin, end = max(0, math.ceil(x[left] - HALF)), min(width, math.ceil(x[1 - left] - HALF))
            wide = max(x[1 - left] - x[left], TINY)
            z_step, s_step = (z[1 - left] - z[left]) / wide, (s[1 - left] - s[left]) / wide
            for column in range(begin, end):
                inward = np.float32(column) + HALF - x[left]
                here = z[left] + inward * z_step
                if here <= depth[row, column]:
                    depth[row, column] = here
                    faces[row, column] = face[polygon]
                    shades[row, column] = s[left] + inward * s_step
