import asyncio
import base64
import errno
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import ExifTags, Image
from tiny_release import FAMILIES, NOTE, SLIDERS, UNSURE, make_release
from torch import Tensor

from drawing.mannequin import LOOKS, projection, render, sample_mannequin
from drawing.stick import STYLES, draw_stick, sample_style
from genga.errors import DataError, ReleaseError
from genga.gallery import Gallery
from genga.params import load_params
from genga.pictures import Limits, encode_png
from genga.release import Release
from genga.skeleton import JOINTS, LIMBS, J
from genga.store import StoreWriter, picture_id
from genga.tags import columns, flags, groups
from models.networks.sketcher import Sketcher
from serve.app import create_app
from serve.engine import facing_us
from serve.schemas import MAX_CHARACTERS, MAX_JSON_BYTES, MAX_SKETCHES, NUM_NEAREST, PICTURE_LIMITS, UPSCALE_LIMITS

STANDING = [
    [0.5, 0.15],
    [0.5, 0.3],
    [0.4, 0.4],
    [0.6, 0.4],
    [0.35, 0.5],
    [0.65, 0.5],
    [0.5, 0.55],
    [0.45, 0.7],
    [0.55, 0.7],
    [0.45, 0.9],
    [0.55, 0.9],
]


@pytest.fixture(scope="module")
def release_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    release_dir = tmp_path_factory.mktemp("api") / "release"
    make_release(release_dir)
    return release_dir


@pytest.fixture(scope="module")
def client(release_dir: Path) -> Iterator[TestClient]:
    with TestClient(create_app(release_dir)) as client:
        yield client


@pytest.fixture(scope="module")
def client_without_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    release_dir = tmp_path_factory.mktemp("gallery-only") / "release"
    make_release(release_dir, families=["gallery"])
    with TestClient(create_app(release_dir)) as client:
        yield client


def pixels(url_or_png: str | bytes) -> Any:
    png = url_or_png if isinstance(url_or_png, bytes) else base64.b64decode(url_or_png.removeprefix("data:image/png;base64,"))
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


def noise(height: int, width: int, channels: int = 3) -> Any:
    small = np.random.default_rng(0).integers(0, 255, (height // 4 + 1, width // 4 + 1, channels), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def sentence(reply: httpx.Response, status: int) -> str:
    """The error's one sentence, after checking that it is one."""
    assert reply.status_code == status, reply.text
    document = reply.json()
    assert document.keys() == {"error"} and document["error"] and "\n" not in document["error"]
    return str(document["error"])


# --- characters


def characters(client: TestClient, **request: Any) -> Any:
    reply = client.post("/api/characters", json=request)
    assert reply.status_code == 200, reply.text
    assert reply.headers["X-Genga-Version"] == reply.json()["version"]
    return reply.json()


def test_every_reply_of_a_release_names_it_even_a_refusal(client: TestClient, release_dir: Path) -> None:
    picture = {"file": ("a.png", encode_png(noise(16, 16)))}
    replies = [
        client.get("/api/release"),
        client.post("/api/characters", json={}, headers={"Accept": "image/png"}),
        client.post("/api/characters", json={"family": "began64"}),
        client.post("/api/characters", json={"seed": -1}),
        client.post("/api/upscale", files=picture),
    ]
    assert [reply.status_code for reply in replies] == [200, 200, 422, 422, 200]
    assert {reply.headers["X-Genga-Release"] for reply in replies} == {Release.open(release_dir).id}
    assert "X-Genga-Release" not in client.get("/healthz").headers


def test_a_seed_gives_the_same_bytes_every_time_and_another_seed_another_face(client: TestClient) -> None:
    first, second = characters(client, seed=7), characters(client, seed=7)
    assert first == second
    assert first["version"] == "stylegan2/1" and first["seeds"] == [7]
    assert pixels(first["images"][0]).shape == (32, 32, 3)
    assert characters(client, seed=8)["images"] != first["images"]


def test_a_face_does_not_depend_on_how_many_were_asked_for(client: TestClient) -> None:
    together = characters(client, seed=2**32 - 2, count=5, tags={"glasses": 0.5})
    assert together["seeds"] == [2**32 - 2, 2**32 - 1, 0, 1, 2]
    alone = [characters(client, seed=seed, tags={"glasses": 0.5})["images"][0] for seed in together["seeds"]]
    assert together["images"] == alone


def test_png_is_given_where_it_is_asked_for_by_name_and_for_one_face(client: TestClient) -> None:
    request = {"seed": 3, "psi": 0.5}
    reply = client.post("/api/characters", json=request, headers={"Accept": "image/png"})
    assert reply.headers["Content-Type"] == "image/png" and reply.headers["X-Genga-Version"] == "stylegan2/1"
    assert (pixels(reply.content) == pixels(characters(client, **request)["images"][0])).all()
    several = client.post("/api/characters", json={**request, "count": 2}, headers={"Accept": "image/png"})
    assert len(several.json()["images"]) == 2
    assert client.post("/api/characters", json=request, headers={"Accept": "*/*"}).json()["seeds"] == [3]


def test_sliders_change_the_face_and_zero_leaves_it(client: TestClient) -> None:
    plain = characters(client, seed=1)["images"][0]
    assert characters(client, seed=1, tags=dict.fromkeys(SLIDERS, 0.0))["images"][0] == plain
    moved = {name: characters(client, seed=1, tags={name: 1.0})["images"][0] for name in SLIDERS}
    assert len({plain, *moved.values()}) == len(SLIDERS) + 1
    assert characters(client, seed=1, tags={"glasses": -1.0})["images"][0] != moved["glasses"]


def test_the_order_of_sliders_does_not_matter(client: TestClient) -> None:
    tags = {"hair_length": 0.3, "glasses": 0.7, "hair_color=blue": -0.9}
    assert characters(client, tags=tags)["images"] == characters(client, tags=dict(reversed(tags.items())))["images"]


def test_a_family_that_was_told_tags_draws_what_it_is_asked_to_show(client: TestClient) -> None:
    asked: list[dict[str, Any]] = [{}, {"hair_color": "blue"}, {"hair_color": "red"}, {"glasses": True}, {"glasses": False}]
    faces = [characters(client, seed=1, shows=shows)["images"][0] for shows in asked]
    assert len(set(faces)) == len(faces)
    assert faces[0] == characters(client, seed=1)["images"][0]
    assert characters(client, seed=1, shows={"hair_color": "blue"}, tags={"glasses": 0.5})["images"][0] not in faces
    families = client.get("/api/release").json()["families"]
    assert families["stylegan2"]["shows"] == columns() and families["dcgan32"]["shows"] == [] == families["tagger"]["shows"]


def test_full_truncation_gives_one_face_for_all_seeds(client: TestClient) -> None:
    assert characters(client, seed=1, psi=0.0)["images"] == characters(client, seed=2, psi=0.0)["images"]


def test_another_family_answers_where_it_is_named(client: TestClient) -> None:
    reply = characters(client, family="dcgan32", tags={"glasses": 0.4})
    assert reply["version"] == "dcgan32/1" and pixels(reply["images"][0]).shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"psi": 1.5}, "psi"),
        ({"psi": -0.1}, "psi"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": "5"}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"count": 0}, "count"),
        ({"count": MAX_CHARACTERS + 1}, f"{MAX_CHARACTERS}"),
        ({"tags": {"glasses": 1.01}}, "tags.glasses"),
        ({"tags": ["glasses"]}, "tags"),
        ({"tags": {"nose": 1}}, "hair_color=blue, glasses, hair_length"),
        ({"family": "tagger"}, "stylegan2, dcgan32"),
        ({"shows": {"glasses": True}, "family": "dcgan32"}, "dcgan32 cannot be asked for 'glasses'; it was told no tags"),
        ({"shows": {"hair_color": "plaid"}}, "cannot be asked for 'hair_color=plaid'; it can show hair_color=blonde"),
        ({"shows": {"hair_color": True}}, "cannot be asked for 'hair_color'"),
        ({"shows": {"nose": True}}, "cannot be asked for 'nose'"),
        ({"shows": {"hair_color=blue": True}}, "ask for 'hair_color': 'blue'"),
        ({"shows": {"glasses": 1}}, "shows.glasses"),
        ({"sede": 1}, "sede"),
    ],
)
def test_a_request_out_of_range_is_answered_with_what_is_wrong(client: TestClient, request_: dict[str, Any], words: str) -> None:
    assert words in sentence(client.post("/api/characters", json=request_), 422)


@pytest.mark.parametrize("body", ['{"psi": NaN}', '{"tags": {"glasses": Infinity}}', '{"psi": 1', "[]", '"text"', "", '{"seed": 1e400}'])
def test_what_is_no_proper_json_request_is_refused(client: TestClient, body: str) -> None:
    sentence(client.post("/api/characters", content=body, headers={"Content-Type": "application/json"}), 422)


@pytest.mark.parametrize("body", [b"[" * 90_000, b'{"seed": ' + b"9" * 5000 + b"}", b'{"family": "\xff"}'])
def test_json_that_nobody_reads_is_refused(client: TestClient, body: bytes) -> None:
    said = sentence(client.post("/api/characters", content=body, headers={"Content-Type": "application/json"}), 400)
    assert said.startswith("the body cannot be read as JSON; send UTF-8")


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}])
def test_json_that_is_not_called_so_is_refused_with_the_header_to_send(client: TestClient, headers: dict[str, str]) -> None:
    said = sentence(client.post("/api/characters", content='{"seed": 3}', headers=headers), 422)
    assert said.endswith("expected JSON; send it with Content-Type: application/json") and headers.get("Content-Type", "nothing") in said


def test_a_field_of_the_wrong_kind_is_named(client: TestClient) -> None:
    picture = encode_png(drawn("stick", 3))
    assert sentence(client.post("/api/pose", data={"file": "x"}), 422).startswith("file came as text, expected a file")
    assert sentence(client.post("/api/pose", files={"file": picture, "kind": picture}), 422) == "kind came as a file, expected text"


def test_a_sentence_stays_short_whatever_it_names(client: TestClient) -> None:
    said = sentence(client.post("/api/characters", json={"family": "a" * 90_000}), 422)
    assert len(said) < 1000 and said.endswith("dcgan32")


# --- tags


def test_tags_are_probabilities_of_every_column_and_the_best_value_of_every_group(client: TestClient) -> None:
    reply = client.post("/api/tags", files={"file": encode_png(noise(80, 64))})
    found = reply.json()
    assert reply.headers["X-Genga-Version"] == found["version"] == "tagger/1"
    assert list(found["tags"]) == columns()
    for group, values in groups().items():
        by_value = {value: found["tags"][f"{group}={value}"] for value in values}
        assert sum(by_value.values()) == pytest.approx(1, abs=1e-5)
        assert by_value[found["groups"][group]] == max(by_value.values())
    assert found["flags"] == {flag: found["tags"][flag] >= 0.5 for flag in flags()}
    assert found["unsure"] == list(UNSURE)


@pytest.mark.parametrize(("threshold", "is_smile"), [(0.0, True), (1.0, False)])
def test_a_flag_is_a_yes_from_the_threshold_of_its_card_on(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, threshold: float, is_smile: bool
) -> None:
    card = client.app.state.current.engine.released("tagger").card  # type: ignore[attr-defined]
    monkeypatch.setitem(card["thresholds"], "smile", threshold)
    assert client.post("/api/tags", files={"file": encode_png(noise(64, 64))}).json()["flags"]["smile"] is is_smile


def test_tags_are_read_off_the_middle_square(client: TestClient) -> None:
    wide = noise(64, 128)
    square, whole = (client.post("/api/tags", files={"file": encode_png(picture)}).json() for picture in (wide[:, 32:96], wide))
    assert square == whole


@pytest.mark.parametrize("route", ["/api/tags", "/api/pose", "/api/upscale"])
def test_uploads_that_are_no_usable_picture_are_refused(client: TestClient, route: str) -> None:
    png = encode_png(noise(64, 64))
    assert "JPEG" in sentence(client.post(route, files={"file": b"just text"}), 415)
    sentence(client.post(route, files={"file": b""}), 415)
    sentence(client.post(route, files={"file": png[: len(png) // 2]}), 422)
    assert "file" in sentence(client.post(route, files={"picture": png}), 422)
    assert "file" in sentence(client.post(route), 422)
    sentence(client.post(route, data={"file": "a word"}), 422)
    sentence(client.post(route, content=png, headers={"Content-Type": "image/png"}), 422)


@pytest.mark.parametrize("route", ["/api/tags", "/api/pose", "/api/upscale"])
def test_an_upload_is_read_in_its_turn_and_not_before(client: TestClient, monkeypatch: pytest.MonkeyPatch, route: str) -> None:
    read, threads = tempfile.SpooledTemporaryFile.read, []

    def noted(self: Any, *args: Any) -> bytes:
        threads.append(threading.current_thread().name)
        return read(self, *args)

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "read", noted)
    assert client.post(route, files={"file": encode_png(drawn("stick", 3))}).status_code == 200
    assert threads and all(name.startswith("models") for name in threads)


@pytest.mark.parametrize(
    ("content", "type_", "status", "words"),
    [
        (b"\x89PNG", "image/png", 422, "file is missing"),
        (b"--x", "multipart/form-data", 400, "cannot be read as a form (Missing boundary in multipart)"),
        (b"no form", "multipart/form-data; boundary=x", 400, "cannot be read as a form (Invalid multipart data)"),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + bytes(2**20 + 1) + b"\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
            400,
            "cannot be read as a form (Part exceeded maximum size of 1024KB)",
        ),
    ],
)
def test_a_picture_that_is_sent_otherwise_is_refused_with_how_to_send_it(
    client: TestClient, content: bytes, type_: str, status: int, words: str
) -> None:
    said = sentence(client.post("/api/pose", content=content, headers={"Content-Type": type_}), status)
    assert words in said and said.endswith("; send the picture as the file `file` of multipart/form-data")


# --- pose


def drawn(kind: str, seed: int, styles: tuple[str, ...] = tuple(STYLES)) -> Any:
    rng = np.random.default_rng(seed)
    mannequin = sample_mannequin(load_params(Path(__file__).parents[2] / "params.yaml").draw_figures.mannequins, LOOKS, rng)
    if kind == "stick":
        gray = draw_stick(mannequin.pose, 300, sample_style(styles, rng), rng)
    else:
        gray = projection(mannequin, render(mannequin, 300), 128, 1.0)
    return np.repeat(gray[:, :, None], 3, axis=2)


def read_pose(client: TestClient, picture: Any) -> Any:
    reply = client.post("/api/pose", files={"file": encode_png(picture)})
    assert reply.status_code == 200, reply.text
    assert reply.headers["X-Genga-Version"] == reply.json()["version"]
    return reply.json()


@pytest.mark.parametrize("kind", ["stick", "figure"])
def test_stick_figures_and_figures_are_told_apart_and_read_by_their_own_network(client: TestClient, kind: str) -> None:
    readings = [read_pose(client, drawn(kind, seed)) for seed in range(20)]
    assert [reading["kind"] for reading in readings].count(kind) >= 19
    for reading in readings:
        assert reading["version"] == f"{reading['kind']}-pose/1"
        assert np.shape(reading["pose"]) == (11, 2) and np.shape(reading["confidence"]) == (11,)
        assert np.min(reading["pose"]) >= 0 and np.max(reading["pose"]) <= 1


@pytest.mark.parametrize("kind", ["stick", "figure"])
def test_a_drawing_is_read_as_what_the_caller_says(client: TestClient, kind: str) -> None:
    for drawing in ("stick", "figure"):
        reply = client.post("/api/pose", files={"file": encode_png(drawn(drawing, 1))}, data={"kind": kind})
        assert (reply.json()["kind"], reply.json()["version"]) == (kind, f"{kind}-pose/1")
    refused = client.post("/api/pose", files={"file": encode_png(drawn(kind, 1))}, data={"kind": "cat"})
    assert sentence(refused, 422).startswith("kind: ")


def test_left_limbs_of_a_stick_figure_are_those_on_the_right(client: TestClient) -> None:
    readings = [read_pose(client, drawn("stick", seed)) for seed in range(10)]
    for pose in (np.array(reading["pose"]) for reading in readings if reading["kind"] == "stick"):
        for left, right in LIMBS.values():
            assert pose[list(left), 0].sum() >= pose[list(right), 0].sum()


def test_joints_that_change_sides_take_their_confidence_along() -> None:
    facing = np.zeros((11, 2))
    facing[[J["l_elbow"], J["l_wrist"], J["r_knee"], J["r_ankle"]], 0] = 1
    assert [JOINTS[idx] for idx in facing_us(facing)] == [
        *("head", "neck", "l_elbow", "r_elbow", "l_wrist", "r_wrist", "hip"),
        *("r_knee", "l_knee", "r_ankle", "l_ankle"),
    ]


def test_light_lines_on_dark_paper_read_the_same(client: TestClient) -> None:
    picture = drawn("stick", 3)
    assert read_pose(client, 255 - picture) == read_pose(client, picture)


def test_white_lines_on_nothing_read_like_dark_ones(client: TestClient) -> None:
    alpha = 255 - drawn("stick", 3).min(axis=2)
    dark, white = (np.dstack([np.full_like(alpha, shade)] * 3 + [alpha]) for shade in (0, 255))
    assert read_pose(client, white) == read_pose(client, dark)


def test_joints_are_places_in_the_picture_as_it_came(client: TestClient) -> None:
    for seed in range(4):
        picture = drawn("stick", seed, ("thin-open",))  # on even paper: more of it changes nothing
        wider = np.pad(picture, ((0, 0), (300, 0), (0, 0)), mode="edge")
        here, moved = (np.array(read_pose(client, each)["pose"]) for each in (picture, wider))
        np.testing.assert_allclose(moved[:, 0], 0.5 + here[:, 0] / 2, atol=1e-6)
        np.testing.assert_allclose(moved[:, 1], here[:, 1], atol=1e-6)


def test_a_reading_tells_the_size_of_the_picture_as_it_is_looked_at(client: TestClient) -> None:
    picture = Image.fromarray(drawn("stick", 3)[:200])
    lying, exif = BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # a quarter turn
    picture.save(lying, "jpeg", exif=exif)
    sizes = [client.post("/api/pose", files={"file": data}).json() for data in (encode_png(np.asarray(picture)), lying.getvalue())]
    assert [(size["width"], size["height"]) for size in sizes] == [(300, 200), (200, 300)]


def test_an_empty_sheet_of_paper_has_no_pose(client: TestClient) -> None:
    assert "no drawing" in sentence(client.post("/api/pose", files={"file": encode_png(np.full((90, 90, 3), 240, np.uint8))}), 422)


# --- sketch


def test_a_pose_gives_sketches_and_the_nearest_figures(client: TestClient) -> None:
    reply = client.post("/api/sketch", json={"pose": STANDING, "count": 3, "seed": 5})
    found = reply.json()
    assert reply.headers["X-Genga-Version"] == found["version"] == "sketcher/1" and found["gallery_version"] == "gallery/1"
    assert found["seeds"] == [5, 6, 7] and len(set(found["sketches"])) == 3
    assert pixels(found["sketches"][0]).shape == (64, 64)
    distances = [figure["distance"] for figure in found["nearest"]]
    assert len(distances) == NUM_NEAREST and distances == sorted(distances)
    assert {figure["licence"] for figure in found["nearest"]} == {"CC0-1.0"}
    assert client.post("/api/sketch", json={"pose": STANDING, "count": 1, "seed": 6}).json()["sketches"] == found["sketches"][1:2]


def test_sketches_side_by_side_are_of_different_drawings(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    bent, rows = Sketcher.bent, []

    def remembering(self: Sketcher, chosen: Tensor, *args: Any) -> Tensor:
        rows.append(int(chosen) % len(self.poses))
        return bent(self, chosen, *args)

    monkeypatch.setattr(Sketcher, "bent", remembering)
    for seed in (0, 8, 2**32 - 8):
        reply = client.post("/api/sketch", json={"pose": STANDING, "count": 8, "seed": seed})
        assert reply.status_code == 200 and len(set(rows[-8:])) == 8
    alone = client.post("/api/sketch", json={"pose": STANDING, "seed": 2**32 - 3}).json()["sketches"]
    assert alone == reply.json()["sketches"][5:6]


def test_the_pose_of_a_gallery_figure_finds_it_first_and_its_mirror_image_flipped(client: TestClient, release_dir: Path) -> None:
    gallery = Gallery(release_dir / "gallery" / "1")
    pose = gallery.poses[3]
    first = client.post("/api/sketch", json={"pose": pose.tolist()}).json()["nearest"][0]
    assert first["id"] == gallery.store.column("id")[3] and first["distance"] < 1e-6
    assert (pixels(first["image"]) == gallery.picture(3)).all()
    swapped = [0, 1, 3, 2, 5, 4, 6, 8, 7, 10, 9]
    mirrored = [[1 - x, y] for x, y in pose[swapped].tolist()]
    first = client.post("/api/sketch", json={"pose": mirrored}).json()["nearest"][0]
    assert first["id"] == gallery.store.column("id")[3] and first["distance"] < 1e-6
    assert (pixels(first["image"]) == gallery.picture(3)[:, ::-1]).all()


def test_a_pose_read_off_a_wide_picture_is_that_of_a_square_once_its_size_is_said(client: TestClient, release_dir: Path) -> None:
    gallery = Gallery(release_dir / "gallery" / "1")
    square = 0.5 + 0.3 * (gallery.poses[3] - 0.5)
    read = {"pose": ((square - 0.5) * (1, 3) + 0.5).tolist(), "width": 900, "height": 300}
    found, same = (client.post("/api/sketch", json=asked).json() for asked in (read, {"pose": square.tolist()}))
    assert found["nearest"][0]["id"] == gallery.store.column("id")[3] and found["nearest"][0]["distance"] < 1e-6
    assert found["sketches"] == same["sketches"] != client.post("/api/sketch", json={"pose": read["pose"]}).json()["sketches"]
    assert "give both" in sentence(client.post("/api/sketch", json={"pose": read["pose"], "width": 900}), 422)


def test_joints_that_were_not_seen_do_not_count_for_the_nearest_figures(client: TestClient, release_dir: Path) -> None:
    gallery = Gallery(release_dir / "gallery" / "1")
    pose = gallery.poses[3].copy()
    pose[J["l_wrist"]] = 1 - pose[J["l_wrist"]]
    confidence = [0.0 if name == "l_wrist" else 0.8 for name in JOINTS]
    blind, misled = (client.post("/api/sketch", json={"pose": pose.tolist(), **more}).json() for more in ({"confidence": confidence}, {}))
    assert blind["nearest"][0]["id"] == gallery.store.column("id")[3] and blind["nearest"][0]["distance"] < 1e-6
    assert misled["nearest"][0]["distance"] > 1e-3
    assert blind["sketches"] == misled["sketches"]


@pytest.mark.parametrize(
    "request_",
    [
        {"pose": STANDING, "confidence": [0.0] * 11},
        {"pose": STANDING, "confidence": [1.0] * 10},
        {"pose": STANDING, "confidence": [1.1] * 11},
        {"pose": STANDING, "confidence": 1},
        {"pose": STANDING[:10]},
        {"pose": [*STANDING, [0.5, 0.5]]},
        {"pose": [[0.5, 1.01], *STANDING[1:]]},
        {"pose": [[-0.01, 0.5], *STANDING[1:]]},
        {"pose": [[0.5], *STANDING[1:]]},
        {"pose": [["0.5", 0.5], *STANDING[1:]]},
        {"pose": [[None, 0.5], *STANDING[1:]]},
        {"pose": STANDING, "width": 0, "height": 300},
        {"pose": STANDING, "count": MAX_SKETCHES + 1},
        {"count": 1},
    ],
)
def test_what_is_no_pose_of_the_picture_is_refused(client: TestClient, request_: dict[str, Any]) -> None:
    sentence(client.post("/api/sketch", json=request_), 422)


def test_a_joint_that_is_not_a_number_is_refused(client: TestClient) -> None:
    body = json.dumps({"pose": [[float("nan"), 0.5], *STANDING[1:]]})
    assert "pose.0.0" in sentence(client.post("/api/sketch", content=body, headers={"Content-Type": "application/json"}), 422)


# --- upscale


def upscale(client: TestClient, picture: Any) -> Any:
    reply = client.post("/api/upscale", files={"file": encode_png(picture)})
    assert reply.status_code == 200, reply.text
    assert reply.headers["Content-Type"] == "image/png" and reply.headers["X-Genga-Version"] == "upscaler/1"
    return pixels(reply.content)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 70), (50, 33), (193, 201)])
def test_any_size_is_made_four_times_as_wide_and_high(client: TestClient, height: int, width: int) -> None:
    assert upscale(client, noise(height, width)).shape == (4 * height, 4 * width, 3)


def test_alpha_is_kept(client: TestClient) -> None:
    picture = noise(40, 40, 4)
    picture[:, :20, 3], picture[:, 20:, 3] = 0, 255
    enlarged = upscale(client, picture)
    assert enlarged.shape == (160, 160, 4)
    assert (enlarged[:, :72, 3] == 0).all() and (enlarged[:, 88:, 3] == 255).all()


def test_an_enlargement_that_finds_the_line_full_is_told_when_to_come_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.turns.MAX_WAITING", -1)
    reply = client.post("/api/upscale", files={"file": encode_png(noise(8, 8))})
    assert "try again in a minute" in sentence(reply, 503) and reply.headers["Retry-After"] == "60"


def test_an_enlargement_waits_for_its_caller_on_disk_and_is_gone_afterwards(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[Any] = []

    def remembered() -> Any:
        files.append(tempfile.TemporaryFile())  # noqa: SIM115
        return files[-1]

    monkeypatch.setattr("serve.app.TemporaryFile", remembered)
    reply = client.post("/api/upscale", files={"file": encode_png(noise(200, 200))})
    assert pixels(reply.content).shape == (800, 800, 3) and reply.headers["Content-Length"] == str(len(reply.content))
    assert [file.closed for file in files] == [True]


def test_an_enlargement_that_finds_the_disk_full_is_the_servers_trouble(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("serve.app.TemporaryFile", full)
    assert "No space left on device" in sentence(client.post("/api/upscale", files={"file": encode_png(noise(8, 8))}), 503)


def test_a_picture_with_too_many_pixels_is_refused_with_the_limit(client: TestClient) -> None:
    picture = np.zeros((1500, UPSCALE_LIMITS.max_pixels // 1500 + 1, 3), np.uint8)
    assert str(UPSCALE_LIMITS.max_pixels) in sentence(client.post("/api/upscale", files={"file": encode_png(picture)}), 413)


@pytest.mark.parametrize(("route", "limits"), [("tags", PICTURE_LIMITS), ("pose", PICTURE_LIMITS), ("upscale", UPSCALE_LIMITS)])
def test_a_picture_with_too_long_a_side_is_refused_with_the_limit(client: TestClient, route: str, limits: Limits) -> None:
    long = BytesIO()
    Image.new("RGB", (limits.max_side + 1, 8), "white").save(long, "PNG")  # OpenCV writes none so long
    assert f"at most {limits.max_side} pixels a side" in sentence(client.post(f"/api/{route}", files={"file": long.getvalue()}), 413)


# --- around the routes


def test_a_body_that_grows_too_large_is_refused_though_no_length_was_announced(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"tags": {"'
        for _ in range(200):
            yield b"a" * 1000

    assert str(MAX_JSON_BYTES) in sentence(client.post("/api/characters", content=endless(), headers={"Content-Type": "application/json"}), 413)


def test_a_file_larger_than_the_limit_is_refused(client: TestClient) -> None:
    reply = client.post("/api/tags", files={"file": bytes(PICTURE_LIMITS.max_bytes + 200_000)})
    assert "bytes" in sentence(reply, 413)
    reply = client.post("/api/tags", files={"file": b"\x89PNG\r\n\x1a\n" + bytes(PICTURE_LIMITS.max_bytes)})
    assert "bytes" in sentence(reply, 413)


def test_an_upload_that_finds_the_disk_full_is_the_servers_trouble(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", full)
    said = sentence(client.post("/api/tags", files={"file": encode_png(noise(8, 8))}), 503)
    assert "(No space left on device); make room in" in said and "No space left on device" in caplog.text


def test_a_caller_who_leaves_while_sending_is_counted_as_such(client: TestClient) -> None:
    async def leaving() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def nowhere(_: object) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/api/tags", "raw_path": b"/api/tags", "query_string": b"", "root_path": ""}
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    asyncio.run(client.app(scope | {"headers": headers}, leaving, nowhere))  # type: ignore[arg-type]
    assert 'genga_requests_total{route="/api/tags",status="499"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/api/nothing", 404), ("GET", "/nothing.js", 404), ("GET", "/api/sketch", 405)])
def test_what_is_not_there_is_said_in_one_sentence(client: TestClient, method: str, path: str, status: int) -> None:
    assert path in sentence(client.request(method, path), status)


def test_paths_do_not_lead_out_of_the_page(client: TestClient) -> None:
    for path in ("/%2e%2e/app.py", "/..%2fapp.py", "//etc/passwd", "/page/..%2f..%2fparams.yaml"):
        sentence(client.get(path), 404)


def test_the_page_comes_with_types_browsers_take_and_lets_nothing_in_from_outside(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    assert "http" not in page.headers["Content-Security-Policy"] and "default-src 'none'" in page.headers["Content-Security-Policy"]
    for path in ("/", "/api/release", "/nothing"):
        assert "frame-ancestors 'none'" in client.get(path).headers["Content-Security-Policy"]
    script = client.get("/app.js")
    assert script.headers["Content-Type"].startswith("text/javascript") and script.headers["X-Content-Type-Options"] == "nosniff"


def test_health_and_readiness_answer(client: TestClient, release_dir: Path) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert [client.head(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]  # as monitors ask
    assert client.get("/readyz").json() == {"status": "ready", "release": Release.open(release_dir).id}


def test_the_release_tells_the_page_all_it_shows(client: TestClient) -> None:
    told = client.get("/api/release").json()
    assert set(told["families"]) == set(FAMILIES)
    face = told["families"]["stylegan2"]
    assert (face["version"], face["metrics"], face["licences"], face["notes"]) == ("1", {"kid": 0.5}, ["CC0-1.0"], [NOTE])
    assert face["resolution"] == 32
    assert [slider["name"] for slider in face["sliders"]] == list(SLIDERS)
    assert face["sliders"][0] == {"name": "hair_color=blue", "group": "hair_color", "effect": 0.4, "learned_from": "drawn", "drag": {"smile": 0.1}}
    assert told["families"]["tagger"]["learned_from"] == {"glasses": "drawn"}
    assert told["families"]["upscaler"]["sliders"] is None
    assert told["faces"] == ["stylegan2", "dcgan32"]
    assert told["limits"]["upscale_pixels"] == UPSCALE_LIMITS.max_pixels and told["limits"]["characters"] == MAX_CHARACTERS


def test_metrics_count_requests_by_route_and_status_and_name_the_versions(client: TestClient) -> None:
    def count(line: str) -> float:
        return next((float(each.split()[-1]) for each in client.get("/metrics").text.splitlines() if each.startswith(line)), 0.0)

    good, bad = 'genga_requests_total{route="/api/characters",status="200"}', 'genga_requests_total{route="/api/characters",status="422"}'
    before = count(good), count(bad), count('genga_request_seconds_count{route="/api/characters"}')
    client.post("/api/characters", json={})
    client.post("/api/characters", json={"psi": 2})
    after = count(good), count(bad), count('genga_request_seconds_count{route="/api/characters"}')
    assert tuple(np.subtract(after, before)) == (1, 1, 2)
    assert count('genga_model_info{family="stylegan2",version="1"}') == 1
    client.get("/made/up/by/the/caller")
    assert "made" not in client.get("/metrics").text


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, png: client.post("/api/characters", json={}),
        lambda client, png: client.post("/api/sketch", json={"pose": STANDING}),
        lambda client, png: client.post("/api/tags", files={"file": png}),
        lambda client, png: client.post("/api/pose", files={"file": png}),
        lambda client, png: client.post("/api/upscale", files={"file": png}),
    ],
)
def test_what_the_release_does_not_have_is_said(client_without_models: TestClient, ask: Callable[[TestClient, bytes], httpx.Response]) -> None:
    assert "release has no" in sentence(ask(client_without_models, encode_png(drawn("stick", 0))), 503)


def test_a_tagger_of_other_tags_is_left_out_and_everything_else_is_served(
    tmp_path: Path, add_a_tag: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    make_release(tmp_path / "release", families=["stylegan2", "tagger", "stick-pose", "figure-pose", "sketcher", "gallery"])
    add_a_tag()
    with TestClient(create_app(tmp_path / "release")) as client:
        why = "the released tagger was trained for another list of tags than genga/tags.yaml has now"
        assert [record.message for record in caplog.records if why in record.message] and len(caplog.records) == 1
        told = client.get("/api/release").json()
        assert set(told["families"]) == {"stylegan2", "stick-pose", "figure-pose", "sketcher", "gallery"} and "hat" in told["flags"]
        picture = encode_png(drawn("stick", 0))
        assert why in sentence(client.post("/api/tags", files={"file": picture}), 503)
        asked = {"tags": {"hair_color=blue": 1}, "shows": {"glasses": True}}
        for reply in (
            client.post("/api/characters", json=asked),
            client.post("/api/sketch", json={"pose": STANDING}),
            client.post("/api/pose", files={"file": picture}),
        ):
            assert reply.status_code == 200, reply.text
        assert "hat" in sentence(client.post("/api/characters", json={"shows": {"hat": True}}), 422)
        assert 'family="tagger"' not in client.get("/metrics").text


def test_a_release_with_a_changed_byte_is_never_served(tmp_path: Path) -> None:
    make_release(tmp_path / "release", families=["sketcher"])
    weights = tmp_path / "release" / "sketcher" / "1" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ReleaseError, match=r"weights\.safetensors"):
        create_app(tmp_path / "release")


def test_a_gallery_that_cannot_be_opened_is_refused_before_the_port_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_number_too_few(_: str, store_dir: Path, seed: int) -> None:
        picture = np.full((1, 64, 64), seed, np.uint8)
        with StoreWriter(store_dir, {"64": (64, 64)}) as writer:
            writer.append([{"id": picture_id(picture[0]), "source": "drawn for a test", "licence": "CC0-1.0", "pose": [0.5] * 21}], **{"64": picture})

    monkeypatch.setattr("tiny_release._gallery", with_a_number_too_few)
    make_release(tmp_path / "release", families=["gallery"])
    with pytest.raises(DataError, match="21 numbers for 1 poses"):
        create_app(tmp_path / "release")


def test_a_slider_that_does_not_fit_its_generator_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiny_release._directions", lambda *_: {"sliders": {"glasses": {"vector": [1.0], "scale": 1.0}}})
    make_release(tmp_path / "release", families=["stylegan2"])
    with pytest.raises(ReleaseError, match="glasses"):
        create_app(tmp_path / "release")
