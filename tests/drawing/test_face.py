"""The drawn face: the same again from the same seed, every tag where it belongs, and a face to a face detector."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from drawing.face import draw_face, random_labels
from drawing.face_look import HAIR, check_complete
from genga import tags
from genga.errors import DataError
from genga.tags import Labels

Picture = NDArray[np.uint8]

PLAIN: Labels = {"hair_color": "brown", "hair_length": "medium", "eye_color": "blue", "skin_tone": "fair"} | dict.fromkeys(
    ("glasses", "smile", "open_mouth", "blush", "closed_eyes", "hair_ornament"), False
)
PLAIN |= {"bangs": True}
NUM_FACES = 12
# rows, then columns, of a picture of 128, generous enough for every tilt of the head
EYES = slice(40, 90), slice(16, 112)
MOUTH = slice(70, 108), slice(38, 90)
CHEEKS = slice(62, 100), slice(18, 110)
TOP = slice(0, 76), slice(0, 128)
FOREHEAD_AND_TEMPLES = slice(8, 96), slice(14, 114)
FACE_AND_NECK = slice(20, 128), slice(10, 118)


def faces(labels: Labels, size: int = 128) -> list[Picture]:
    return [draw_face(labels, np.random.default_rng((3, face_idx)), size) for face_idx in range(NUM_FACES)]


def share_of_change_inside(before: Picture, after: Picture, region: tuple[slice, slice]) -> tuple[float, int]:
    """The share of the changed pixels that lie in the region, and how many have changed."""
    changed = np.abs(before.astype(int) - after).max(axis=2) > 24
    return float(changed[region].sum() / max(changed.sum(), 1)), int(changed.sum())


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_face() -> None:
    first, again, other = (draw_face(PLAIN, np.random.default_rng(seed), 96) for seed in (5, 5, 6))
    assert first.shape == (96, 96, 3) and first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).mean() > 0.5


@pytest.mark.parametrize("size", [32, 64, 200])
def test_a_face_is_the_same_face_at_every_size(size: int) -> None:
    large, small = (draw_face(PLAIN | {"glasses": True}, np.random.default_rng(8), side) for side in (400, size))
    shrunk = cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 6


def test_random_labels_name_every_tag_often_and_the_color_of_open_eyes_only() -> None:
    drawn = [tags.check(random_labels(np.random.default_rng((1, face_idx)))) for face_idx in range(2000)]
    for group, values in tags.groups().items():
        counts = [sum(labels.get(group) == value for labels in drawn) for value in values]
        assert min(counts) >= 60, f"{group}: {dict(zip(values, counts, strict=True))}"
    for flag in tags.flags():
        assert 100 <= sum(labels[flag] is True for labels in drawn) <= 1900
    assert all(("eye_color" in labels) != labels["closed_eyes"] for labels in drawn)
    assert all(labels.keys() | {"eye_color"} == {*tags.groups(), *tags.flags()} for labels in drawn)


def test_a_tag_that_is_not_drawn_here_changes_no_face_and_is_refused_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    before = random_labels(np.random.default_rng(5))
    groups = {**tags.groups(), "hair_color": [*tags.groups()["hair_color"], "silver_blue"], "hat_kind": ["cap", "straw"]}
    flags = [*tags.flags(), "hat"]
    monkeypatch.setattr(tags, "groups", lambda: groups)
    monkeypatch.setattr(tags, "flags", lambda: flags)
    assert random_labels(np.random.default_rng(5)) == before
    assert check_complete(before) == before
    with pytest.raises(DataError, match="hair_color silver_blue cannot be drawn, expected one of blonde"):
        check_complete(before | {"hair_color": "silver_blue"})


@pytest.mark.parametrize("gone", [*tags.flags(), *tags.groups()])
@pytest.mark.parametrize("others", [None, ["new", "newer"]], ids=["gone", "renamed"])
def test_a_tag_that_is_gone_is_drawn_as_nobody_s_and_said_of_no_face(monkeypatch: pytest.MonkeyPatch, gone: str, others: list[str] | None) -> None:
    flags = [flag for flag in tags.flags() if flag != gone]
    groups = {group: values for group, values in tags.groups().items() if group != gone}
    groups |= {gone: others} if others else {}
    monkeypatch.setattr(tags, "groups", lambda: groups)
    monkeypatch.setattr(tags, "flags", lambda: flags)
    for seed in range(3):
        labels = random_labels(np.random.default_rng(seed))
        assert gone not in labels and len(labels) >= 9
        assert draw_face(labels, np.random.default_rng(seed), 32).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("changed", "region", "num_pixels"),
    [
        ({"glasses": True}, EYES, 150),
        ({"closed_eyes": True}, EYES, 250),
        ({"eye_color": "red"}, EYES, 60),
        ({"open_mouth": True}, MOUTH, 20),
        ({"smile": True, "open_mouth": True}, (slice(40, 108), slice(30, 98)), 60),
        ({"blush": True}, CHEEKS, 40),
        ({"hair_ornament": True}, TOP, 40),
        ({"bangs": False}, FOREHEAD_AND_TEMPLES, 300),
        ({"skin_tone": "dark"}, FACE_AND_NECK, 1200),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_a_tag_changes_the_picture_where_it_belongs_and_nowhere_else(changed: Labels, region: tuple[slice, slice], num_pixels: int) -> None:
    for before, after in zip(faces(PLAIN), faces(PLAIN | changed), strict=True):
        inside, count = share_of_change_inside(before, after, region)
        assert count >= num_pixels
        assert inside >= 0.95


@pytest.mark.parametrize("color", tags.groups()["hair_color"])
def test_hair_is_nearest_to_its_own_color_of_the_palette(color: str) -> None:
    palette = np.array([tones.base for tones in HAIR.values()])
    named = []
    for picture in faces(PLAIN | {"hair_color": color}):
        hair = np.median(picture[22:42, 44:84].reshape(-1, 3), axis=0)
        named.append(list(HAIR)[int(np.argmin(np.abs(palette - hair).sum(axis=1)))])
    assert named.count(color) >= 0.75 * NUM_FACES, named


def test_iris_color_shows_in_open_eyes_only() -> None:
    def blue(picture: Picture) -> int:
        red, _, blue = np.moveaxis(picture[EYES].astype(int), 2, 0)
        return int((blue > red + 50).sum())

    for opened, closed, brown in zip(faces(PLAIN), faces(PLAIN | {"closed_eyes": True}), faces(PLAIN | {"eye_color": "brown"}), strict=True):
        assert blue(opened) >= blue(closed) + 40
        assert abs(blue(brown) - blue(closed)) <= 25


def test_skin_grows_darker_from_pale_to_dark() -> None:
    tones = [faces(PLAIN | {"skin_tone": tone}) for tone in tags.groups()["skin_tone"]]
    for pictures in zip(*tones, strict=True):
        brightness = [float(picture[76:82, 56:72].mean()) for picture in pictures]
        assert brightness == sorted(brightness, reverse=True)
        assert np.diff(brightness).max() < -8


def test_longer_hair_reaches_further_down() -> None:
    def green_below(picture: Picture, row: int) -> int:
        red, green, blue = np.moveaxis(picture[row:].astype(int), 2, 0)
        return int(((green > red + 20) & (green > blue + 5)).sum())

    counts = {}
    for length in tags.groups()["hair_length"]:
        green, brown = (faces(PLAIN | {"hair_color": color, "hair_length": length}) for color in ("green", "brown"))
        counts[length] = [[green_below(a, row) - green_below(b, row) for a, b in zip(green, brown, strict=True)] for row in (92, 122)]
    shoulder, foot = ({length: counts[length][row] for length in counts} for row in (0, 1))
    assert max(shoulder["short"]) < min(shoulder["medium"])
    assert max(foot["medium"]) < np.median(foot["long"])
    assert min(foot["long"]) > 0


def test_blush_reddens_the_cheeks() -> None:
    for before, after in zip(faces(PLAIN), faces(PLAIN | {"blush": True}), strict=True):
        redness = [(picture[CHEEKS][..., 0].astype(int) - picture[CHEEKS][..., 1]).mean() for picture in (before, after)]
        assert redness[1] > redness[0] + 3


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ({key: value for key, value in PLAIN.items() if key != "hair_color"}, "without hair_color, expected a value"),
        ({key: value for key, value in PLAIN.items() if key not in ("eye_color", "smile")}, "without eye_color, smile,"),
        (PLAIN | {"hair_color": "plaid"}, "hair_color is 'plaid', expected one of blonde"),
        (PLAIN | {"glasses": "yes"}, "glasses is 'yes', expected true or false"),
        (PLAIN | {"hat": True}, "unknown tag 'hat'"),
    ],
)
def test_labels_that_cannot_be_drawn_are_named(labels: Labels, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        draw_face(labels, np.random.default_rng(0), 64)


def test_closed_eyes_need_no_color() -> None:
    labels = {key: value for key, value in PLAIN.items() if key != "eye_color"} | {"closed_eyes": True}
    with_color = draw_face(PLAIN | {"closed_eyes": True}, np.random.default_rng(1), 64)
    assert (draw_face(labels, np.random.default_rng(1), 64) == with_color).all()


@pytest.mark.parametrize("enlarged", [1, 4])
def test_an_anime_face_detector_finds_a_face_in_nine_of_ten(enlarged: int, shared: Callable[[str], Path]) -> None:
    """At 128 px as they are, and enlarged 4 times with a border of a quarter on each side."""
    cascade = cv2.CascadeClassifier(str(shared("lbpcascade_animeface.xml")))
    found = 0
    for face_idx in range(100):
        rng = np.random.default_rng((1, face_idx))
        gray = cv2.equalizeHist(cv2.cvtColor(draw_face(random_labels(rng), rng, 128), cv2.COLOR_RGB2GRAY))
        if enlarged > 1:
            gray = cv2.copyMakeBorder(gray, 32, 32, 32, 32, cv2.BORDER_REPLICATE)
            gray = cv2.resize(gray, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC)
        found += len(cascade.detectMultiScale(gray, 1.1, 5, minSize=(24 * enlarged, 24 * enlarged))) > 0
    assert found >= 90
