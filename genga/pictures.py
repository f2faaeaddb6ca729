"""The one door for picture bytes: what kind they really are, limits before anything is decoded, then whole pixels or an error.
A JPEG that lost bytes in its middle still passes, with wrong pixels: libjpeg merely warns of it, as it does of harmless things.

Read are JPEG, PNG, WebP, GIF, BMP and TIFF, told by their first bytes and never by a file name. Of an animation the first frame is taken,
EXIF orientation is applied, alpha is laid on white (a drawing's: `on_paper`), grey, palette, CMYK and 16-bit pictures become 8-bit RGB.
Plain 8-bit JPEG and PNG go through OpenCV (two thirds of the time that Pillow takes, same pixels), all else through Pillow.
"""

import re
import struct
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin

from genga.errors import NotAPictureError, PictureError, TooLargeError

Array = NDArray[np.uint8]

STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
# what operating systems and version control leave behind, besides `._a.jpg`; other hidden pictures may be missed
JUNK_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx", ".thumbnails", ".trashes", ".git", ".svn", ".hg", ".ipynb_checkpoints"})
# a marker followed by a segment: no stuffed or fill byte, nor one of those that stand alone (ITU T.81, B.1.1)
SEGMENT = re.compile(rb"\xff[^\0\x01\xd0-\xd8\xff]")
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
MAX_SCANS = 100  # progressive JPEGs have about ten, and a decoder goes over all pixels for each
# start-of-frame markers: baseline, extended and progressive Huffman; C4, C8 and CC are other things
SOF_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
# what undoes an orientation that EXIF names; 1 is upright
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TILE_TAGS = (322, 323)  # of a TIFF: TileWidth, TileLength

STRIP = 256  # rows of a picture at a time: as floats the whole would take ten times its bytes
PALE = 200  # what is lighter on average is drawn for a dark ground
MAX_SIDE = 1_000_000  # libpng neither reads nor writes longer ones


@dataclass(frozen=True)
class Limits:
    max_bytes: int
    max_pixels: int
    min_side: int
    max_side: int = MAX_SIDE


class Header(NamedTuple):
    """`plain`: 8-bit grey or RGB without alpha, which OpenCV reads exactly. `whole`: the file does not end too early."""

    width: int
    height: int
    plain: bool
    whole: bool = True


def is_junk(name: str) -> bool:
    """`name`: a path within a folder or archive, its parts separated by slashes."""
    return any(part.startswith(".") or part.lower() in JUNK_NAMES for part in name.split("/"))


def is_hidden_picture(name: str) -> bool:
    """By its name a picture that is junk for nothing but a dot, as `.hack/a.jpg` and `...a.jpg` are."""
    left_behind = any(part.startswith("._") or part.lower() in JUNK_NAMES for part in name.split("/"))
    return is_junk(name) and not left_behind and PurePosixPath(name).suffix.lower() in SUFFIXES


def kind_of(data: bytes) -> str:
    """JPEG, PNG, ... by content."""
    for start, kind in STARTS.items():
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise NotAPictureError("not a picture", "the file is no picture that we read; send a JPEG, PNG, WebP, GIF, BMP or TIFF")


def decode(data: bytes, limits: Limits) -> Array:
    """Checked bytes -> RGB, HWC uint8."""
    kind, plain = _check(data, limits)
    return _read_plain(data, kind) if plain else _as_array(_on_white(_open(data, kind, limits)))


def decode_rgba(data: bytes, limits: Limits) -> Array:
    """Checked bytes -> RGBA where the picture has alpha, RGB otherwise, HWC uint8."""
    kind, plain = _check(data, limits)
    return _read_plain(data, kind) if plain else _as_array(_open(data, kind, limits))


def on_paper(picture: Array) -> Array:
    """RGBA -> RGB: laid on white, or on black where the lines are as pale as they are on a dark canvas. RGB stays."""
    if picture.shape[2] == 3:
        return picture
    strips = [slice(top, top + STRIP) for top in range(0, len(picture), STRIP)]
    shade = cover = 0.0
    for strip in strips:
        colours, alpha = _parts(picture[strip])
        shade += float((colours * alpha).mean(axis=2).sum())
        cover += float(alpha.sum())
    ground = 0 if shade > PALE * cover else 255
    laid = np.empty((*picture.shape[:2], 3), np.uint8)
    for strip in strips:
        colours, alpha = _parts(picture[strip])
        laid[strip] = np.rint(colours * alpha + ground * (1 - alpha))
    return laid


def encode_png(picture: Array) -> bytes:
    """Grey (H, W), RGB or RGBA (H, W, 3 or 4) uint8 -> PNG."""
    swap = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(picture.shape[2]) if picture.ndim == 3 else None
    ok, encoded = cv2.imencode(".png", picture if swap is None else cv2.cvtColor(picture, swap))
    assert ok, f"a picture of shape {picture.shape} and type {picture.dtype} is none that PNG holds"
    return encoded.tobytes()


def _check(data: bytes, limits: Limits) -> tuple[str, bool]:
    """The kind, and whether it is plain, of bytes that keep to the limits as far as their header tells."""
    if len(data) > limits.max_bytes:
        raise TooLargeError("too many bytes", f"the picture has {len(data)} bytes, at most {limits.max_bytes} are taken; send a smaller file")
    kind = kind_of(data)
    if kind == "JPEG" and data.count(START_OF_SCAN) > MAX_SCANS and _has_too_many_scans(data):
        raise TooLargeError("too many scans", f"the JPEG has more than {MAX_SCANS} scans, as no camera or program writes it; save it again")
    header = HEADERS[kind](data) if kind in HEADERS else None
    if header is None:
        return kind, False
    _check_size(header.width, header.height, limits)
    if not header.whole:
        raise _damaged(kind)
    return kind, header.plain


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise TooLargeError("too many pixels", f"the picture is {width}x{height}, at most {limits.max_pixels} pixels are taken; make it smaller")
    if max(width, height) > limits.max_side:
        raise TooLargeError("too long", f"the picture is {width}x{height}, at most {limits.max_side} pixels a side are taken; make it shorter")
    if min(width, height) < limits.min_side:
        raise PictureError("too small", f"the picture is {width}x{height}, each side must have {limits.min_side} pixels; send a larger one")


def _damaged(kind: str) -> PictureError:
    return PictureError("damaged", f"the {kind} does not decode to its end; save it again or fetch it again")


def _read_plain(data: bytes, kind: str) -> Array:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)  # IMREAD_COLOR_RGB takes longer than turning afterwards
    if picture is None:
        raise _damaged(kind)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=picture), np.uint8)


def _read_png_header(data: bytes) -> Header | None:
    """Walks the chunks (PNG, 5.3): OpenCV makes room for as many bytes as a chunk claims, so each must lie within the file."""
    if len(data) < 33:
        return None
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    at, kinds = 8, set()
    while at + 12 <= len(data) and b"IEND" not in kinds:
        kinds.add(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    plain = depth == 8 and colour in (0, 2) and kinds.isdisjoint((b"tRNS", b"acTL"))
    return Header(width, height, plain, whole=at <= len(data) and b"IEND" in kinds)


def _read_webp_header(data: bytes) -> Header | None:
    """Pillow makes room for the whole canvas as soon as it opens a WebP, so its size is read here (RFC 9649, 2.5 to 2.7)."""
    if len(data) < 30:
        return None
    if data[12:16] == b"VP8X":
        return Header(1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little"), False)
    if data[12:16] == b"VP8L":
        sides = int.from_bytes(data[21:25], "little")
        return Header(1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF), False)
    width, height = struct.unpack_from("<HH", data, 26)
    return Header(width & 0x3FFF, height & 0x3FFF, False)


def _read_jpeg_header(data: bytes) -> Header | None:
    """Walks the segments up to the frame header (ITU T.81, B.1.1 and B.2.2)."""
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in SOF_MARKERS:
            depth, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            return Header(width, height, depth == 8 and components in (1, 3))
        # fill bytes and markers without a length stand alone
        at += 1 if marker == 0xFF else 2 if marker == 0x01 or 0xD0 <= marker <= 0xD8 else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _has_too_many_scans(data: bytes) -> bool:
    """Segments are left out whole: in an embedded preview or a profile those two bytes start no scan."""
    at, num_scans = 2, 0
    while num_scans <= MAX_SCANS and (found := SEGMENT.search(data, at)) and found[0] != END_OF_IMAGE:
        num_scans += found[0] == START_OF_SCAN
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return num_scans > MAX_SCANS


HEADERS = {"JPEG": _read_jpeg_header, "PNG": _read_png_header, "WEBP": _read_webp_header}


def _open(data: bytes, kind: str, limits: Limits) -> Image.Image:
    """The first frame, upright, with 8 bits a channel, as RGB or RGBA."""
    try:
        with Image.open(BytesIO(data), formats=[kind]) as picture:
            _check_size(*picture.size, limits)
            if isinstance(picture, TiffImagePlugin.TiffImageFile):
                width, length = (picture.tag_v2.get(tag, 0) for tag in TILE_TAGS)
                _check_size(width, length, replace(limits, min_side=0))  # room is made for a whole tile, however little of it is used
            picture.load()
            return _to_8_bit(_upright(picture))
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise TooLargeError("too many pixels", f"the picture has more than the {limits.max_pixels} pixels that are taken; make it smaller") from error
    except Exception as error:  # on hostile bytes a decoder raises whatever it likes
        raise _damaged(kind) from error


def _upright(picture: Image.Image) -> Image.Image:
    """As it stands where its EXIF is damaged, as OpenCV leaves a plain one."""
    try:
        turn = TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, struct.error, TypeError, ValueError):  # so Pillow says it, or names several orientations
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _to_8_bit(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(picture).astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise NotAPictureError("not a picture", "the picture has 32 bits a channel, expected 8 or 16; save it with 8 bits a channel")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return white.convert("RGB")


def _parts(picture: Array) -> tuple[NDArray[Any], NDArray[Any]]:
    """RGBA -> RGB in [0, 255] and alpha in [0, 1]."""
    return picture[..., :3].astype(np.float32), picture[..., 3:].astype(np.float32) / 255


def _as_array(picture: Any) -> Array:
    return np.array(picture, dtype=np.uint8)
