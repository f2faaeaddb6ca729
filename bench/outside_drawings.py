"""Promise (issue 3): joints are read off drawings that were not made by Genga: mouse, tablet, pencil, marker, scan, photo on a desk, chalk ...

    python -m bench.outside_drawings [folder] [sheet.png]       default: weights, bench-out/outside-drawings.png

`folder` holds the networks that are read with: weights/, which training writes, or a release/. Prints PCK@0.1 (of the longer side of the
pose's box; left and right may be exchanged limb by limb) for each means, and saves the drawings with the joints that were found over them.

Nothing here uses drawing/: strokes, papers, light and lenses are made by other means than those that the networks learned from.
Pictures are RGB (H, W, 3); joints are x, y in [0, 1] of the picture.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bench.arguments import Parser
from genga.door import run
from genga.pictures import encode_png
from genga.release import Release
from genga.skeleton import STICKS, normalise, pck
from models.export import load_model
from serve.reading import frame_of, kind_of_drawing, read_ink

Array = NDArray[Any]
Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
ALPHA = 0.1
BLACK, WHITE = (20, 20, 25), (255, 255, 255)
FOUND, TRUE, SHOWN = (225, 40, 60), (60, 160, 70), 160

# head, neck, l_elbow, r_elbow, l_wrist, r_wrist, hip, l_knee, r_knee, l_ankle, r_ankle; in hundredths
# fmt: off
POSES = {
    "stand": [(50, 10), (50, 22), (59, 34), (41, 34), (62, 48), (38, 48), (50, 50), (55, 70), (45, 70), (57, 92), (43, 92)],
    "wave": [(49, 11), (50, 23), (64, 25), (40, 35), (70, 9), (36, 50), (49, 52), (56, 71), (44, 71), (57, 93), (41, 93)],
    "run": [(60, 10), (56, 21), (68, 31), (43, 28), (80, 22), (34, 42), (48, 50), (66, 58), (40, 68), (64, 80), (17, 73)],
    "arms up": [(50, 24), (50, 35), (63, 27), (37, 27), (67, 8), (33, 8), (50, 60), (60, 76), (40, 76), (63, 95), (37, 95)],
    "kick": [(36, 12), (40, 24), (52, 33), (28, 30), (60, 22), (18, 40), (43, 51), (66, 46), (46, 72), (90, 38), (43, 94)],
    "sit": [(40, 14), (41, 27), (50, 41), (36, 42), (64, 46), (48, 52), (40, 57), (63, 57), (62, 62), (64, 82), (60, 85)],
    "star": [(50, 10), (50, 22), (68, 20), (32, 20), (88, 16), (12, 16), (50, 52), (64, 70), (36, 70), (78, 92), (22, 92)],
    "lunge": [(53, 13), (50, 25), (62, 35), (38, 34), (76, 31), (24, 27), (46, 53), (68, 60), (30, 72), (69, 87), (10, 88)],
    "hips": [(50, 9), (50, 21), (65, 33), (35, 33), (55, 44), (45, 44), (50, 49), (59, 68), (43, 69), (63, 91), (42, 91)],
    "bow": [(77, 33), (66, 28), (71, 46), (62, 47), (78, 62), (67, 64), (38, 42), (40, 66), (34, 66), (42, 92), (30, 92)],
    "jump": [(50, 12), (50, 24), (64, 16), (37, 33), (72, 3), (24, 26), (52, 50), (69, 54), (40, 64), (64, 74), (22, 70)],
    "kneel": [(48, 13), (48, 27), (60, 37), (37, 39), (68, 27), (42, 52), (48, 58), (66, 64), (44, 88), (66, 89), (22, 90)],
}
# fmt: on


class Drawing(NamedTuple):
    picture: Picture
    joints: Array


class Hand(NamedTuple):
    """How strokes are made: lengths in pixels of the sheet."""

    width: float
    shake: float = 0.0  # of single points
    sway: float = 0.0  # of whole strokes
    miss: float = 0.0  # of ends
    pressure: float = 0.0  # how much the width varies


def draw(pose: str, means: str, seed: int) -> Drawing:
    return MEANS[means](np.array(POSES[pose], np.float64) / 100, np.random.default_rng((seed, list(MEANS).index(means))))


# --- by hand


def curve(points: Array, rng: np.random.Generator, hand: Hand) -> Array:
    """Points (P, 2) -> a polyline through them as a hand draws it in one go."""
    ends = points + rng.normal(0, hand.miss, points.shape)
    t = np.linspace(0, len(points) - 1, 24 * (len(points) - 1) + 1)
    line = np.stack([np.interp(t, range(len(points)), ends[:, axis]) for axis in (0, 1)], axis=1)
    line = np.concatenate([line[:1], (line[:-2] + 2 * line[1:-1] + line[2:]) / 4, line[-1:]])
    sway = sum(rng.normal(0, hand.sway / k, 2) * np.sin(np.pi * k * t / t[-1] + rng.uniform(0, np.pi))[:, None] for k in (1, 2, 3))
    return np.asarray(line + sway + rng.normal(0, hand.shake, line.shape))


def strokes(joints: Array, rng: np.random.Generator, hand: Hand) -> list[Array]:
    """Head, spine, two arms and two legs: each limb in one go from its root."""
    head, neck = joints[0], joints[1]
    radius = 0.62 * float(np.linalg.norm(head - neck))
    angle = rng.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi * rng.uniform(0.97, 1.08), 40)
    ring = head + radius * np.stack([np.cos(angle), rng.uniform(1, 1.2) * np.sin(angle)], axis=1)
    limbs = [(1, 2, 4), (1, 3, 5), (6, 7, 9), (6, 8, 10)]
    spine = np.stack([head + (neck - head) * 0.65, neck, joints[6]])
    return [
        curve(ring[::3], rng, hand) if hand.shake else ring,
        *(curve(points, rng, hand) for points in (spine, *(joints[list(limb)] for limb in limbs))),
    ]


def ink(shape: tuple[int, int], lines: list[Array], rng: np.random.Generator, hand: Hand) -> Array:
    """Coverage (H, W) in [0, 1]."""
    mask = np.zeros(shape, np.uint8)
    for line in lines:
        pressure = 1 + hand.pressure * np.sin(np.linspace(rng.uniform(0, 3), rng.uniform(4, 8), len(line) - 1))
        for a, b, width in zip(line[:-1], line[1:], hand.width * pressure, strict=True):
            cv2.line(mask, np.rint(a * 8).astype(int).tolist(), np.rint(b * 8).astype(int).tolist(), 255, max(round(width), 1), cv2.LINE_AA, 3)
    return mask / 255.0


def placed(pose: Array, shape: tuple[int, int], share: float, at: tuple[float, float] = (0.5, 0.5)) -> Array:
    """Joints in pixels, the pose's longer side a share of the sheet's shorter one, its middle at a place of the sheet."""
    height, width = shape
    return np.asarray(normalise(pose) * share * min(shape) + np.array([width, height]) * at)


def blend(paper: Array, mask: Array, colour: Colour) -> Array:
    return np.asarray(paper * (1 - mask[..., None]) + np.array(colour) * mask[..., None])


def finished(paper: Array, joints: Array) -> Drawing:
    height, width = paper.shape[:2]
    return Drawing(paper.clip(0, 255).astype(np.uint8), joints / (width, height))


def flat(shape: tuple[int, int], colour: Colour) -> Array:
    return np.full((*shape, 3), colour, np.float64)


def smooth_noise(shape: tuple[int, int], cells: int, rng: np.random.Generator) -> Array:
    """(H, W, 1), about -1 to 1."""
    return np.asarray(cv2.resize(rng.normal(0, 0.5, (cells, cells)), shape[::-1], interpolation=cv2.INTER_CUBIC))[..., None]


def jpeg(drawing: Drawing, quality: int) -> Drawing:
    _, data = cv2.imencode(".jpg", drawing.picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return drawing._replace(picture=np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy())


# --- by different means


def mouse(pose: Array, rng: np.random.Generator) -> Drawing:
    """The page's canvas: 384 px, a round black pen of 5 px, a hand that holds a mouse."""
    shape, hand = (384, 384), Hand(5, shake=1.3, sway=2.5, miss=2.5)
    joints = placed(pose, shape, 0.75)
    return finished(blend(flat(shape, WHITE), ink(shape, [np.rint(line) for line in strokes(joints, rng, hand)], rng, hand), (0, 0, 0)), joints)


def tablet(pose: Array, rng: np.random.Generator) -> Drawing:
    shape, hand = (800, 600), Hand(7, sway=3, miss=3, pressure=0.6)
    joints = placed(pose, shape, 0.9, (0.5, 0.55))
    return finished(blend(flat(shape, WHITE), ink(shape, strokes(joints, rng, hand), rng, hand), (45, 40, 60)), joints)


def thick_marker(pose: Array, rng: np.random.Generator) -> Drawing:
    shape, hand = (600, 600), Hand(30, sway=3, miss=4)
    joints = placed(pose, shape, 0.75)
    return finished(blend(flat(shape, (252, 252, 250)), 0.95 * ink(shape, strokes(joints, rng, hand), rng, hand), (25, 25, 30)), joints)


def pencil_scan(pose: Array, rng: np.random.Generator) -> Drawing:
    """Grayish paper with dust, thin uneven pencil, a dark strip where the scanner's lid stood open."""
    shape, hand = (1100, 850), Hand(3, shake=0.4, sway=4, miss=5)
    joints = placed(pose, shape, 0.6, (0.42, 0.4))
    paper = flat(shape, (236, 234, 228)) + 4 * smooth_noise(shape, 6, rng)
    lead = ink(shape, strokes(joints, rng, hand) + strokes(joints, rng, hand)[1:3], rng, hand) * rng.uniform(0.35, 0.9, shape)
    paper = blend(paper, lead, (70, 70, 75)) + rng.normal(0, 5, (*shape, 1))
    for x, y in rng.integers(10, 800, (60, 2)):
        cv2.circle(paper, (int(x), int(y)), int(rng.integers(1, 3)), (150, 150, 150), -1)
    paper[:, -14:] = 60 + rng.normal(0, 8, (shape[0], 14, 1))
    return finished(paper, joints)


def photographed(paper: Array, joints: Array, shape: tuple[int, int], corners: Array, table: Array, rng: np.random.Generator) -> Drawing:
    """The sheet laid on a table under a lamp, its corners (4, 2) clockwise at these shares of the photo."""
    height, width = paper.shape[:2]
    source, target = np.array([(0, 0), (width, 0), (width, height), (0, height)]), corners * shape[::-1]
    lens = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
    sheet = cv2.warpPerspective(paper, lens, shape[::-1], flags=cv2.INTER_AREA)
    there = cv2.warpPerspective(np.ones((height, width)), lens, shape[::-1])[..., None]
    below = cv2.GaussianBlur(there, (0, 0), 12)[..., None]  # the sheet's own shadow on the table
    photo = table * (1 - 0.35 * below) * (1 - there) + sheet * there
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    angle = rng.uniform(0, 2 * np.pi)
    photo *= (0.78 + 0.3 * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)))[..., None]
    photo = cv2.GaussianBlur(photo, (0, 0), 0.8) + rng.normal(0, 4, (*shape, 3))
    seen = cv2.perspectiveTransform(joints[None].astype(np.float64), lens.astype(np.float64))[0]
    return jpeg(finished(photo, seen), 80)


def wood(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    grain = cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), sigmaX=40, sigmaY=1.5)
    return np.asarray(np.array([135, 95, 60]) + (16 * grain / grain.std())[..., None])


def phone_photo(pose: Array, rng: np.random.Generator) -> Drawing:
    """A white sheet on a wooden table, seen at an angle."""
    sheet, hand = (1000, 800), Hand(8, sway=3, miss=4)
    joints = placed(pose, sheet, 0.75)
    paper = blend(flat(sheet, (245, 243, 238)), ink(sheet, strokes(joints, rng, hand), rng, hand), BLACK)
    corners = np.array([(0.2, 0.1), (0.8, 0.14), (0.9, 0.93), (0.08, 0.88)]) + rng.uniform(-0.03, 0.03, (4, 2))
    return photographed(paper, joints, (960, 1280), corners, wood((960, 1280), rng), rng)


def shadowed_photo(pose: Array, rng: np.random.Generator) -> Drawing:
    """Paper fills the photo; the hand that holds the phone throws a shadow with a fairly sharp edge over half of it; thin pencil."""
    shape, hand = (900, 900), Hand(5, sway=4, miss=4)
    joints = placed(pose, shape, 0.7, (0.48, 0.52))
    paper = blend(flat(shape, (232, 228, 215)), 0.75 * ink(shape, strokes(joints, rng, hand), rng, hand), (60, 60, 66))
    y, x = np.mgrid[: shape[0], : shape[1]] / shape[0]
    shadow = ((x + 0.6 * y - rng.uniform(0.55, 0.95)) * 25).clip(0, 1)
    light = (1 - 0.42 * shadow) * (0.75 + 0.25 * y)
    return jpeg(finished(paper * light[..., None] + rng.normal(0, 3, (*shape, 3)), joints), 85)


def notebook(pose: Array, rng: np.random.Generator) -> Drawing:
    """Blue ballpoint between the lines of a notebook with a red margin, photographed from above without a table."""
    shape, hand = (1000, 800), Hand(4, shake=0.5, sway=3, miss=4)
    joints = placed(pose, shape, 0.8, (0.55, 0.5))
    paper = flat(shape, (244, 244, 240))
    for y in np.arange(70, 1000, 38):
        cv2.line(paper, (0, int(y)), (800, int(y) + 9), (165, 190, 225), 2, cv2.LINE_AA)
    cv2.line(paper, (110, 0), (104, 1000), (230, 150, 150), 2, cv2.LINE_AA)
    paper = blend(paper, 0.9 * ink(shape, strokes(joints, rng, hand), rng, hand), (30, 45, 130)) * (1 + 0.08 * smooth_noise(shape, 3, rng))
    return jpeg(finished(paper + rng.normal(0, 3, (*shape, 1)), joints), 75)


def squared(pose: Array, rng: np.random.Generator) -> Drawing:
    shape, hand = (700, 700), Hand(5, sway=2, miss=3)
    joints = placed(pose, shape, 0.75)
    paper = flat(shape, (250, 250, 246))
    for place in range(12, 700, 28):
        cv2.line(paper, (0, place), (700, place + 6), (190, 200, 205), 1, cv2.LINE_AA)
        cv2.line(paper, (place + 6, 0), (place, 700), (190, 200, 205), 1, cv2.LINE_AA)
    return finished(blend(paper, 0.85 * ink(shape, strokes(joints, rng, hand), rng, hand), (50, 50, 55)), joints)


def white_on_black(pose: Array, rng: np.random.Generator) -> Drawing:
    shape, hand = (500, 500), Hand(6, sway=2, miss=3)
    joints = placed(pose, shape, 0.7, (0.45, 0.5))
    return finished(blend(flat(shape, (0, 0, 0)), ink(shape, strokes(joints, rng, hand), rng, hand), (250, 250, 250)), joints)


def chalkboard(pose: Array, rng: np.random.Generator) -> Drawing:
    """Broken chalk on a green board that was wiped badly, light from a window."""
    shape, hand = (800, 1000), Hand(11, shake=0.8, sway=4, miss=5)
    joints = placed(pose, shape, 0.8, (0.6, 0.5))
    board = flat(shape, (38, 70, 52)) * (1 + 0.25 * smooth_noise(shape, 5, rng))
    chalk = ink(shape, strokes(joints, rng, hand), rng, hand) * (cv2.GaussianBlur(rng.uniform(0, 1, shape), (0, 0), 1.2) > 0.47)
    board = blend(board, cv2.GaussianBlur(chalk, (0, 0), 0.8), (235, 235, 225))
    x = np.linspace(0, 1, shape[1])
    return jpeg(finished(board * (0.7 + 0.5 * x)[:, None] + rng.normal(0, 4, (*shape, 1)), joints), 80)


def whiteboard(pose: Array, rng: np.random.Generator) -> Drawing:
    """Blue marker on a whiteboard with glare, seen from the side with its frame and the wall."""
    sheet, hand = (900, 1200), Hand(14, sway=4, miss=6)
    joints = placed(pose, sheet, 0.7, (0.4, 0.53))
    board = flat(sheet, (225, 228, 230))
    cv2.circle(board, (900, 300), 150, (250, 250, 250), -1)
    board = blend(board, 0.85 * ink(sheet, strokes(joints, rng, hand), rng, hand), (40, 60, 170))
    cv2.rectangle(board, (0, 0), (1199, 899), (110, 112, 115), 24)
    corners = np.array([(0.06, 0.12), (0.93, 0.05), (0.95, 0.95), (0.07, 0.85)])
    return photographed(board, joints, (800, 1100), corners, flat((800, 1100), (150, 140, 125)), rng)


def coloured_pens(pose: Array, rng: np.random.Generator) -> Drawing:
    shape, hand = (640, 640), Hand(9, sway=3, miss=3)
    joints = placed(pose, shape, 0.75)
    paper = flat(shape, WHITE)
    colours = ((230, 120, 40), (60, 160, 70), (225, 195, 30), (40, 110, 220), (220, 60, 150), (120, 70, 180))
    for line, colour in zip(strokes(joints, rng, hand), colours, strict=True):
        paper = blend(paper, ink(shape, [line], rng, hand), colour)
    return finished(paper, joints)


def tiny_in_the_corner(pose: Array, rng: np.random.Generator) -> Drawing:
    shape, hand = (800, 1000), Hand(2, sway=0.5, miss=0.5)
    joints = placed(pose, shape, 0.14, (0.13, 0.85))
    return finished(blend(flat(shape, (255, 255, 255)), ink(shape, strokes(joints, rng, hand), rng, hand), BLACK), joints)


def jpeg_20(pose: Array, rng: np.random.Generator) -> Drawing:
    shape, hand = (300, 300), Hand(3, sway=1, miss=1.5)
    joints = placed(pose, shape, 0.8)
    return jpeg(finished(blend(flat(shape, WHITE), ink(shape, strokes(joints, rng, hand), rng, hand), BLACK), joints), 20)


def ink_brush(pose: Array, rng: np.random.Generator) -> Drawing:
    """Strokes that swell and thin out, on warm paper."""
    shape, hand = (900, 700), Hand(15, sway=5, miss=4, pressure=0.75)
    joints = placed(pose, shape, 0.85)
    paper = flat(shape, (246, 240, 225)) + 3 * smooth_noise(shape, 30, rng)
    return finished(blend(paper, ink(shape, strokes(joints, rng, hand), rng, hand), (30, 25, 25)), joints)


def broken_lines(pose: Array, rng: np.random.Generator) -> Drawing:
    """Each stroke set down two or three times, with gaps."""
    shape, hand = (500, 500), Hand(4, sway=2, miss=3)
    joints = placed(pose, shape, 0.75)
    pieces = [line[start : start + len(line) // 3 - 2] for line in strokes(joints, rng, hand) for start in range(0, len(line) - 4, len(line) // 3)]
    return finished(blend(flat(shape, (250, 250, 250)), ink(shape, pieces, rng, hand), BLACK), joints)


MEANS: dict[str, Callable[[Array, np.random.Generator], Drawing]] = {
    maker.__name__.replace("_", " "): maker
    for maker in (
        *(mouse, tablet, thick_marker, pencil_scan, phone_photo, shadowed_photo, notebook, squared, white_on_black, chalkboard, whiteboard),
        *(coloured_pens, tiny_in_the_corner, jpeg_20, ink_brush, broken_lines),
    )
}


# --- measured


class Reading(NamedTuple):
    """Joints in pixels of the picture, the longer side of which is 1."""

    found: Array
    truth: Array
    is_stick: bool


def read(network: Any, drawing: Drawing) -> Reading:
    drawn = read_ink(drawing.picture)
    frame = frame_of(drawn)
    joints, _ = network(torch.from_numpy(frame.cut(drawn, network.resolution))[None, None])
    unit = np.array(drawing.picture.shape[1::-1]) / max(drawing.picture.shape)
    return Reading(frame.to_picture(joints[0].numpy(), drawn) * unit, drawing.joints * unit, kind_of_drawing(drawn) == "stick")


def shown(drawing: Drawing, reading: Reading) -> Picture:
    """SHOWN pixels wide and high: the sticks that were found over the drawing, and rings where the joints are."""
    height, width = drawing.picture.shape[:2]
    scale = SHOWN / max(height, width)
    tile = np.full((SHOWN, SHOWN, 3), 255, np.uint8)
    small = cv2.resize(drawing.picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    tile[: small.shape[0], : small.shape[1]] = small
    places = np.rint(reading.found * SHOWN).astype(int).tolist()
    for a, b in STICKS:
        cv2.line(tile, places[a], places[b], FOUND, 1, cv2.LINE_AA)
    for place in np.rint(reading.truth * SHOWN).astype(int).tolist():
        cv2.circle(tile, place, 3, TRUE, 1, cv2.LINE_AA)
    cv2.rectangle(tile, (0, 0), (SHOWN - 1, SHOWN - 1), (120, 120, 120), 1)
    return tile


def network_in(folder: Path) -> Any:
    """The stick-pose network of a release, or of a folder of weights."""
    if (folder / "release.json").is_file():
        return load_model(Release.open(folder).families["stick-pose"].dir)[0]
    return load_model(folder / "stick-pose")[0]


@torch.no_grad()
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("weights"))
    parser.add_argument("sheet", nargs="?", type=Path, default=Path("bench-out/outside-drawings.png"))
    args = parser.parse_args()
    folder, sheet = args.folder, args.sheet
    if not ((folder / "release.json").is_file() or (folder / "stick-pose").is_dir()):
        print(f"outside drawings: skipped, there is no stick-pose network in {folder}; run `genga repro`")
        return
    network = network_in(folder)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    rows, near, sticks = [], [], []
    for means in MEANS:
        drawings = [draw(pose, means, seed) for seed, pose in enumerate(POSES)]
        readings = [read(network, drawing) for drawing in drawings]
        found, truth = (np.stack([getattr(reading, name) for reading in readings]) for name in ("found", "truth"))
        near.append(float(pck(found, truth, ALPHA, "bbox", limbs_may_swap=True).mean()))
        sticks.append(float(np.mean([reading.is_stick for reading in readings])))
        rows.append(np.hstack([shown(*pair) for pair in zip(drawings, readings, strict=True)]))
        print(f"outside drawings: {means}: PCK@{ALPHA} {near[-1]:.3f}, taken for a stick figure {sticks[-1]:.2f} of {len(drawings)}")
    print(f"outside drawings: all: PCK@{ALPHA} {np.mean(near):.3f}, worst means {min(near):.3f}, taken for a stick figure {np.mean(sticks):.3f}")
    sheet.write_bytes(encode_png(np.vstack(rows)))


if __name__ == "__main__":
    run(main)
