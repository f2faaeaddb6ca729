"""A posed 3D body of tapered capsules: a thresholded projection, and clean line art of the same pose.

The solids are projected as a whole (a sphere stays a sphere, its centre and radius in perspective), then drawn exactly into a depth buffer:
for every pixel the nearest surface wins, so what is hidden is hidden. Lines stand where the silhouette ends, where the depth jumps from one
solid to another, and where hair, skin and clothes meet.

In picture space x, y, depth and radii are all shares of the picture's side; depth grows away from the viewer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from drawing.poses import Body, Camera, Placement, Range, look, place, sample_body, sample_camera
from genga.skeleton import JOINTS

Array = NDArray[Any]
Gray = NDArray[np.uint8]

# what a joint lies in: it is visible where one of these is in front
HOME: dict[str, tuple[str, ...]] = {"head": ("head",), "neck": ("neck", "torso"), "hip": ("torso", "l_leg", "r_leg")}
HOME |= {f"{side}_{joint}": (f"{side}_arm",) for side in "lr" for joint in ("elbow", "wrist")}
HOME |= {f"{side}_{joint}": (f"{side}_leg",) for side in "lr" for joint in ("knee", "ankle")}
SKIN, HAIR, EYE, TOP, BOTTOM, PAPER = range(6)


class Solid(NamedTuple):
    """A round cone, the hull of two spheres; `form` (3, 3), where given, stretches its sections: a unit sphere becomes the image of it."""

    part: str
    tone: int
    start: Array
    end: Array
    start_radius: float
    end_radius: float
    form: Array | None = None

    def seen(self, camera: Camera, middle: Array, placement: Placement) -> "Solid":
        view = look(camera, np.stack([self.start, self.end]), middle)
        (start, end), (at_start, at_end) = placed(view.xy, view.depth, placement), view.scale * placement.zoom
        form = None if self.form is None else camera.rotation() @ self.form
        return Solid(self.part, self.tone, start, end, self.start_radius * at_start, self.end_radius * at_end, form)

    def box(self) -> tuple[Array, Array]:
        reach = 1.0 if self.form is None else np.linalg.norm(self.form[:2], axis=1)
        a, b = self.start_radius * reach, self.end_radius * reach
        return np.minimum(self.start[:2] - a, self.end[:2] - b), np.maximum(self.start[:2] + a, self.end[:2] + b)


def placed(xy: Array, depth: Array, placement: Placement) -> Array:
    """(N, 3) in picture space."""
    return np.column_stack([xy * placement.zoom + placement.shift, depth * placement.zoom])


# --- the body


def solids_of(body: Body, rng: np.random.Generator) -> list[Solid]:
    """Hair, sleeves and what covers the legs vary from one to the next."""
    sleeve, hem = float(rng.choice((0.0, 0.45, 1.0))), float(rng.choice((0.0, 0.42, 1.0)))
    cloth = list(skirt(body)) if hem == 0 else []
    if not cloth:
        hem = max(hem, 0.3)
    solids = [*torso(body), *head(body), *hair(body, rng)]
    for side in "lr":
        solids += [*arm(body, side, sleeve), *leg(body, side, hem)]
    return solids + cloth


def torso(body: Body) -> Iterator[Solid]:
    p, s, h, pelvis = body.points, body.build.shoulder, body.build.head, body.build.pelvis
    chest, hips = body.frames["chest"], body.frames["pelvis"]
    yield Solid("torso", TOP, p["neck"] + chest[:, 1] * 0.55 * s, p["waist"], 0.93 * s, 0.68 * s, chest * (1, 0.6, 0.62))
    yield Solid("torso", TOP, p["waist"], p["hip"] - hips[:, 1] * 0.25 * pelvis, 0.68 * s, 1.65 * pelvis, hips * (1, 0.6, 0.66))
    yield Solid("torso", BOTTOM, p["hip"] - hips[:, 1] * 0.2 * pelvis, p["hip"], 1.7 * pelvis, 1.68 * pelvis, hips * (1, 0.5, 0.68))
    for side in "lr":
        yield Solid("torso", TOP, p["neck"] + chest[:, 1] * 0.12 * s, p[f"{side}_shoulder"], 0.24 * s, 0.31 * s)
    yield Solid("neck", SKIN, p["neck"] + chest[:, 1] * 0.1 * s, p["head"], 0.16 * h, 0.14 * h)


def head(body: Body) -> Iterator[Solid]:
    h, frame, centre = body.build.head, body.frames["head"], body.points["head"]
    yield Solid("head", SKIN, centre, centre, 0.42 * h, 0.42 * h, frame * (0.95, 1.05, 1))
    yield Solid("head", SKIN, centre + frame @ (0, 0.06 * h, -0.08 * h), centre + frame @ (0, 0.39 * h, -0.24 * h), 0.36 * h, 0.1 * h)
    for x in (-1, 1):
        eye = centre + frame @ (0.17 * h * x, 0.10 * h, -0.39 * h)
        yield Solid("head", EYE, eye, eye, 0.1 * h, 0.1 * h, frame * (0.65, 1, 0.6))


def hair(body: Body, rng: np.random.Generator) -> Iterator[Solid]:
    """A mass over the skull, bangs over the forehead, and locks that hang down."""
    h, frame, centre = body.build.head, body.frames["head"], body.points["head"]

    def lock(*path: tuple[float, float, float, float]) -> Iterator[Solid]:
        knots = [(centre + frame @ (x, y, z) * h, thickness * h) for x, y, z, thickness in path]
        for (a, thick), (b, thin) in pairwise(knots):
            yield Solid("head", HAIR, a, b, thick, thin)

    crown = centre + frame @ (0, -0.06 * h, 0.07 * h)
    yield Solid("head", HAIR, crown, crown, 0.47 * h, 0.47 * h, frame)
    for x in np.linspace(-0.3, 0.3, 5) + rng.uniform(-0.05, 0.05):
        yield from lock((0.6 * x, -0.34, -0.22, 0.1), (x, float(rng.uniform(-0.06, 0.06)), -0.42, 0.02))
    length = float(rng.choice((0.25, 0.45, 0.8)))
    for x in (-1, 1):
        yield from lock((0.36 * x, -0.1, -0.12, 0.13), (0.42 * x, 0.2, -0.14, 0.1), (0.4 * x, 0.2 + length, -0.12, 0.02))
    style = rng.choice(("short", "long", "ponytail", "tails"))
    if style == "long":
        for x in (-0.22, 0, 0.22):
            yield from lock((x, 0, 0.2, 0.3), (1.2 * x, 0.6, 0.3, 0.24), (1.4 * x, 1.5, 0.36, 0.05))
    elif style == "ponytail":
        yield from lock((0, -0.3, 0.45, 0.12), (0, -0.3, 0.7, 0.17), (0, 0.3, 0.85, 0.17), (0, 1.1, 0.7, 0.03))
    elif style == "tails":
        for x in (-1, 1):
            yield from lock((0.42 * x, -0.2, 0.1, 0.1), (0.68 * x, -0.2, 0.12, 0.15), (0.85 * x, 0.5, 0.15, 0.15), (0.8 * x, 1.4, 0.15, 0.03))


def clothed(part: str, tone: int, share: float, start: Array, end: Array, start_radius: float, end_radius: float) -> Iterator[Solid]:
    """A limb of skin, and cloth a little wider over the first `share` of it."""
    if share < 1:
        yield Solid(part, SKIN, start, end, start_radius, end_radius)
    if share > 0:
        hem_radius = start_radius + share * (end_radius - start_radius)
        yield Solid(part, tone, start, start + share * (end - start), 1.12 * start_radius, 1.12 * hem_radius)


def arm(body: Body, side: str, sleeve: float) -> Iterator[Solid]:
    """`sleeve`: 0 bare, below 1 a share of the upper arm, 1 down to the wrist."""
    p, part, thick = body.points, f"{side}_arm", 0.24 * body.build.shoulder
    shoulder, elbow, wrist, fingers = (p[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist", "fingers"))
    frame = body.frames[f"{side}_forearm"]
    yield from clothed(part, TOP, sleeve, shoulder, elbow, 1.25 * thick, 0.95 * thick)
    yield from clothed(part, TOP, float(sleeve == 1), elbow, wrist, thick, 0.68 * thick)
    palm = wrist + 0.5 * (fingers - wrist)
    yield Solid(part, SKIN, wrist, palm, 0.66 * thick, 0.85 * thick)
    yield Solid(part, SKIN, palm, fingers, 0.8 * thick, 0.38 * thick)
    yield Solid(part, SKIN, wrist + 0.2 * (palm - wrist), palm - frame[:, 2] * 1.3 * thick, 0.45 * thick, 0.3 * thick)


def leg(body: Body, side: str, hem: float) -> Iterator[Solid]:
    """`hem`: 0 bare under a skirt, below 1 a share of the thigh, 1 down to the ankle."""
    p, part, thick = body.points, f"{side}_leg", body.build.pelvis
    socket, knee, ankle, toes = (p[f"{side}_{name}"] for name in ("socket", "knee", "ankle", "toes"))
    shank, foot = body.frames[f"{side}_shank"], body.frames[f"{side}_foot"]
    calf = knee + 0.3 * (ankle - knee) + shank[:, 2] * 0.1 * thick
    sole = foot[:, 1] * 0.42 * thick
    top = socket if hem else socket + 0.25 * (knee - socket)  # the hip would show above a skirt
    yield from clothed(part, BOTTOM, hem, top, knee, 1.02 * thick if hem else 0.92 * thick, 0.64 * thick)
    yield from clothed(part, BOTTOM, float(hem == 1), knee, calf, 0.62 * thick, 0.66 * thick)
    yield from clothed(part, BOTTOM, float(hem == 1), calf, ankle, 0.66 * thick, 0.4 * thick)
    yield Solid(part, BOTTOM, ankle, ankle + sole + foot[:, 2] * 0.2 * thick, 0.4 * thick, 0.36 * thick)
    yield Solid(part, BOTTOM, ankle + 0.5 * sole, toes + 1.2 * sole, 0.42 * thick, 0.26 * thick)


def skirt(body: Body) -> Iterator[Solid]:
    """From the hips along both thighs, wide enough for them and flat at the hem; none where the legs part or bend too far for it."""
    p, pelvis, hips = body.points, body.build.pelvis, body.frames["pelvis"]
    left, right = (p[f"{side}_socket"] + 0.5 * (p[f"{side}_knee"] - p[f"{side}_socket"]) for side in "lr")
    down = unit((left + right) / 2 - p["hip"])
    if np.linalg.norm(left - right) > 3.6 * pelvis or down @ hips[:, 1] < 0.8:
        return
    across = unit(hips[:, 0] - down * (hips[:, 0] @ down))
    axes = np.column_stack([across, down, np.cross(across, down)])
    width, depth = (float(abs((left - right) @ axes[:, axis])) / 2 + 1.15 * pelvis for axis in (0, 2))
    flare = max(2.35 * pelvis, width)
    form = axes * (1, 0.12, max(0.8, depth / flare))
    belt, seat, hem = p["hip"] - hips[:, 1] * 0.7 * pelvis, p["hip"] + hips[:, 1] * 0.2 * pelvis, p["hip"] + down * 0.55 * body.build.thigh
    yield Solid("torso", BOTTOM, belt, seat, 1.55 * pelvis, 2.15 * pelvis, form)
    yield Solid("torso", BOTTOM, seat, hem, 2.15 * pelvis, flare, form)


def unit(vector: Array) -> Array:
    normed: Array = vector / np.linalg.norm(vector)
    return normed


# --- in the picture


@dataclass(frozen=True)
class Mannequin:
    """A body in front of a camera: solids, pose and body height in picture space; how bright each tone is; unit vector to the light."""

    kind: str
    pose: Array
    solids: Sequence[Solid]
    height: float
    albedo: Array
    light: Array


def sample_mannequin(head_ratio: float, fill: Range, rng: np.random.Generator) -> Mannequin:
    """A pose, a hair style, a camera, a place in the picture and a light from above."""
    body, kind = sample_body(head_ratio, rng)
    camera, joints = sample_camera(rng), body.joints()
    middle = (joints.min(axis=0) + joints.max(axis=0)) / 2
    solids = solids_of(body, rng)
    boxes = [solid.seen(camera, middle, Placement(1, np.zeros(2))).box() for solid in solids]
    placement = place(np.min([low for low, _ in boxes], axis=0), np.max([high for _, high in boxes], axis=0), fill, rng)
    view = look(camera, joints, middle)
    light = np.array([rng.choice((-1, 1)) * rng.uniform(0.3, 0.8), -rng.uniform(0.3, 0.8), -0.7])
    pose = placed(view.xy, view.depth, placement)[:, :2]
    albedo = np.array([1, rng.uniform(0.45, 0.9), 0, rng.uniform(0.85, 1), rng.uniform(0.5, 1), 1])
    return Mannequin(kind, pose, [solid.seen(camera, middle, placement) for solid in solids], placement.zoom, albedo, unit(light))


class Buffers(NamedTuple):
    """Per pixel: depth in pixels (infinite on paper), the index of the solid in front (-1 on paper), and its cosine to the light."""

    depth: NDArray[np.float32]
    solid: NDArray[np.int16]
    lit: NDArray[np.float32]


def render(mannequin: Mannequin, size: int) -> Buffers:
    buffers = Buffers(np.full((size, size), np.inf, np.float32), np.full((size, size), -1, np.int16), np.ones((size, size), np.float32))
    for solid_idx, solid in enumerate(mannequin.solids):
        low, high = solid.box()
        left, top = np.maximum(np.floor(low * size), 0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(high * size), size).astype(int).tolist()
        # pixel centres, in pixels from the solid's start
        x = (np.arange(left, right, dtype=np.float32) + np.float32(0.5 - solid.start[0] * size))[None, :]
        y = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - solid.start[1] * size))[:, None]
        rise, lit = surface(solid, size, x, y, mannequin.light)
        depth, front, shine = (buffer[top:bottom, left:right] for buffer in buffers)
        rise += np.float32(solid.start[2] * size)
        nearer = rise < depth
        np.copyto(depth, rise, where=nearer)
        np.copyto(front, solid_idx, where=nearer)
        np.copyto(shine, lit, where=nearer)
    return buffers


def surface(solid: Solid, size: int, x: Array, y: Array, light: Array) -> tuple[Array, Array]:
    """Depth from the start's centre (infinite outside) and cosine to the light, at pixels x (1, W), y (H, 1) from that centre.

    A solid with a form is a round cone in the space u = form^-1 p. A rotation of that space (the QR decomposition) makes it look along its
    own depth axis: (depth, down, right) of u = U (depth, down, right) of p, U upper triangular.
    """
    axis = (solid.end - solid.start)[::-1] * size
    a, b = solid.start_radius * size, solid.end_radius * size
    if solid.form is None:
        h, dy, dx = axis.tolist()
        depth, across, down, along, r = round_cone(x, y, dx, dy, h, a, b)
        return depth, (light[0] * across + light[1] * down + light[2] * along) / r
    U = np.linalg.qr(np.linalg.inv(solid.form)[::-1, ::-1], mode="r")
    U *= np.sign(np.diag(U))[:, None]
    h, dy, dx = (U @ axis).tolist()
    U = U.astype(np.float32)
    depth, across, down, along, _ = round_cone(U[2, 2] * x, U[1, 1] * y + U[1, 2] * x, dx, dy, h, a, b)
    depth = (depth - U[0, 1] * y - U[0, 2] * x) / U[0, 0]
    # normals go back by the transpose
    normal = (U[0, 2] * along + U[1, 2] * down + U[2, 2] * across, U[0, 1] * along + U[1, 1] * down, U[0, 0] * along)
    length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
    return depth, (light[0] * normal[0] + light[1] * normal[1] + light[2] * normal[2]) / np.maximum(length, 1e-9)


def round_cone(x: Array, y: Array, dx: float, dy: float, h: float, a: float, b: float) -> tuple[Array, Array, Array, Array, Array]:
    """Depth (infinite outside), normal (x, y, depth) times radius, and radius of the nearest sphere along the axis.

    Spheres along the axis: centre t (dx, dy, h), radius a + k t, t in [0, 1]. The nearest surface at (x, y) is at the t that minimises
    h t - sqrt(g(t)), g(t) = (a + k t)^2 - |(x, y) - t (dx, dy)|^2 = C + 2 B t - A t^2.
    """
    reach = 0.98 * (dx * dx + dy * dy) ** 0.5
    # pointing at the viewer, one circle hides the other: less taper then, the larger circle kept
    k = min(max(b - a, -reach), reach)
    a = max(a, b) - max(k, 0.0)
    A = dx * dx + dy * dy - k * k + 1e-4
    B = x * dx + y * dy + a * k
    C = (a * a - x * x) - y * y
    t = np.sqrt(np.maximum(A * C + B * B, 0))
    t *= -h / (A + h * h) ** 0.5
    t += B
    t *= 1 / A
    np.clip(t, 0, 1, out=t)
    g = C + t * (2 * B - A * t)
    inside = g > 0
    root = np.sqrt(np.where(inside, g, 0))
    return np.where(inside, h * t - root, np.inf), x - dx * t, y - dy * t, -root, a + k * t


def visible(mannequin: Mannequin, buffers: Buffers) -> list[bool]:
    """Per joint: whether its own limb is what one sees there."""
    size = len(buffers.solid)
    flags = []
    for joint, (x, y) in zip(JOINTS, (mannequin.pose * size).astype(int).tolist(), strict=True):
        in_front = int(buffers.solid[y, x])
        flags.append(in_front >= 0 and mannequin.solids[in_front].part in HOME[joint])
    return flags


def tones_of(mannequin: Mannequin, buffers: Buffers) -> NDArray[np.int8]:
    """Per pixel; solid -1 takes the last one."""
    return np.array([*(solid.tone for solid in mannequin.solids), PAPER], np.int8)[buffers.solid]


def lines(mannequin: Mannequin, buffers: Buffers, width: float) -> NDArray[np.uint8]:
    """255 on a line about `width` pixels wide."""
    size = len(buffers.solid)
    tone = tones_of(mannequin, buffers)
    step = 0.015 * mannequin.height * size  # depth jumps smaller than this are folds of one form
    edges = np.zeros((size, size), np.uint8)
    for here, there in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:, :], np.s_[:-1, :])):
        differ = buffers.solid[here] != buffers.solid[there]
        with np.errstate(invalid="ignore"):
            jump = np.abs(buffers.depth[here] - buffers.depth[there]) > step
        edges[here] |= ((tone[here] != tone[there]) | (differ & jump)).astype(np.uint8)
    edges *= 255
    _, labels, stats, _ = cv2.connectedComponentsWithStats(edges, connectivity=8)
    crumbs = stats[:, cv2.CC_STAT_AREA] < 0.02 * size
    edges[crumbs[labels]] = 0
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(width / 2) + 1,) * 2)
    thick = cv2.dilate(edges, disc)
    thick[tone == EYE] = 255
    return np.asarray(thick, np.uint8)


def line_art(mannequin: Mannequin, size: int) -> Gray:
    """Contours and inner lines, dark on white, (size, size)."""
    fine = size * 4
    ink = lines(mannequin, render(mannequin, fine), 1.4 * 4)
    return np.asarray(255 - cv2.resize(ink, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def projection(mannequin: Mannequin, buffers: Buffers, threshold: int, blur_sigma: float) -> Gray:
    """Light and shade and contours, black and white at `threshold` of 255, then blurred."""
    gray = 255 * mannequin.albedo.astype(np.float32)[tones_of(mannequin, buffers)] * (0.3 + 0.7 * np.maximum(buffers.lit, 0))
    gray[lines(mannequin, buffers, 0.005 * len(gray)) > 0] = 0
    black_and_white = np.where(gray < threshold, 0, 255).astype(np.uint8)
    if blur_sigma == 0:
        return black_and_white
    return np.asarray(cv2.GaussianBlur(black_and_white, (0, 0), blur_sigma), np.uint8)
