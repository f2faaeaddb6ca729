import resource
import tracemalloc
import zlib
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from genga.errors import NotAPictureError, PictureError, TooLargeError
from genga.pictures import Limits, decode, decode_rgba, encode_png, on_paper

# Pillow warns of what it skips in damaged files
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LIMITS = Limits(max_bytes=1_000_000, max_pixels=100_000, min_side=8)


def blobs(height: int = 48, width: int = 40) -> NDArray[np.uint8]:
    corners = np.random.default_rng(0).integers(0, 255, (5, 4, 3), dtype=np.uint8)
    return cv2.resize(corners, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def saved(picture: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    file = BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind, **options)
    return file.getvalue()


def reason(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(PictureError) as caught:
        decode(data, limits)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_pictures_come_out_as_they_went_in(kind: str) -> None:
    picture = blobs() // 64 * 64 if kind == "GIF" else blobs()
    np.testing.assert_array_equal(decode(saved(picture, kind), LIMITS), picture)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True, "quality": 95}), ("WEBP", {"quality": 95})])
def test_lossy_pictures_come_out_nearly_as_they_went_in(kind: str, options: dict[str, Any]) -> None:
    assert np.abs(decode(saved(blobs(), kind, **options), LIMITS).astype(int) - blobs()).mean() < 3


def test_opencv_and_pillow_read_the_same_pixels() -> None:
    data = saved(blobs(), "JPEG")
    np.testing.assert_array_equal(decode(data, LIMITS), np.asarray(Image.open(BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_picture_is_damaged(kind: str, share: float) -> None:
    data = saved(blobs(), kind)
    assert reason(data[: int(len(data) * share)]) == "damaged"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_that_lacks_its_last_byte_is_damaged(kind: str) -> None:
    assert reason(saved(blobs(), kind)[:-1]) == "damaged"


def test_a_png_with_a_changed_byte_is_damaged() -> None:
    data = bytearray(saved(blobs(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    assert reason(bytes(data)) == "damaged"


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7 ...", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PN", b"RIFF0000WAVEfmt "])
def test_what_is_no_picture_is_refused_as_such(data: bytes) -> None:
    with pytest.raises(NotAPictureError) as caught:
        decode(data, LIMITS)
    assert (caught.value.reason, caught.value.status) == ("not a picture", 415)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_only_the_first_bytes_of_a_picture_are_damaged(kind: str) -> None:
    assert reason(saved(blobs(), kind)[:12]) == "damaged"


def test_too_many_bytes_are_refused_before_anything_else() -> None:
    with pytest.raises(TooLargeError) as caught:
        decode(b"no picture at all", Limits(max_bytes=5, max_pixels=100, min_side=1))
    assert (caught.value.reason, caught.value.status) == ("too many bytes", 413)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_too_many_pixels_are_refused_before_they_are_decoded(kind: str) -> None:
    data = saved(blobs(400, 400), kind)
    # cut short: what was decoded would be "damaged"
    assert reason(data[: max(len(data) // 2, 300)]) == "too many pixels"


def test_too_many_pixels_of_a_lossless_webp_are_refused_before_they_are_decoded() -> None:
    assert reason(saved(blobs(400, 400), "WEBP", lossless=True)[:300]) == "too many pixels"


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_side_over_the_limit_is_too_long(kind: str) -> None:
    assert reason(saved(blobs(100, 101), kind), Limits(1_000_000, 100_000, 8, max_side=100)) == "too long"
    assert decode(saved(blobs(100, 99), kind), Limits(1_000_000, 100_000, 8, max_side=100)).shape == (100, 99, 3)


def test_the_longest_side_taken_is_the_longest_that_png_holds() -> None:
    limits = Limits(10_000_000, 10_000_000, 1)
    line = np.zeros((1, limits.max_side, 3), np.uint8)
    assert (decode(encode_png(line), limits) == line).all()


def test_a_png_that_claims_a_billion_pixels_is_refused_by_its_header() -> None:
    data = bytearray(saved(blobs(), "PNG"))
    data[16:24] = (40_000).to_bytes(4, "big") * 2
    assert reason(bytes(data)) == "too many pixels"


def test_a_webp_that_claims_a_huge_canvas_is_refused_by_its_header() -> None:
    data = bytearray(saved(blobs(), "WEBP", exif=Image.Exif(), lossless=True, save_all=True, append_images=[Image.fromarray(blobs()[::-1])]))
    assert data[12:16] == b"VP8X"
    data[24:30] = b"\xff\x3f\0" * 2
    assert reason(bytes(data)) == "too many pixels"


def test_a_tiff_of_one_huge_tile_is_refused_before_room_is_made_for_it() -> None:
    def tiled(side: int) -> bytes:
        file, tags = BytesIO(), TiffImagePlugin.ImageFileDirectory_v2()
        packed = zlib.compress(bytes(16 * 16))
        tags[256], tags[257], tags[258], tags[259], tags[262] = 16, 16, 8, 8, 1  # 16x16, 8-bit grey, deflated
        tags[322], tags[323], tags[324], tags[325] = side, side, 1000, len(packed)
        tags.save(file)
        return file.getvalue().ljust(1000, b"\0") + packed

    assert decode(tiled(16), Limits(1_000_000, 100_000, 16)).shape == (16, 16, 3)
    assert reason(tiled(26_000)) == "too many pixels"


def scan_of(data: bytes) -> bytes:
    """The last scan of a progressive JPEG, with its table."""
    return data[data.rindex(b"\xff\xc4") : -2]


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_jpeg_of_a_thousand_scans_is_refused_before_they_are_decoded(mode: str) -> None:
    data = saved(Image.fromarray(blobs()).convert(mode), "JPEG", progressive=True)
    assert decode(data[:-2] + scan_of(data) * 50 + data[-2:], LIMITS).shape == (48, 40, 3)
    assert reason(data[:-2] + b"\xff\xd0garbage" + scan_of(data) * 1000 + data[-2:]) == "too many scans"


def test_what_only_looks_like_scans_is_not_counted() -> None:
    data, looks = saved(blobs(), "JPEG"), b"\xff\xda" * 1000
    preview = data[:2] + b"\xff\xe5" + (2 + len(looks)).to_bytes(2, "big") + looks + data[2:]
    np.testing.assert_array_equal(decode(preview + looks, LIMITS), decode(data, LIMITS))


def test_a_gif_that_claims_a_billion_pixels_is_refused_by_its_header() -> None:
    data = bytearray(saved(blobs() // 64 * 64, "GIF"))
    data[6:10] = (40_000).to_bytes(2, "little") * 2
    assert reason(bytes(data)) == "too many pixels"


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_side_below_the_limit_is_too_small(kind: str) -> None:
    assert reason(saved(blobs(7, 40), kind)) == "too small"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    turned = decode(saved(blobs(), kind, exif=exif), LIMITS)
    assert turned.shape == (40, 48, 3)
    assert np.abs(turned.astype(int) - np.rot90(blobs(), -1)).mean() < 8


@pytest.mark.parametrize("exif", [b"Exif\0\0no tags at all", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0II*\0\x08\0\0\0\x09\0", b"II"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_picture_stands_as_it_is_where_its_exif_cannot_be_read(kind: str, exif: bytes) -> None:
    picture = np.dstack([blobs(), np.full((48, 40), 200, np.uint8)])
    data = saved(picture, kind, exif=exif, lossless=True)
    np.testing.assert_array_equal(decode_rgba(data, LIMITS), picture)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_laid_on_white(kind: str) -> None:
    picture = np.zeros((16, 16, 4), np.uint8)
    picture[:8, :, :] = (200, 0, 0, 255)
    picture[8:, :8] = (0, 0, 0, 0)
    picture[8:, 8:] = (0, 0, 0, 128)
    laid = decode(saved(picture, kind, **({"lossless": True} if kind == "WEBP" else {})), LIMITS)
    assert laid[0, 0].tolist() == [200, 0, 0]
    assert laid[15, 0].tolist() == [255, 255, 255]
    assert laid[15, 15].tolist() == [127, 127, 127]


def test_a_transparent_palette_colour_is_laid_on_white() -> None:
    palette = Image.fromarray(np.array([[0, 1]] * 16, np.uint8).repeat(8, axis=1), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    for kind in ("PNG", "GIF"):
        laid = decode(saved(palette, kind, transparency=0), LIMITS)
        assert (laid[0, 0].tolist(), laid[0, 15].tolist()) == ([255, 255, 255], [40, 50, 60])


def test_a_transparent_colour_of_an_rgb_png_is_laid_on_white() -> None:
    picture = np.full((16, 16, 3), (1, 2, 3), np.uint8)
    picture[:8] = (9, 9, 9)
    assert decode(saved(picture, "PNG", transparency=(1, 2, 3)), LIMITS)[15, 0].tolist() == [255, 255, 255]


def test_grey_becomes_rgb() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for kind in ("PNG", "TIFF", "BMP"):
        np.testing.assert_array_equal(decode(saved(grey, kind), LIMITS), np.repeat(grey[..., None], 3, axis=2))
    assert decode(saved(grey, "JPEG"), LIMITS).shape == (16, 16, 3)


def test_16_bit_grey_keeps_its_brightness() -> None:
    deep = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        np.testing.assert_allclose(decode(saved(deep, kind), LIMITS)[..., 0], deep / 257, atol=0.51)


def test_16_bit_rgb_keeps_its_colours() -> None:
    deep = blobs().astype(np.uint16) * 257
    data = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    np.testing.assert_allclose(decode(data, LIMITS), blobs(), atol=1)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind: str) -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(decode(saved(cmyk, kind), LIMITS)[8, 8].astype(int) - (255, 0, 0)).max() <= 6


def test_bilevel_pictures_become_rgb() -> None:
    assert decode(saved(Image.new("1", (16, 16), 1), "PNG"), LIMITS)[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    assert decode(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options), LIMITS)[4, 4].tolist() == [255, 0, 0]


def test_a_picture_with_32_bits_a_channel_is_refused() -> None:
    assert reason(saved(np.ones((16, 16), np.float32), "TIFF")) == "not a picture"


def test_formats_that_we_do_not_read_are_refused() -> None:
    assert reason(saved(blobs(), "PPM")) == "not a picture"
    assert reason(saved(blobs(), "ICO")) == "not a picture"


def test_alpha_is_kept_where_it_is_wanted() -> None:
    picture = np.dstack([blobs(), np.full((48, 40), 77, np.uint8)])
    np.testing.assert_array_equal(decode_rgba(saved(picture, "PNG"), LIMITS), picture)
    assert decode_rgba(saved(blobs(), "PNG"), LIMITS).shape == (48, 40, 3)
    assert decode_rgba(saved(blobs(), "JPEG"), LIMITS).shape == (48, 40, 3)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4)])
def test_png_holds_exactly_what_was_encoded(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(1).integers(0, 255, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(encode_png(picture)))), picture)


def test_random_bytes_after_a_true_start_never_crash_the_door() -> None:
    rng = np.random.default_rng(2)
    for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"RIFF\x40\0\0\0WEBP"):
        for _ in range(40):
            with pytest.raises(PictureError):
                decode(start + rng.bytes(200), LIMITS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_flipped_bytes_give_a_picture_or_a_reason(kind: str) -> None:
    rng = np.random.default_rng(3)
    whole = saved(blobs(), kind)
    for _ in range(40):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 200), 3):
            data[place] = rng.integers(0, 256)
        try:
            outcome = f"{decode(bytes(data), LIMITS).shape[2]} channels"
        except PictureError as error:
            outcome = error.reason
        assert outcome in {"3 channels", "not a picture", "damaged", "too many pixels", "too small"}


def test_a_png_chunk_that_claims_two_gigabytes_is_refused_without_making_room_for_it() -> None:
    data = bytearray(saved(blobs(), "PNG"))
    data[33:37] = (2_000_000_000).to_bytes(4, "big")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert reason(bytes(data)) == "damaged"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_what_follows_the_end_of_a_picture_does_not_matter() -> None:
    for kind in ("JPEG", "PNG"):
        np.testing.assert_array_equal(decode(saved(blobs(), kind) + b"more", LIMITS), decode(saved(blobs(), kind), LIMITS))


def test_a_picture_on_nothing_is_laid_on_paper_in_little_more_memory_than_it_has() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (3000, 3000, 4), dtype=np.uint8)
    tracemalloc.start()
    laid = on_paper(picture)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * laid.nbytes
    colours, alpha = picture[:600, :, :3].astype(np.float32), picture[:600, :, 3:].astype(np.float32) / 255
    np.testing.assert_array_equal(laid[:600], np.rint(colours * alpha + 255 * (1 - alpha)).astype(np.uint8))
