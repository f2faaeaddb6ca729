"""A posed 3D body with anime proportions, hair, a face and clothes: a thresholded projection, and clean line art of the same pose.

The surfaces are drawn into one depth buffer (drawing/mesh.py), so what is hidden is hidden; both pictures come from it. Lines stand where the
silhouette ends, where a surface ends in front of another, and where hair, skin and clothes meet.

In picture space x, y, depth and radii are all shares of the picture's side; depth grows away from the viewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from drawing.mannequin_body import BOTTOM, HAIR, INK, PAPER, PARTS, SHOES, SKIN, TONES, TOP, TRIM, WHITE, P, face, head
from drawing.mannequin_dress import OUTFITS, clothed
from drawing.mannequin_hair import HAIR_STYLES, hair
from drawing.mesh import Mesh, fill, join, unit
from drawing.poses import Body, Camera, collides, look, move, place, sample_angles, sample_build, sample_kind
from genga.errors import DataError
from genga.params import CameraRanges, Mannequins
from genga.skeleton import JOINTS

Array = NDArray[Any]
Gray = NDArray[np.uint8]

LOOKS = tuple(f"{hair_style}-{outfit}" for hair_style in HAIR_STYLES for outfit in OUTFITS)

# What a joint lies in, and how deep, in `u` of drawing/mannequin_body.py, the head under its hair in heads: it is visible where one of these is in
# front, and no farther in front.
DEPTHS = {"head": 1.5, "neck": 1.4, "elbow": 0.8, "wrist": 0.8, "hip": 2.4, "knee": 1.2, "ankle": 1.0}
HOMES: dict[str, tuple[str, ...]] = {"head": ("head", "hair"), "neck": ("neck", "torso", "hood", "bow"), "hip": ("torso", "skirt", "l_leg", "r_leg")}
for _side in "lr":
    HOMES |= {f"{_side}_elbow": (f"{_side}_arm",), f"{_side}_wrist": (f"{_side}_arm", f"{_side}_hand")}
    HOMES |= {f"{_side}_knee": (f"{_side}_leg", "skirt"), f"{_side}_ankle": (f"{_side}_leg", f"{_side}_foot")}
REACH = np.array([DEPTHS[joint.split("_")[-1]] for joint in JOINTS])
IS_HEAD = np.array([joint == "head" for joint in JOINTS])
HOME = [{P[part] for part in HOMES[joint]} for joint in JOINTS]

# Steps in depth that make a line, in body heights: 0 between parts that merely touch, more between those that grow out of one another.
JOINED = (
    [("neck", "torso"), ("neck", "head"), ("torso", "skirt")]
    + [(f"{side}_arm", other) for side in "lr" for other in ("torso", f"{side}_hand")]
    + [(f"{side}_leg", other) for side in "lr" for other in ("torso", f"{side}_foot")]
)
NOTHING = len(PARTS)
STEP_MIN = 0.006
# what stands at a pixel as one number, a kind: its part and its tone
KIND_OF_PAPER, KINDS = NOTHING * len(TONES) + PAPER, 256
PART_OF, TONE_OF = np.divmod(np.arange(KINDS), len(TONES))[0].astype(np.uint8), (np.arange(KINDS) % len(TONES)).astype(np.uint8)
IS_INK = (TONE_OF == INK).astype(np.uint8)


def steps() -> Array:
    """(KINDS * KINDS,) for each pair of kinds; no line to paper is an inner one."""
    step = np.full((NOTHING + 1, NOTHING + 1), -np.inf)
    for one, other in JOINED:
        step[P[one], P[other]] = step[P[other], P[one]] = 0.012
    np.fill_diagonal(step, 0.012)
    step[P["hair"], P["hair"]], step[P["skirt"], P["skirt"]] = STEP_MIN, 0.008
    by_kind: Array = step[np.ix_(PART_OF.clip(0, NOTHING), PART_OF.clip(0, NOTHING))]
    drawn = np.isin(TONE_OF, (INK, WHITE))  # what is drawn on a surface has no contour
    by_kind[(TONE_OF[:, None] != TONE_OF) & ~drawn[:, None] & ~drawn] = -np.inf
    by_kind[KIND_OF_PAPER] = by_kind[:, KIND_OF_PAPER] = np.inf
    return by_kind.astype(np.float32).ravel()


STEP = steps()
OUTLINE, INNER = 1, 2
CRUMB = 0.025  # body heights: a shorter line is a speck
BUILDS, TRIES = 20, 300  # until no limb lies in another
TURNS = 50  # until one lies in the range
FILM = 24  # mm that a body's height fills, so that a focal length in mm says how far away the camera is


@dataclass(frozen=True)
class Mannequin:
    """A body in front of a camera, in picture space: joints with the depth they lie in and how deep they lie in the body (11,), and its surface,
    V points (V, 3), how far they are turned to the light (V,), and F faces (F, 4) of a part and a tone each."""

    kind: str
    look: str
    pose: Array
    depth: Array
    reach: Array
    height: float
    albedo: Array
    box: Array
    points: Array
    lit: Array
    faces: Array
    part: Array
    tone: Array
    shell: Array


def sample_mannequin(params: Mannequins, looks: Sequence[str], rng: np.random.Generator, body: tuple[Body, Camera, str] | None = None) -> Mannequin:
    """In one of `looks`, lit from above. The body, its camera and the kind of its pose are drawn within the limits unless given."""
    unknown = sorted(set(looks) - set(LOOKS))
    if unknown or not looks:
        raise DataError(f"looks {unknown} were found, expected at least one of {', '.join(LOOKS)}; correct the names and run again")
    name = looks[int(rng.integers(len(looks)))]
    posed, camera, kind = body or sample_body(params, rng)
    mesh = surface(posed, name, rng)
    joints = posed.joints()
    middle = (joints.min(axis=0) + joints.max(axis=0)) / 2
    seen, at_joints = look(camera, mesh.points, middle), look(camera, joints, middle)
    low, high = (edge(seen.xy.T.copy(), axis=1) for edge in (np.min, np.max))
    placement = place(low, high, params.fill, rng)
    light = np.array([rng.choice((-1, 1)) * rng.uniform(0.2, 0.7), -rng.uniform(0.3, 0.8), -1.0])
    albedo = np.zeros(len(TONES))
    albedo[[SKIN, WHITE, PAPER]] = 1, 9, 9
    # dark enough to be black at half of the brightness, or white
    albedo[[HAIR, TOP, BOTTOM, SHOES, TRIM]] = np.where(rng.random(5) < (0.5, 0.15, 0.35, 0.6, 0.5), 0.42, 1)
    return Mannequin(
        kind=kind,
        look=name,
        pose=at_joints.xy * placement.zoom + placement.shift,
        depth=at_joints.depth * placement.zoom,
        reach=REACH * np.where(IS_HEAD, posed.build.head, posed.build.pelvis) * at_joints.scale * placement.zoom,
        height=placement.zoom,
        albedo=albedo,
        box=np.stack([low, high]) * placement.zoom + placement.shift,
        points=np.column_stack([seen.xy * placement.zoom + placement.shift, seen.depth * placement.zoom]),
        lit=mesh.normals @ (camera.rotation().T @ unit(light)),
        faces=mesh.faces,
        part=mesh.part,
        tone=mesh.tone,
        shell=mesh.shell,
    )


def surface(body: Body, name: str, rng: np.random.Generator) -> Mesh:
    """In the world; `name` one of LOOKS."""
    hair_style, outfit = name.split("-")
    return join([*head(body), *face(body, rng), *hair(body, hair_style, rng), *clothed(body, outfit, rng)])


def sample_body(params: Mannequins, rng: np.random.Generator) -> tuple[Body, Camera, str]:
    """Proportions, a pose that such a body can take, and where it is seen from."""
    for _ in range(BUILDS):
        build = sample_build(float(rng.uniform(*params.head_ratio)), rng)
        legs, shoulders = float(rng.uniform(*params.legs)), float(rng.uniform(*params.shoulders))
        longer = (build.thigh + build.shank) * (legs - 1)
        build = replace(build, thigh=build.thigh * legs, shank=build.shank * legs, torso=build.torso - longer, shoulder=build.shoulder * shoulders)
        kind = sample_kind(rng)
        for _ in range(TRIES):  # the broadest shoulders over the shortest legs leave some kinds no room
            if not collides(body := move(build, sample_angles(kind, rng))):
                return body, sample_camera(params.camera, rng), kind
    raise DataError(
        f"none of {BUILDS} bodies with shoulders {params.shoulders} and legs {params.legs} can take a pose, expected most of them to; "
        "bring draw_figures.mannequins.shoulders and draw_figures.mannequins.legs nearer to 1"
    )


def sample_camera(params: CameraRanges, rng: np.random.Generator) -> Camera:
    """Most often from the front and nearly level."""
    turn = about_the_front(*params.turn, rng) if rng.random() < params.frontal else float(rng.uniform(*params.turn))
    elevation = float(rng.uniform(*params.elevation, 2).mean())
    focal = float(np.exp(rng.uniform(*np.log(params.focal))))
    return Camera(turn, elevation, float(rng.normal(0, 4)), focal / FILM)


def about_the_front(low: float, high: float, rng: np.random.Generator) -> float:
    """A normal of 45 degrees as far as it lies in the range; any turn of a range that has next to none of it."""
    for _ in range(TURNS):
        if low <= (turn := float(rng.normal(0, 45))) <= high:
            return turn
    return float(rng.uniform(low, high))


class Buffers(NamedTuple):
    """A rendering of `size` pixels a side, within the rows and columns `box` that the figure and its lines stand in.

    Per pixel there: depth in pixels (FAR on paper), the kind in front, its cosine to the light, and whether a line begins: OUTLINE, INNER or
    both.
    """

    size: int
    box: tuple[slice, slice]
    depth: NDArray[np.float32]
    kind: NDArray[np.uint8]
    lit: NDArray[np.float32]
    lines: NDArray[np.uint8]

    @property
    def part(self) -> NDArray[np.uint8]:
        """NOTHING on paper."""
        return PART_OF[self.kind]

    @property
    def tone(self) -> NDArray[np.uint8]:
        return TONE_OF[self.kind]


def margin(size: int) -> int:
    """Pixels around the figure, for the width of its lines."""
    return 3 + size // 60


def render(mannequin: Mannequin, size: int) -> Buffers:
    low, high = (mannequin.box * size).astype(int)
    left, top = np.maximum(low - margin(size), 0).tolist()
    right, bottom = np.minimum(high + margin(size), size).tolist()
    points = mannequin.points * size - (left, top, 0)
    front = fill(points, mannequin.lit, mannequin.faces, mannequin.shell, (bottom - top, right - left))
    kinds = np.concatenate([[KIND_OF_PAPER], mannequin.part * len(TONES) + mannequin.tone]).astype(np.uint8)
    kind = kinds.take(front.face)
    return Buffers(size, np.s_[top:bottom, left:right], front.depth, kind, front.shade, lines(front.depth, kind, mannequin.height * size))


def lines(depth: Array, kind: Array, height: float) -> NDArray[np.uint8]:
    """OUTLINE and INNER at pixels of the nearer surface where it ends; `height` of the body in pixels. The edges of the arrays are paper."""
    picture = np.zeros(depth.shape, np.uint8)
    mark_ends(depth.ravel(), kind.ravel(), depth.shape[1], STEP * height, STEP_MIN * height, KIND_OF_PAPER, picture.ravel())
    # strokes too short to be one
    _, strokes, about, _ = cv2.connectedComponentsWithStats(picture, connectivity=8, ltype=cv2.CV_16U)
    if about[:, cv2.CC_STAT_AREA].min() < CRUMB * height:
        column, row = cv2.findNonZero(picture)[:, 0].T
        short = (about[:, cv2.CC_STAT_AREA] < CRUMB * height).take(strokes[row, column])
        picture[row[short], column[short]] = 0
    return picture


@njit(cache=True)
def mark_ends(depth: Array, kind: Array, width: int, steps: Array, least: float, paper: int, found: Array) -> None:
    """`found`: OUTLINE and INNER where of two neighbouring pixels the nearer one's surface ends. A step in depth that makes a line: `steps` between
    any two kinds, `least` of all. What the compiled code goes by and other files say is told here: its cache sees changes of this file alone."""
    for to_next in (1, width):
        for at in range(len(depth) - to_next):
            step = depth[at + to_next] - depth[at]
            if kind[at] == kind[at + to_next] and abs(step) <= least:
                continue
            nearer, farther = (at, at + to_next) if step > 0 else (at + to_next, at)
            # a slope goes on behind the step; a surface that ends does not
            beyond = min(max(2 * farther - nearer, 0), len(depth) - 1)
            if abs(step) - 2 * max(depth[beyond] - depth[farther], 0) > steps[kind[nearer] * KINDS + kind[farther]]:
                found[nearer] |= INNER
            if kind[farther] == paper:
                found[nearer] = OUTLINE


def visible(mannequin: Mannequin, buffers: Buffers) -> list[bool]:
    """Per joint: whether nothing but what it lies in is in front of it."""
    rows, columns = buffers.box
    flags = []
    for home, (x, y), depth, reach in zip(HOME, mannequin.pose.tolist(), mannequin.depth, mannequin.reach, strict=True):
        at = int(y * buffers.size) - rows.start, int(x * buffers.size) - columns.start
        flags.append(bool(int(PART_OF[buffers.kind[at]]) in home and buffers.depth[at] > (depth - reach) * buffers.size))
    return flags


def thick(mask: Array, width: float) -> Array:
    """Lines of one pixel made about `width` pixels wide."""
    for step in range(round((width - 1) / 2)):
        mask = cv2.dilate(mask, (DISC, SQUARE)[step % 2])
    return mask


DISC, SQUARE = (cv2.getStructuringElement(shape, (3, 3)) for shape in (cv2.MORPH_CROSS, cv2.MORPH_RECT))


def line_art(mannequin: Mannequin, size: int, buffers: Buffers | None = None) -> Gray:
    """Contours and inner lines, dark on white, (size, size); `buffers`: a rendering that is at hand, used where it is fine enough."""
    if buffers is None or buffers.size < 2 * size:
        buffers = render(mannequin, 4 * size)
    pen = (size / 128) ** 0.5 * buffers.size / size
    ink = thick(buffers.lines & OUTLINE, 1.5 * pen) | thick(buffers.lines & INNER, 1.15 * pen) | thick(cv2.LUT(buffers.kind, IS_INK), 3)
    paper = np.full((buffers.size, buffers.size), 255, np.uint8)
    paper[buffers.box] -= (ink > 0) * np.uint8(255)
    return np.asarray(cv2.resize(paper, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def projection(mannequin: Mannequin, buffers: Buffers, threshold: int, blur_sigma: float) -> Gray:
    """Light and shade and contours, black and white at `threshold` of 255, then blurred."""
    # gray = 255 albedo (0.3 + 0.7 lit)
    with np.errstate(divide="ignore"):
        darkest = ((threshold / 255 / mannequin.albedo - 0.3) / 0.7).astype(np.float32)
    darkest[darkest <= 0] = -np.inf
    black = (buffers.lit < cv2.LUT(buffers.kind, darkest.take(TONE_OF))).view(np.uint8)
    # in the midst of black a line is white
    outline, inner, pen = buffers.lines & OUTLINE, buffers.lines & INNER, 0.005 * buffers.size
    white = thick(inner * cv2.erode(black, SQUARE, iterations=2), pen)
    ink = (((black | thick(inner, pen)) > 0) & (white == 0)) | (thick(outline, pen) > 0)
    paper = np.full((buffers.size, buffers.size), 255, np.uint8)
    paper[buffers.box] -= ink * np.uint8(255)
    if blur_sigma > 0:
        reach = max(0, int(4 * blur_sigma) + 2 - margin(buffers.size) // 2)
        rows, columns = (slice(max(0, side.start - reach), side.stop + reach) for side in buffers.box)
        paper[rows, columns] = cv2.GaussianBlur(paper[rows, columns], (0, 0), blur_sigma)
    return paper
