"""Colours named without people: on drawn faces whose truth is known."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from genga.tags import Labels, check
from labeling.weak import HAIR as PALETTE
from labeling.weak import Layout, clear_name, clusters, layout_of, weak_labels
from stages.draw_faces import face

COUNT = 120


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, list[Labels]]:
    rows, pictures = zip(*(face(0, 64, face_idx) for face_idx in range(COUNT)), strict=True)
    return np.stack(pictures), [json.loads(row["labels"]) for row in rows]


def share_right(said: list[Labels], truth: list[Labels], group: str) -> tuple[float, float]:
    """How often something is said, and how often that is right."""
    pairs = [(each[group], true[group]) for each, true in zip(said, truth, strict=True) if group in each and group in true]
    return len(pairs) / len(truth), sum(one == other for one, other in pairs) / len(pairs)


def test_hair_and_eyes_of_drawn_faces_are_named_and_mostly_right(drawn: tuple[np.ndarray, list[Labels]]) -> None:
    pictures, truth = drawn
    said = weak_labels(pictures)
    for labels in said:
        assert check(labels).keys() <= {"hair_color", "eye_color"}
    hair_said, hair_right = share_right(said, truth, "hair_color")
    eyes_said, eyes_right = share_right(said, truth, "eye_color")
    assert hair_said > 0.6 and hair_right > 0.95
    assert eyes_said > 0.4 and eyes_right > 0.65


def test_the_eyes_of_the_mean_face_are_found_wherever_they_lie(drawn: tuple[np.ndarray, list[Labels]]) -> None:
    pictures, _ = drawn
    loose = layout_of(pictures)
    tight = layout_of(pictures[:, 12:60, 8:56])  # the same faces, cut closer: eyes higher and farther apart
    assert 0.45 < loose.y < 0.6 and 0.1 < loose.apart < 0.18
    assert tight.y == pytest.approx((loose.y * 64 - 12) / 48, abs=0.04)
    assert tight.apart == pytest.approx(loose.apart * 64 / 48, abs=0.03)


def test_the_same_pictures_get_the_same_names_and_no_picture_none(drawn: tuple[np.ndarray, list[Labels]]) -> None:
    pictures, _ = drawn
    assert weak_labels(pictures[:20]) == weak_labels(pictures[:20])
    assert weak_labels(pictures[:0]) == []


def test_a_colour_that_is_no_tag_any_more_is_not_named(drawn: tuple[np.ndarray, list[Labels]], monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, _ = drawn
    before = [labels.get("hair_color") for labels in weak_labels(pictures[:40])]
    left = [colour for colour in PALETTE if colour != before[0]]
    assert before[0] is not None
    monkeypatch.setattr("labeling.weak.groups", lambda: {"hair_color": left})
    named = weak_labels(pictures[:40])
    assert [labels.get("hair_color") for labels in named] == [colour if colour in left else None for colour in before]
    assert not any("eye_color" in labels for labels in named)


def test_a_colour_between_two_names_gets_none() -> None:
    assert clear_name(np.array(PALETTE["red"], float), PALETTE) == "red"
    between = (np.array(PALETTE["gray"], float) + np.array(PALETTE["white"], float)) / 2
    assert clear_name(between, PALETTE) is None


def test_clusters_find_the_colours_that_pixels_have() -> None:
    pixels = np.repeat(np.array([[20.0, 0, 0], [80, 30, 10], [50, -30, -20]]), 40, axis=0)
    chosen, middles = clusters(pixels, 3)
    assert sorted(middles.round().tolist()) == [[20, 0, 0], [50, -30, -20], [80, 30, 10]]
    assert np.allclose(middles[chosen], pixels, atol=0.1)


def test_real_faces_get_more_right_labels_than_the_commonest_colour_would(shared: Callable[[str], Path]) -> None:
    with zipfile.ZipFile(shared("faces96.zip")) as archive:
        names = {Path(name).name: name for name in archive.namelist()}
        rows = list(csv.DictReader(io.StringIO(archive.read(names["labels.csv"]).decode())))[:400]
        bytes_ = [archive.read(names[Path(row["file"]).name]) for row in rows]
    pictures = np.stack([cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for data in bytes_])
    layout = layout_of(pictures)
    assert layout == Layout(pytest.approx(0.4, abs=0.03), pytest.approx(0.165, abs=0.03))  # type: ignore[arg-type]
    said, right = share_right(weak_labels(pictures), [{"hair_color": row["hair"]} for row in rows], "hair_color")
    assert said > 0.35 and right > 0.6
