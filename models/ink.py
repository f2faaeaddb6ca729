"""From any picture of a drawing to what the pose networks read: ink on paper, cut out square around the figure.

Drawings come thin and thick, light on dark, in colour, on lined paper, scanned with dust, photographed on a table under uneven light.
What is read off them, and what networks learn from, goes through the same steps here, so that both look alike:
light on dark is turned over; the paper's own brightness is divided out; table, lines of notebooks, noise and specks go;
the strongest strokes become 1 and, cut out, thin ones as wide as the networks know.

Ink is float32 in [0, 1], 0 = paper. Kernels are shares of the picture's longer side unless they say pixels.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from genga.errors import DataError

Array = NDArray[Any]
Picture = NDArray[np.uint8]
Ink = NDArray[np.float32]

WORKING_SIDE = 640  # the longer side that drawings are read at: ten times what the networks see
MIN_CONTRAST = 0.15  # of the paper's brightness
INK = 0.35
FRAME_MARGIN = 0.1  # paper around the figure, as a share of its longer side
# pens thinner than this share of the figure's frame are taken for one as thick; where more is seen, than so many pixels of what is seen: thicker,
# the inner lines of a figure run together (PCK@0.1 of mannequins at 256 px .873 instead of .883 after 12 kimg)
THINNEST, THINNEST_PIXELS = 0.02, 2.56

PLAIN = 24  # grays within which the border of a picture is one even ground
WIDEST = 0.17  # wider than any stroke or filled head on an uneven ground
# a sheet on a table is looked for at COARSE_SIDE pixels, and the lengths here are pixels of that
COARSE_SIDE = 160
EDGE_LENGTH = 0.3  # of its edges, as a share of the picture's side
STEP = 22  # grays of 255 that paper is lighter than the table
BESIDE, PAPER, REACH, CORNER = 4, (4, 8, 12), 12, 7  # how far from an edge one looks: for the table, for paper, for strokes; not near its ends
ALONG, BARE = 0.8, 0.8  # at how much of an edge the step is seen, and how bright bare paper is
MOST_EDGES, SMALLEST_SHEET = 24, 0.1
NOISES = 4.0  # standard deviations of the paper's noise that are not yet ink
FAINTEST = 0.06  # share of the paper's brightness that the palest part of a stroke takes off
# lines of a notebook: how many at least, how much of their length is drawn at least, and of a single one, width, tilt in degrees
NUM_LINES, LINE_LENGTH, WHOLE_LINE, LINE_WIDTH, LINE_TILT, MOST_LINES, NUM_SAMPLES = 3, 0.5, 0.85, 0.006, 12, 2000, 128
PALE = 0.75  # exponent of what is paler than the strongest strokes
JOINED, SPECK, FAR, EDGE, WHOLE_EDGE = 0.015, 0.2, 0.12, 0.03, 0.7  # see _of_the_figure


class Frame(NamedTuple):
    """A square in pixels of the ink; it may reach over the edge, where there is paper."""

    left: int
    top: int
    side: int

    def cut(self, ink: Ink, resolution: int) -> Ink:
        """(resolution, resolution), thin pens as wide as the networks know."""
        square = np.zeros((self.side, self.side), dtype=np.float32)
        top, left = max(self.top, 0), max(self.left, 0)
        inside = ink[top : self.top + self.side, left : self.left + self.side]
        square[top - self.top :, left - self.left :][: inside.shape[0], : inside.shape[1]] = inside
        seen = thickened(square, min(THINNEST, THINNEST_PIXELS / resolution) * self.side)
        return np.asarray(cv2.resize(seen, (resolution, resolution), interpolation=cv2.INTER_AREA), dtype=np.float32)

    def to_picture(self, pose: Array, ink: Ink) -> Array:
        """Joints in [0, 1] of the square -> in [0, 1] of the whole picture."""
        height, width = ink.shape
        whole: Array = (pose * self.side + (self.left, self.top)) / (width, height)
        return whole.clip(0, 1)

    def of_picture(self, pose: Array, ink: Ink) -> Array:
        """Joints in [0, 1] of the whole picture -> of the square; outside of it they lie outside of [0, 1]."""
        height, width = ink.shape
        framed: Array = (pose * (width, height) - (self.left, self.top)) / self.side
        return framed


def read_ink(picture: Picture) -> Ink:
    """Gray (H, W) or RGB (H, W, 3) -> ink of the same proportions, of the figure alone."""
    ink, sheet = _contrast(_fit(picture, WORKING_SIDE))
    ink = _without_lines(ink, sheet)
    if ink.max() < MIN_CONTRAST:
        raise DataError("no drawing was found in this picture, it is all of one shade; send a figure or a stick figure on plain paper")
    return _of_the_figure(_even(ink))


def as_read(picture: Picture, pose: Array, side: int) -> tuple[Picture, Array]:
    """What a network reads of a picture, as dark ink on white paper (side, side), and the joints of `pose` in [0, 1] of that: what it learns from.
    A picture in which no drawing is found stays as it is."""
    picture = _fit(picture, 2 * side)
    try:
        ink = read_ink(picture)
    except DataError:
        gray = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8), pose
    frame = frame_of(ink)
    return np.rint(255 - 255 * frame.cut(ink, side)).astype(np.uint8), frame.of_picture(pose, ink)


def frame_of(ink: Ink) -> Frame:
    (top, bottom), (left, right) = ((int(places.min()), int(places.max()) + 1) for places in np.nonzero(ink > INK))
    side = round(max(bottom - top, right - left) * (1 + 2 * FRAME_MARGIN))
    return Frame((left + right - side) // 2, (top + bottom - side) // 2, side)


def thickness(shape: Array) -> float:
    """Area over length of its edges, inner ones too: half the width of a stroke. `shape` is uint8, 1 where there is ink."""
    edges, _ = cv2.findContours(shape, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return float(shape.sum()) / max(sum(cv2.arcLength(edge, True) for edge in edges), 1.0)


def thickened(ink: Ink, least: float) -> Ink:
    """Strokes that are at least so many pixels wide."""
    missing = least - 2 * thickness((ink > INK).astype(np.uint8))
    return ink if missing < 1 else np.asarray(cv2.dilate(ink, _disc(missing)), dtype=np.float32)


def _disc(side: float) -> Array:
    odd = 2 * round(side / 2) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (odd, odd)))


# --- paper


class Sheet(NamedTuple):
    """Where the paper lies in the picture."""

    left: int
    top: int
    width: int
    height: int


def _contrast(picture: Picture) -> tuple[Ink, Sheet]:
    """The share of the paper's brightness that each pixel lacks; its noise, and what lies around the sheet, are 0."""
    gray = picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    sheet = _sheet(gray)
    if sheet is None and is_light_on_dark(gray):
        picture = np.asarray(cv2.bitwise_not(picture), np.uint8)
    # coloured pens are dark in one channel at least
    shade = picture if picture.ndim == 2 else picture.min(axis=2)
    soft = _soft(shade)
    plain = None if sheet is not None else _plain(soft)
    ground = _closed(soft, WIDEST * max(soft.shape)) if plain is None else np.float32(plain)
    ink = (1 - shade / np.maximum(ground, np.float32(1))).clip(0, 1)
    paper = ink if sheet is None else ink[sheet > 0]
    middle = float(np.median(paper))
    floor = min(middle + NOISES * 1.48 * float(np.median(np.abs(paper - middle))), 0.5)
    ink = np.maximum(ink - floor, 0) / np.float32(1 - floor)
    if sheet is None:
        return ink, Sheet(0, 0, *shade.shape[::-1])
    return ink * sheet, Sheet(*cv2.boundingRect(sheet))


def _soft(gray: Picture) -> Picture:
    return np.asarray(cv2.blur(gray, (2 * round(max(gray.shape) / 400) + 1,) * 2), np.uint8)


def _plain(soft: Picture) -> int | None:
    """The one gray of an even ground, told by the border of the picture."""
    low, middle, high = np.percentile(np.concatenate([soft[0], soft[-1], soft[:, 0], soft[:, -1]]), (8, 50, 92))
    near = cv2.inRange(soft, max(middle - PLAIN, 0), middle + PLAIN)
    return round(middle) if high - low <= PLAIN and np.count_nonzero(near) > 0.4 * soft.size else None


def is_light_on_dark(gray: Picture) -> bool:
    """Against what most of the neighbourhood is made of."""
    soft = _soft(_fit(gray, COARSE_SIDE))
    plain = _plain(soft)
    ground = cv2.medianBlur(soft, 2 * round(WIDEST * max(soft.shape)) + 1) if plain is None else np.full_like(soft, plain)
    lighter, darker = (float((cv2.subtract(one, other).astype(np.float32) ** 2).sum()) for one, other in ((soft, ground), (ground, soft)))
    return lighter > darker


def _closed(gray: Picture, width: float) -> Picture:
    """Dark places narrower than this are filled with what surrounds them. Beyond the picture it goes on as at its edge."""
    pad = round(width)
    wide = cv2.copyMakeBorder(gray, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    filled = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((2 * (pad // 2) + 1,) * 2, np.uint8))
    return np.asarray(filled[pad:-pad, pad:-pad] if pad else filled, np.uint8)


def _fit(gray: Picture, side: int) -> Picture:
    height, width = gray.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return gray
    return np.asarray(cv2.resize(gray, (max(round(width * scale), 1), max(round(height * scale), 1)), interpolation=cv2.INTER_AREA), np.uint8)


def _sheet(gray: Picture) -> Array | None:
    """uint8 (H, W), 1 on a sheet of paper that lies on something darker; None where there is no such thing.

    The sheet ends in straight sharp steps that no stroke crosses; the edge of a shadow on the paper is crossed by strokes.
    """
    small = _fit(gray, COARSE_SIDE)
    small = np.asarray(cv2.convertScaleAbs(_soft(small), alpha=255 / max(float(np.percentile(small, 98)), 1)), np.uint8)
    filled = _closed(small, WIDEST * max(small.shape))
    least = round(EDGE_LENGTH * max(small.shape))
    steps = cv2.dilate(cv2.Canny(filled, 2 * STEP, 4 * STEP), np.ones((2, 2), np.uint8))
    found = cv2.HoughLinesP(steps, 1, np.pi / 180, least // 2, minLineLength=least, maxLineGap=least / 4)
    ends = np.zeros((0, 4)) if found is None else found[:MOST_EDGES, 0].astype(np.float64)
    edges = [edge for start, end in ends.reshape(-1, 2, 2) if (edge := _edge(small, filled, start, end)) is not None]
    if not edges:
        return None
    scale, soft = gray.shape[1] / small.shape[1], _soft(gray)
    y, x = np.mgrid[: gray.shape[0], : gray.shape[1]]
    sheet = np.ones_like(gray)
    for edge in edges:
        # an edge that was seen in pieces is crossed as a whole
        pieces = [
            piece for piece in edges if max(abs((piece.start - edge.start) @ edge.normal), abs((piece.end - edge.start) @ edge.normal)) < BESIDE
        ]
        if not any(_is_crossed(soft, scale, piece) for piece in pieces):
            sheet[(x / scale - edge.start[0]) * edge.normal[0] + (y / scale - edge.start[1]) * edge.normal[1] < BESIDE] = 0
    return None if sheet.all() or sheet.mean() < SMALLEST_SHEET else sheet


class Edge(NamedTuple):
    """Of a sheet, in pixels of the small picture; `normal` is the unit vector across it to the paper."""

    start: Array
    end: Array
    normal: Array


def _edge(small: Picture, filled: Picture, start: Array, end: Array) -> Edge | None:
    """The part of a straight step along which bare paper lies on one side and something darker on the other."""
    along = (end - start) / np.linalg.norm(end - start)
    places = start + np.linspace(0, 1, 33)[:, None] * (end - start)
    far = np.array(small.shape[::-1]) - 1
    for normal in (np.array([-along[1], along[0]]), np.array([along[1], -along[0]])):
        light, dark = (np.rint(places + np.multiply.outer(sides, normal)[:, None]).astype(int).clip(0, far) for sides in (PAPER, (-BESIDE,)))
        paper, table = filled[light[..., 1], light[..., 0]].astype(int), filled[dark[..., 1], dark[..., 0]]
        seen = (paper - table > STEP) & (small[light[..., 1], light[..., 0]] > BARE * paper)
        if np.mean(seen) > ALONG:
            steady = np.nonzero(np.convolve(seen.mean(axis=0) > 0.5, np.ones(3), "same") == 3)[0]
            return Edge(places[steady[0]], places[steady[-1]], normal)
    return None


def _is_crossed(soft: Picture, scale: float, edge: Edge) -> bool:
    """Whether a stroke goes over it: looked for in the strip along it, turned so that light and shadow are even along its rows."""
    length = float(np.linalg.norm(edge.end - edge.start))
    along = (edge.end - edge.start) / length
    beside, reach, length = scale * BESIDE, scale * REACH, scale * (length - 2 * CORNER)
    if length < 1:
        return True
    x, y = scale * (edge.start + CORNER * along) - reach * edge.normal
    turn = np.array([[along[0], edge.normal[0], x], [along[1], edge.normal[1], y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    strip = cv2.warpAffine(soft, turn, (round(length), round(2 * reach)), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    ground = cv2.morphologyEx(strip, cv2.MORPH_CLOSE, np.ones((1, 2 * round(WIDEST * max(soft.shape) / 2) + 1), np.uint8))
    strokes = cv2.subtract(ground, strip) > MIN_CONTRAST * ground
    _, _, boxes, _ = cv2.connectedComponentsWithStats(strokes.astype(np.uint8))
    return bool(((boxes[1:, 1] < reach - beside) & (boxes[1:, 1] + boxes[1:, 3] > reach + beside)).any())


# --- lines of notebooks


class Line(NamedTuple):
    """Nearly level, from edge to edge."""

    left: float
    right: float
    strength: float
    share: float  # of its length that is drawn


def _without_lines(ink: Ink, sheet: Sheet) -> Ink:
    """Several thin straight lines from edge to edge are those of ruled or squared paper; strokes stay where they are darker than these."""
    x, y, width, height = sheet
    part = ink[y : y + height, x : x + width]
    across, down = _lines(part), _lines(np.ascontiguousarray(part.T))
    if max(len(across), len(down)) < NUM_LINES:
        return ink
    clean = ink.copy()
    ruling = np.maximum(_ruling(across, (height, width)), _ruling(down, (width, height)).T)
    clean[y : y + height, x : x + width][part < ruling] = 0
    return clean


def _lines(ink: Ink) -> list[Line]:
    """Thin lines side by side, or those that are drawn nearly whole."""
    (height, width), tilt = ink.shape, np.deg2rad(LINE_TILT)
    least, beside = max(round(LINE_LENGTH * width), 8), max(round(2 * LINE_WIDTH * max(ink.shape)), 3)
    drawn, places = (ink > FAINTEST).astype(np.uint8), np.linspace(0, width - 1, NUM_SAMPLES).round().astype(int)
    if min(_drawn_shares(drawn[:, places].max(axis=0, keepdims=True)))[0] <= LINE_LENGTH:  # no line can be, as in most pictures
        return []
    found = cv2.HoughLines(drawn, 1, np.pi / 720, least, min_theta=np.pi / 2 - tilt, max_theta=np.pi / 2 + tilt)
    rho, theta = np.empty((2, 0)) if found is None else found[:MOST_LINES, 0].T.astype(float)
    lefts, rights = rho / np.sin(theta), (rho - (width - 1) * np.cos(theta)) / np.sin(theta)
    x, y = places, np.linspace(lefts, rights, NUM_SAMPLES).round().astype(int).T
    thick = np.asarray(cv2.dilate(ink, np.ones((3, 1), np.uint8)))
    on, above, below = (thick[(y + offset).clip(0, height - 1), x] * ((y >= 0) & (y < height)) for offset in (0, -beside, beside))
    covered = on > np.maximum(FAINTEST, 2 * np.minimum(above, below))
    shares, *ends = _drawn_shares(covered)
    lines: list[Line] = []
    for at in np.flatnonzero(np.minimum(shares, np.minimum(*ends)) > LINE_LENGTH):
        left, right = lefts[at], rights[at]
        # lines of a notebook do not cross: of those along one stroke the first stands for all
        if not any((left - line.left - beside) * (right - line.right - beside) <= 0 or abs(left - line.left) < beside for line in lines):
            lines.append(Line(left, right, float(np.median(on[at, covered[at]])), float(shares[at])))
    return lines if len(lines) >= NUM_LINES else [line for line in lines if line.share > WHOLE_LINE]


def _drawn_shares(covered: Array) -> list[Array]:
    """(L, NUM_SAMPLES) -> of each line which share is drawn, of the whole and near either end."""
    return [part.mean(axis=1) for part in (covered, covered[:, : NUM_SAMPLES // 8], covered[:, -NUM_SAMPLES // 8 :])]


def _ruling(lines: list[Line], shape: tuple[int, int]) -> Ink:
    """What is paler than this belongs to a line."""
    ruling = np.zeros(shape, np.float32)
    band = max(round(2 * LINE_WIDTH * max(shape)), 3)
    for line in sorted(lines, key=lambda line: line.strength):
        cv2.line(ruling, (0, round(line.left)), (shape[1] - 1, round(line.right)), 1.5 * line.strength + FAINTEST, band)
    return ruling


# --- the figure


def _even(ink: Ink) -> Ink:
    """The strongest strokes are 1: not the darkest speck, but the large connected part; paler strokes come near to it."""
    drawn = ink > FAINTEST
    _, parts = cv2.connectedComponents(drawn.astype(np.uint8))
    part, strength = parts[drawn], ink[drawn]
    strongest = float(np.percentile(strength[part == np.bincount(part, weights=strength).argmax()], 90))
    return np.asarray(np.minimum(ink / strongest, 1) ** PALE, np.float32)


def _of_the_figure(ink: Ink) -> Ink:
    """Without specks, and without what lies along the picture's edge."""
    side = max(ink.shape)
    drawn = (ink > INK).astype(np.uint8)
    joined = cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, _disc(JOINED * side))
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(joined)
    masses = np.bincount(parts[drawn > 0], minlength=len(boxes))
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]
    size = (high - low).max(axis=1)
    edge = EDGE * side
    far_edge = np.array(ink.shape[::-1])
    along_edge = ((high <= edge) | (low >= far_edge - edge)).any(axis=1) & (size > WHOLE_EDGE * far_edge.min())
    candidates = np.nonzero(~along_edge[1:])[0] + 1
    if len(candidates) == 0:
        return ink
    main = candidates[masses[candidates].argmax()]
    kept = [part for part in candidates if size[part] >= SPECK * size[main]]
    (left, top), (right, bottom) = low[kept].min(axis=0) - FAR * size[main], high[kept].max(axis=0) + FAR * size[main]
    near = (high[:, 0] > left) & (low[:, 0] < right) & (high[:, 1] > top) & (low[:, 1] < bottom) & (size > 0.2 * SPECK * size[main])
    kept = [part for part in candidates if size[part] >= SPECK * size[main] or near[part]]
    figure = np.zeros(len(boxes), np.uint8)
    figure[kept] = 1
    mask = cv2.dilate(figure[parts], _disc(JOINED * side))
    return np.asarray(ink * mask, np.float32)
