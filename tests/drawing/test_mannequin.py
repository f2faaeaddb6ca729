"""The projected body: joints where the pose says, surfaces hidden by what is nearer, whole outlines, faces that look somewhere, clothes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import drawing.mannequin
from drawing.mannequin import (
    HOMES,
    INK,
    INNER,
    LOOKS,
    NOTHING,
    OUTLINE,
    Mannequin,
    P,
    line_art,
    projection,
    render,
    sample_body,
    sample_camera,
    sample_mannequin,
    surface,
    visible,
)  # fmt: skip
from drawing.mannequin_body import BOTTOM, HAIR, SHOES, SKIN, TOP, TRIM
from drawing.poses import ANGLES, EASE, Body, Camera, collides, move, sample_build
from genga.errors import DataError, ParamsError
from genga.params import CameraRanges, Mannequins, load_params, parse_params
from genga.skeleton import JOINTS, J

REPO = Path(__file__).parents[2]
PARAMS = load_params(REPO / "params.yaml").draw_figures.mannequins


def sampled(seed: int, looks: tuple[str, ...] = LOOKS, params: Mannequins = PARAMS) -> Mannequin:
    return sample_mannequin(params, looks, np.random.default_rng(seed))


def standing(**angles: float) -> Body:
    rest = {name: sum(EASE[name.removeprefix("l_").removeprefix("r_")]) / 2 for name in ANGLES} | {"head_twist": 0.0, "spine_twist": 0.0}
    return move(sample_build(6.0, np.random.default_rng(0)), rest | {"head_nod": 0.0, "head_tilt": 0.0, "spine_tilt": 0.0} | angles)


def seen(look: str, turn: float = 0.0, elevation: float = 0.0, seed: int = 0, **angles: float) -> Mannequin:
    params = PARAMS.model_copy(update={"fill": (0.95, 0.95)})
    return sample_mannequin(params, (look,), np.random.default_rng(seed), (standing(**angles), Camera(turn, elevation, 0.0, 6.0), "a test"))


def from_camera(camera: Camera, points: Any, joints: Any) -> Any:
    """Where world points appear, from pinhole and angles alone: (N, 3), x and y on a plane through the middle of the joints, and distance."""
    turn, elevation, roll = np.radians([camera.turn, camera.elevation, camera.roll])
    x, y, z = (points - (joints.min(axis=0) + joints.max(axis=0)) / 2).T
    x, z = np.cos(turn) * x + np.sin(turn) * z, np.cos(turn) * z - np.sin(turn) * x
    y, z = np.cos(elevation) * y - np.sin(elevation) * z, np.cos(elevation) * z + np.sin(elevation) * y
    x, y = np.cos(roll) * x - np.sin(roll) * y, np.sin(roll) * x + np.cos(roll) * y
    far = camera.distance + z
    return np.stack([x * camera.distance / far, y * camera.distance / far, far], axis=1)


def bodies(count: int) -> list[tuple[Mannequin, Body, Camera, Any]]:
    """Figures with the body, the camera and the surface in the world that they were made from."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng((seed, 1))
        body = move(sample_build(6.0, rng), {name: float(rng.uniform(*EASE[name.removeprefix("l_").removeprefix("r_")])) * 3 for name in ANGLES})
        camera = Camera(float(rng.uniform(-180, 180)), float(rng.uniform(-20, 35)), 5.0, float(rng.uniform(1.5, 8)))
        look = LOOKS[int(rng.integers(len(LOOKS)))]
        figure = sample_mannequin(PARAMS, (look,), np.random.default_rng(seed), (body, camera, "a test"))
        again = np.random.default_rng(seed)
        again.integers(1)
        made.append((figure, body, camera, surface(body, look, again)))
    return made


BODIES = bodies(16)


# --- joints


def test_joints_lie_within_half_a_pixel_of_an_independent_projection_of_the_picture() -> None:
    """The picture's box tells where a pinhole projection of the surface was put; the joints must then fall where the pose says."""
    size = 2400
    for figure, body, camera, mesh in BODIES[8:]:  # of the one before, the top of the hair turns its back, which is not drawn
        drawn = render(figure, size)
        rows, columns = np.nonzero(drawn.part != NOTHING)
        low = np.array([columns.min() + drawn.box[1].start, rows.min() + drawn.box[0].start])
        high = np.array([columns.max() + drawn.box[1].start, rows.max() + drawn.box[0].start]) + 1
        expected = from_camera(camera, mesh.points, body.joints())[:, :2]
        zoom = (high - low).max() / np.ptp(expected, axis=0).max()
        shift = (low + high) / 2 - (expected.min(axis=0) + expected.max(axis=0)) / 2 * zoom
        joints = from_camera(camera, body.joints(), body.joints())[:, :2] * zoom + shift
        assert np.abs(joints / size - figure.pose).max() * 600 < 0.5


def test_every_joint_lies_in_its_own_limb() -> None:
    for figure, *_ in BODIES:
        for joint, parts in HOMES.items():
            own = np.isin(figure.part, [P[part] for part in parts])
            alone = render(replace(figure, faces=figure.faces[own], part=figure.part[own], tone=figure.tone[own], shell=figure.shell[own]), 600)
            x, y = (figure.pose[J[joint]] * 600).astype(int)
            assert alone.part[y - alone.box[0].start, x - alone.box[1].start] != NOTHING, joint


def test_limbs_are_as_thick_to_the_left_of_their_joints_as_to_the_right() -> None:
    figure = seen("short-croquis", l_raise=60.0, r_raise=60.0, l_elbow=0.0, r_elbow=0.0)
    drawn = render(figure, 1200)
    for joint, parts in (("l_knee", ["l_leg"]), ("r_knee", ["r_leg"]), ("l_ankle", ["l_leg", "l_foot"]), ("head", ["head", "hair"])):
        x, y = figure.pose[J[joint]] * 1200
        row = np.flatnonzero(np.isin(drawn.part[int(y) - drawn.box[0].start], [P[part] for part in parts])) + drawn.box[1].start
        assert abs((row.min() + row.max() + 1) / 2 - x) < 5, joint  # 2.5 pixels of 600: the legs stand a little askew


def test_a_joint_is_visible_where_a_ray_from_the_camera_meets_its_own_limb_first() -> None:
    agree = []
    for figure, body, camera, mesh in BODIES:
        flags, joints = visible(figure, render(figure, 600)), body.joints()
        a, b, c = (mesh.points[np.concatenate([mesh.faces[:, one], mesh.faces[:, other]])] for one, other in ((0, 1), (1, 2), (3, 3)))
        turned = camera.rotation()
        eye = (joints.min(axis=0) + joints.max(axis=0)) / 2 - turned[2] * camera.distance
        for name, joint, flag, reach in zip(JOINTS, joints, flags, figure.reach, strict=True):
            way = joint - eye
            # Möller and Trumbore 1997; the joint itself is at 1
            normal = np.cross(way, c - a)
            scale = np.einsum("ti,ti->t", b - a, normal)
            with np.errstate(divide="ignore", invalid="ignore"):
                u, side = np.einsum("ti,ti->t", eye - a, normal) / scale, np.cross(eye - a, b - a)
                v, far = side @ way / scale, np.einsum("ti,ti->t", c - a, side) / scale
                met = (u >= 0) & (v >= 0) & (u + v <= 1) & (np.tile(mesh.shell, 2) | (scale > 0))
            first = int(np.where(met, far, np.inf).argmin())
            at_joint = camera.distance / (camera.distance + float(turned[2] @ (joint - eye)) - camera.distance) * figure.height
            before = (1 - far[first]) * float(turned[2] @ way) <= reach / at_joint
            agree.append(flag == (mesh.part[first % len(mesh.part)] in {P[part] for part in HOMES[name]} and before))
    assert len(agree) == 16 * 11
    assert np.mean(agree) > 0.985  # a ray through the joint, a pixel's centre: they part at rims


@pytest.mark.parametrize("head_ratio", [4.0, 6.0, 10.0])
def test_a_head_of_any_size_is_visible_under_its_own_hair(head_ratio: float) -> None:
    params, seen_heads = PARAMS.model_copy(update={"head_ratio": (head_ratio, head_ratio)}), 0
    for seed in range(24):
        figure = sampled(seed, params=params)
        drawn = render(figure, 200)
        x, y = (figure.pose[J["head"]] * 200).astype(int)
        if drawn.part[y - drawn.box[0].start, x - drawn.box[1].start] in {P["head"], P["hair"]}:
            seen_heads += 1
            assert visible(figure, drawn)[J["head"]], figure.look
    assert seen_heads > 18


def test_arms_behind_the_back_are_hidden() -> None:
    behind = {f"{side}_{name}": value for side in "lr" for name, value in (("swing", -40.0), ("elbow", 60.0), ("arm_twist", 80.0), ("raise", 5.0))}
    front, back = (
        dict(zip(JOINTS, visible(figure, render(figure, 600)), strict=True)) for figure in (seen("bob-shorts", turn, **behind) for turn in (0, 180))
    )
    assert not front["l_wrist"] and not front["r_wrist"]
    assert back["l_wrist"] and back["r_wrist"]
    assert front["head"] and front["hip"] and front["l_knee"] and front["r_ankle"]


def test_most_joints_show_and_some_are_hidden() -> None:
    flags = np.array([visible(figure, render(figure, 300)) for figure in map(sampled, range(60))])
    assert flags.shape == (60, len(JOINTS))
    assert 0.75 < flags.mean() < 0.98
    assert flags.any(axis=0).all()


def test_the_whole_body_lies_in_the_picture() -> None:
    for seed in range(12):
        figure = sampled(seed)
        assert ((figure.points[:, :2] > 0) & (figure.points[:, :2] < 1)).all()
        assert ((figure.pose > 0) & (figure.pose < 1)).all()
        art = line_art(figure, 128)
        assert (np.concatenate([art[0], art[-1], art[:, 0], art[:, -1]]) == 255).all()


# --- proportions, camera, looks


def measured(head_ratio: float = 6.0, shoulders: float = 1.0, legs: float = 1.0) -> dict[str, float]:
    """Of bodies with these proportions, in body heights."""
    ranges = {"head_ratio": (head_ratio,) * 2, "shoulders": (shoulders,) * 2, "legs": (legs,) * 2}
    camera = CameraRanges(turn=(0, 0), frontal=1.0, elevation=(0, 0), focal=(1000, 1000))
    found = []
    for seed in range(8):
        figure = sampled(seed, ("short-croquis",), PARAMS.model_copy(update=ranges | {"camera": camera}))
        pose = np.column_stack([figure.pose, figure.depth]) / figure.height
        face = figure.points[np.unique(figure.faces[(figure.part == P["head"]) & (figure.tone == SKIN)])] / figure.height
        length = {name: float(np.linalg.norm(pose[J[a]] - pose[J[b]])) for name, a, b in (("shank", "l_knee", "l_ankle"), ("neck", "head", "neck"))}
        arms = figure.points[np.unique(figure.faces[np.isin(figure.part, [P["l_arm"], P["r_arm"]])])] / figure.height
        near_neck = arms[np.linalg.norm(arms - pose[J["neck"]], axis=1) < 0.2]
        found.append(
            length | {"head": float(np.linalg.norm(np.ptp(face, axis=0))), "girdle": float(np.linalg.norm(near_neck - pose[J["neck"]], axis=1).min())}
        )
    return {name: float(np.median([lengths[name] for lengths in found])) for name in found[0]}


def test_proportions_are_those_of_the_parameters() -> None:
    usual, small_head, broad, long_legs = measured(), measured(head_ratio=8.0), measured(shoulders=1.5), measured(legs=1.15)
    assert small_head["neck"] / usual["neck"] == pytest.approx(6 / 8, rel=0.02)
    assert small_head["head"] < 0.85 * usual["head"]
    assert long_legs["shank"] / usual["shank"] == pytest.approx(1.15, rel=0.06)
    assert broad["girdle"] > 1.2 * usual["girdle"]


@pytest.mark.parametrize("legs", [0.7, 1.25])
@pytest.mark.parametrize("head_ratio", [4.0, 10.0])
def test_a_body_with_the_longest_or_shortest_legs_that_are_allowed_is_one(head_ratio: float, legs: float) -> None:
    document = PARAMS.model_dump() | {"head_ratio": (head_ratio, head_ratio), "legs": (legs, legs)}
    params = Mannequins.model_validate(document)
    for seed in range(20):
        build = sample_body(params, np.random.default_rng(seed))[0].build
        assert build.torso > 0.4 * build.head
        assert 0.2 < build.torso / (build.thigh + build.shank) < 1.5


def test_the_broadest_shoulders_over_the_shortest_legs_take_poses_too() -> None:
    params = PARAMS.model_copy(update={"shoulders": (2.0, 2.0), "legs": (0.7, 0.7)})
    for seed in (26, 35, 44):  # whose first builds have no room for their kinds
        body, _, _ = sample_body(params, np.random.default_rng(seed))
        assert not collides(body)


def test_bodies_that_can_take_no_pose_stop_and_name_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing.mannequin, "collides", lambda body: True)
    monkeypatch.setattr(drawing.mannequin, "TRIES", 3)
    with pytest.raises(DataError, match=r"bring draw_figures\.mannequins\.shoulders and draw_figures\.mannequins\.legs nearer to 1"):
        sample_body(PARAMS, np.random.default_rng(0))


def test_the_camera_stays_within_its_ranges() -> None:
    ranges = CameraRanges(turn=(-90.0, 30.0), frontal=0.5, elevation=(10.0, 20.0), focal=(50.0, 100.0))
    cameras = [sample_camera(ranges, np.random.default_rng(seed)) for seed in range(300)]
    turns, elevations, distances = (np.array([getattr(camera, name) for camera in cameras]) for name in ("turn", "elevation", "distance"))
    assert turns.min() >= -90 and turns.max() <= 30 and turns.min() < -80
    assert elevations.min() >= 10 and elevations.max() <= 20
    assert distances.min() >= 50 / 24 and distances.max() <= 100 / 24


@pytest.mark.parametrize(("turn", "middle"), [((-180.0, 180.0), 0.0), ((20.0, 60.0), 37.0), ((135.0, 180.0), 157.0), ((175.0, 180.0), 177.5)])
def test_cameras_about_the_front_do_not_gather_on_the_edge_of_a_range(turn: tuple[float, float], middle: float) -> None:
    ranges = CameraRanges(turn=turn, frontal=1.0, elevation=(0.0, 0.0), focal=(50.0, 50.0))
    turns = np.array([sample_camera(ranges, np.random.default_rng(seed)).turn for seed in range(300)])
    assert len(np.unique(turns)) == 300
    assert turn[0] <= turns.min() and turns.max() <= turn[1]
    assert np.median(turns) == pytest.approx(middle, abs=6)


def test_a_longer_focal_length_flattens() -> None:
    """An arm that reaches for the viewer grows less."""
    reaching = standing(l_swing=80.0, l_raise=0.0, l_elbow=0.0)
    areas = []
    for focal in (35, 200):
        figure = sample_mannequin(PARAMS, ("short-croquis",), np.random.default_rng(0), (reaching, Camera(0, 0, 0, focal / 24), "a test"))
        hand, skull = (figure.points[np.unique(figure.faces[figure.part == P[part]])][:, :2] for part in ("l_hand", "head"))
        areas.append(np.prod(np.ptp(hand, axis=0)) / np.prod(np.ptp(skull, axis=0)))
    assert areas[0] > 1.15 * areas[1]


@pytest.mark.parametrize("looks", [(), ("short",), ("short-croquis", "mohawk-toga")])
def test_looks_that_are_not_known_are_named(looks: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="expected at least one of short-croquis"):
        sample_mannequin(PARAMS, looks, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"head_ratio": [7.0, 5.0]}, "mannequins.head_ratio: .*must not be above the second"),
        ({"shoulders": [0.1, 1.0]}, "mannequins.shoulders"),
        ({"legs": 1.0}, "mannequins.legs"),
        ({"legs": [1.0, 1.3]}, r"mannequins\.legs\.1: Input should be less than or equal to 1\.25"),
        ({"legs": [0.65, 1.0]}, r"mannequins\.legs\.0: Input should be greater than or equal to 0\.7"),
        ({"camera": {"turn": [-180.0, 180.0], "frontal": 0.5, "elevation": [0.0, 400.0], "focal": [35.0, 200.0]}}, "mannequins.camera.elevation"),
        ({"camera": {"turn": [0.0, 0.0], "frontal": 0.5, "elevation": [0.0, 4.0]}}, "mannequins.camera.focal"),
    ],
)
def test_proportions_out_of_range_are_named(values: dict[str, object], complaint: str) -> None:
    document = load_params(REPO / "params.yaml").model_dump(mode="json")
    document["draw_figures"]["mannequins"] |= values
    with pytest.raises(ParamsError, match=complaint):
        parse_params(document, "params.yaml")


def share(figure: Mannequin, **wanted: int) -> float:
    """Of the figure's pixels, those of a tone or a part."""
    drawn = render(figure, 300)
    body = drawn.part != NOTHING
    return float(np.logical_and.reduce([getattr(drawn, name) == value for name, value in wanted.items()], axis=0).sum() / body.sum())


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_is_drawn_from_before_and_behind(look: str) -> None:
    for turn in (0, 180):
        figure = seen(look, turn)
        assert figure.look == look
        assert share(figure, tone=HAIR) > 0.05
        assert (share(figure, tone=TOP) > 0.04) == (not look.endswith("croquis"))


def test_clothes_cover_what_they_should() -> None:
    assert share(seen("short-croquis"), tone=SKIN) > 0.75
    assert share(seen("short-uniform"), part=P["skirt"], tone=BOTTOM) > 0.12
    assert share(seen("short-uniform"), tone=TRIM) > 0.01
    assert share(seen("short-dress"), part=P["skirt"], tone=TOP) > 0.2
    for outfit in ("trousers", "jacket"):
        assert share(seen(f"short-{outfit}"), part=P["l_leg"], tone=BOTTOM) > 0.1
        assert share(seen(f"short-{outfit}"), part=P["l_leg"], tone=SKIN) < 0.02
    assert max(share(seen("short-shorts", seed=seed), part=P["l_leg"], tone=SKIN) for seed in range(6)) > 0.05
    assert share(seen("short-hoodie", 180), part=P["hood"], tone=TOP) > 0.01
    assert share(seen("short-jacket"), part=P["l_arm"], tone=SKIN) < 0.01
    assert share(seen("short-dress"), tone=SHOES) > 0.005


def test_a_skirt_hides_the_thighs_and_goes_with_them() -> None:
    aside = {"l_raise": 70.0, "r_raise": 70.0}
    upright, seated = seen("short-uniform", **aside), seen("short-uniform", 90, l_lift=90.0, r_lift=90.0, l_knee=90.0, r_knee=90.0, **aside)
    for figure in (upright, seated):
        drawn = render(figure, 600)
        hip, knee = figure.pose[J["hip"]], figure.pose[J["l_knee"]]
        x, y = ((0.75 * hip + 0.25 * knee) * 600).astype(int)
        assert drawn.part[y - drawn.box[0].start, x - drawn.box[1].start] == P["skirt"]


def test_an_apron_is_tied_behind() -> None:
    before, behind = (share(seen("bun-apron", turn), part=P["bow"]) for turn in (0, 180))
    assert before == 0
    assert behind > 0.004


def inner_lines(look: str, turn: float, seed: int) -> int:
    """Pixels of lines within the hair."""
    drawn = render(seen(look, turn, seed=seed), 600)
    return int(((drawn.lines == INNER) & (drawn.part == P["hair"])).sum())


def test_tips_show_behind_as_well_where_hair_is_layered() -> None:
    for seed in range(4):
        assert inner_lines("layered-croquis", 180, seed) > 1.7 * inner_lines("bun-croquis", 180, seed)


def test_now_and_then_other_hair_has_a_tier_too() -> None:
    lines = [inner_lines("bob-croquis", 180, seed) for seed in range(24)]
    assert 2 <= sum(count > 1.6 * min(lines) for count in lines) <= 14


def test_hair_that_is_swept_back_leaves_the_forehead_bare() -> None:
    swept, fringed = (share(seen(f"{style}-croquis"), part=P["head"], tone=SKIN) for style in ("swept", "bun"))
    assert swept > 1.1 * fringed


def hair_box(look: str) -> Any:
    figure = seen(look, 180)
    strands = figure.points[np.unique(figure.faces[figure.part == P["hair"]])]
    return np.ptp(strands[:, :2], axis=0) / figure.height


def test_hair_styles_differ_in_their_silhouette() -> None:
    boxes = {style: hair_box(f"{style}-croquis") for style in ("short", "bob", "long", "tails", "bun", "plait")}
    assert boxes["long"][1] > 1.5 * boxes["bob"][1] > 1.5 * boxes["short"][1] * 0.9
    assert boxes["tails"][0] > 1.3 * boxes["short"][0]
    assert boxes["bun"][1] > 0.9 * boxes["short"][1]
    assert boxes["plait"][1] > 1.5 * boxes["bun"][1]


# --- the face


def features(figure: Mannequin) -> Any:
    """Pixels (N, 2) of eyes, brows, nose and mouth."""
    drawn = render(figure, 900)
    rows, columns = np.nonzero((drawn.tone == INK) & (drawn.part == P["head"]))
    return np.column_stack([columns + drawn.box[1].start, rows + drawn.box[0].start]) + 0.5


def test_the_face_looks_where_the_head_is_turned() -> None:
    offsets = []
    for turn in (-50, 0, 50):
        figure = seen("bun-croquis", turn)
        offsets.append(features(figure).mean(axis=0)[0] / 900 - figure.pose[J["head"]][0])
    assert abs(offsets[1]) < 0.004
    assert offsets[2] < -0.015 and offsets[0] > 0.015  # walking around to its left one sees it look to the picture's left


def test_the_face_shows_from_the_side_and_not_from_behind() -> None:
    counts = {turn: len(features(seen("bun-croquis", turn))) for turn in (0, 90, 180)}
    assert counts[0] > 400
    assert 0.05 * counts[0] < counts[90] < counts[0]
    assert counts[180] == 0


def test_a_bowed_head_looks_down() -> None:
    up, level, down = (
        features(seen("bun-croquis", head_nod=nod)).mean(axis=0)[1] / 900 - seen("bun-croquis", head_nod=nod).pose[J["head"]][1]
        for nod in (-20.0, 0.0, 25.0)
    )
    assert up < level < down


def test_no_two_faces_need_be_alike() -> None:
    assert len({len(features(seen("bun-croquis", seed=seed))) for seed in range(8)}) > 4


# --- projection


def test_the_projection_is_black_on_white_before_the_blur_and_soft_after_it() -> None:
    figure = sampled(3)
    buffers = render(figure, 600)
    hard = projection(figure, buffers, 128, 0)
    assert set(np.unique(hard)) == {0, 255} and hard.shape == (600, 600)
    for sigma in (0.8, 1.5, 6.0):
        assert (projection(figure, buffers, 128, sigma) == cv2.GaussianBlur(hard, (0, 0), sigma)).all()


def test_a_higher_threshold_gives_more_shade() -> None:
    figure = sampled(3)
    buffers = render(figure, 300)
    black = [(projection(figure, buffers, threshold, 0) == 0).sum() for threshold in (60, 128, 200)]
    assert black[0] < black[1] < black[2]


def test_the_side_turned_from_the_light_is_black() -> None:
    figure = replace(seen("short-croquis"), albedo=np.ones(9))
    buffers = render(figure, 600)
    body = buffers.part != NOTHING
    black = projection(figure, buffers, 128, 0)[buffers.box] == 0
    assert black[body & (buffers.lit < 0.1)].mean() > 0.9
    assert black[body & (buffers.lit > 0.6) & (buffers.lines == 0)].mean() < 0.35


def test_lines_show_on_black_too() -> None:
    """An arm before a black shirt is set off by white."""
    dark = replace(seen("short-jacket", l_swing=40.0, l_elbow=90.0, l_arm_twist=80.0), albedo=np.full(9, 0.1))
    buffers = render(dark, 600)
    picture = projection(dark, buffers, 128, 0)[buffers.box]
    inside = cv2.erode((buffers.part != NOTHING).astype(np.uint8), np.ones((9, 9))) > 0
    assert 0.01 < (picture[inside] == 255).mean() < 0.5
    outline = buffers.lines == OUTLINE
    assert (picture[outline] == 0).all()


def test_both_pictures_show_the_same_figure() -> None:
    figure = sampled(5)
    masks = []
    for size in (600, 120):
        drawn, mask = render(figure, size), np.zeros((size, size), np.float32)
        mask[drawn.box] = drawn.part != NOTHING
        masks.append(mask)
    shrunk = cv2.resize(masks[0], (120, 120), interpolation=cv2.INTER_AREA) > 0.5
    assert (shrunk & (masks[1] > 0)).sum() / (shrunk | (masks[1] > 0)).sum() > 0.97


# --- line art


@pytest.mark.parametrize("size", [128, 256])
def test_line_art_has_closed_outlines(size: int) -> None:
    """Water poured on the paper from outside the figure never reaches its inside."""
    for seed in range(16):
        figure = sampled(seed)
        art = line_art(figure, size)
        paper = (art > 100).astype(np.uint8)
        cv2.floodFill(paper, None, (0, 0), 2)
        drawn, inside = render(figure, 4 * size), np.zeros((4 * size, 4 * size), np.uint8)
        inside[drawn.box] = drawn.part != NOTHING
        inside = cv2.erode(inside, np.ones((17, 17)))[2::4, 2::4] > 0
        assert inside.any()
        assert (paper[inside] != 2).all(), seed


def test_outlines_surround_the_silhouette_at_every_pixel() -> None:
    for seed in range(8):
        drawn = render(sampled(seed), 600)
        body = (drawn.part != NOTHING).astype(np.uint8)
        rim = body - cv2.erode(body, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
        large = cv2.connectedComponentsWithStats(rim, connectivity=8)
        longest = large[1] == 1 + int(large[2][1:, cv2.CC_STAT_AREA].argmax())
        assert ((drawn.lines[longest] & OUTLINE) > 0).mean() > 0.999


def test_no_line_is_a_speck() -> None:
    for seed in range(8):
        drawn = render(sampled(seed), 600)
        _, _, stats, _ = cv2.connectedComponentsWithStats((drawn.lines > 0).astype(np.uint8), connectivity=8)
        assert stats[1:, cv2.CC_STAT_AREA].min() > 5


def test_line_art_is_thin_dark_lines_on_white() -> None:
    for seed in range(6):
        art = line_art(sampled(seed), 128)
        assert art.shape == (128, 128) and art.dtype == np.uint8
        assert 0.01 < (art < 128).mean() < 0.15
        assert art.min() < 20
        assert (art == 255).mean() > 0.75


def test_line_art_from_a_rendering_at_hand_is_that_of_a_new_one() -> None:
    for seed in range(4):
        figure = sampled(seed)
        at_hand, anew = line_art(figure, 128, render(figure, 600)), line_art(figure, 128)
        assert np.abs(at_hand.astype(float) - anew).mean() < 4
        assert (line_art(figure, 128, render(figure, 100)) == anew).all()  # too coarse to be used


def test_hair_skin_and_clothes_are_set_off_from_each_other_by_lines() -> None:
    drawn = render(seen("bun-jacket"), 600)
    for one, other in ((HAIR, SKIN), (TOP, BOTTOM), (TOP, SKIN)):
        meet = [(drawn.tone[:-1] == a) & (drawn.tone[1:] == b) for a, b in ((one, other), (other, one))]
        rows, columns = np.nonzero(meet[0] | meet[1])
        assert len(rows) > 20
        assert ((drawn.lines[rows, columns] | drawn.lines[rows + 1, columns]) > 0).mean() > 0.9


# --- drawing again


def test_the_same_seed_draws_the_same_figure() -> None:
    one, two = sampled(7), sampled(7)
    assert (one.pose == two.pose).all()
    assert (line_art(one, 64) == line_art(two, 64)).all()
    assert (line_art(one, 64) != line_art(sampled(8), 64)).any()


def test_a_given_body_is_drawn_from_where_its_camera_stands() -> None:
    figure = seen("short-croquis", turn=90)
    assert figure.kind == "a test"
    assert np.ptp(figure.pose[[J["l_knee"], J["r_knee"]], 0]) < 0.05 * figure.height  # one behind the other
    assert np.ptp(seen("short-croquis").pose[[J["l_knee"], J["r_knee"]], 0]) > 0.1 * figure.height
