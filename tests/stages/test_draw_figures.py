"""Both stores of figures: what stands in them, where their poses come from, and that they come out the same again."""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from test_own_figures import all_but, hide, sketch, write_drawings, write_labels

import stages.draw_figures
import stages.processes
from drawing.mannequin import LOOKS
from drawing.pool import Asked
from drawing.stick import STYLES
from genga.errors import ParamsError
from genga.params import DrawFigures, load_params, parse_params
from genga.pictures import Limits, decode, encode_png
from genga.skeleton import JOINTS, from_vector, mirror, normalise
from genga.splits import split_of
from genga.store import Store, picture_id
from stages.draw_figures import draw_figures, mannequin, sticks, styles_for
from stages.own_figures import WAITS
from stages.threads import num_cores
from stages.train_pose import drawings_of

REPO = Path(__file__).parents[2]
HELD_OUT = ["brush", "mouse", "spiky-*"]


def params_with(**changes: object) -> DrawFigures:
    document = load_params(REPO / "params.yaml").model_dump(mode="json")
    draw = document["draw_figures"]
    draw |= {"val": 0.2, "test": 0.2, "seed": 4, "held_out_styles": HELD_OUT}
    draw["sticks"] |= {"count": 70, "size": 64, "fill": [0.6, 0.9]}
    draw["mannequins"] |= {"count": 40, "size": 150, "line_art": 64}
    document["train_sketcher"]["model"]["resolution"] = document["index_figures"]["size"] = 64
    for name, value in changes.items():
        draw[name] = draw[name] | value if isinstance(value, dict) else value
    return parse_params(document, "params for tests").draw_figures


PARAMS = params_with()


@pytest.fixture(scope="module")
def in_one_process() -> Iterator[None]:
    """Starting processes takes longer than these few figures; that they give the same bytes is a test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages.draw_figures, "in_order", lambda function, items, chunk_size=1: ([function(item)] for item in items))
        yield


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of no poses and no drawings."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "README.md").write_text("poses and drawings go here")
    return folder


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    out_dir = tmp_path_factory.mktemp("data") / "figures"
    draw_figures(PARAMS, empty, empty, out_dir)
    return out_dir


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_both_stores_have_what_was_asked_for(figures: Path) -> None:
    sticks, mannequins = Store(figures / "sticks"), Store(figures / "mannequins")
    assert sticks.images(64).shape == (70, 64, 64)
    assert mannequins.images(150).shape == (40, 150, 150)
    assert mannequins.images(64).shape == (40, 64, 64)
    for store in (sticks, mannequins):
        assert store.terms() == {"licences": ["CC0-1.0"], "sources": ["drawn by Genga"]}
        assert len(set(store.column("id"))) == len(set(store.column("pose_id"))) == len(store)
        poses, visible = from_vector(store.column("pose")), np.array(store.column("visible"))
        assert visible.dtype == bool and visible.shape == (len(store), 11)
        assert ((poses > 0) & (poses < 1)).all(axis=2)[visible].all()
    assert np.array(sticks.column("visible")).mean() > 0.9
    assert set(sticks.column("style")) <= set(STYLES)
    assert set(mannequins.column("style")) <= set(LOOKS)
    assert (figures / "rejected.csv").read_text() == "path,reason\n"
    assert not (figures.parent / "figures.partial").exists()


def test_ids_follow_from_the_pictures_and_splits_from_the_poses(figures: Path) -> None:
    sticks = Store(figures / "sticks")
    assert sticks.column("id") == [picture_id(picture) for picture in sticks.images(64)]
    assert sticks.column("split") == [split_of(id_, 0.2, 0.2) for id_ in sticks.column("pose_id")]
    assert all(3 <= len(sticks.indices(split)) <= 28 for split in ("val", "test"))
    assert len(sticks.indices("train")) >= 30


def test_no_style_of_the_held_out_ones_is_seen_in_training(figures: Path) -> None:
    for store, held in (("sticks", {"brush", "mouse"}), ("mannequins", {look for look in LOOKS if look.startswith("spiky-")})):
        rows = Store(figures / store)
        for split, style in zip(rows.column("split"), rows.column("style"), strict=True):
            assert (style in held) == (split != "train")


def test_without_held_out_styles_every_split_may_have_all() -> None:
    assert styles_for("test", LOOKS, ()) == styles_for("train", LOOKS, ("brush",)) == LOOKS
    assert styles_for("val", tuple(STYLES), ("brush",)) == ("brush",)
    assert set(styles_for("train", tuple(STYLES), ("b*",))) == {name for name in STYLES if not name.startswith("b")}


@pytest.mark.parametrize(("names", "said"), [(["brusch"], "held-out style 'brusch' is none, expected names or patterns of"), (["*"], "is held out")])
def test_held_out_styles_that_cannot_be_stop(empty: Path, tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        draw_figures(params_with(held_out_styles=names), empty, empty, tmp_path / "figures")


def test_limbs_have_their_colours_on_request(figures: Path, empty: Path, tmp_path: Path, in_one_process: None) -> None:
    own = write_drawings(tmp_path / "own")
    draw_figures(params_with(sticks={"palette": "limbs"}, mannequins={"count": 1}), empty, own, tmp_path / "figures")
    gray, coloured = Store(figures / "sticks"), Store(tmp_path / "figures" / "sticks")
    assert coloured.images(64).shape == (73, 64, 64, 3)
    assert np.array_equal(coloured.column("pose")[:70], gray.column("pose"))
    hues = [np.ptp(picture.astype(int), axis=2).max() for picture in coloured.images(64)]
    assert min(hues[:70]) > 60 and hues[70:] == [0, 0, 0]  # people's own drawings are gray
    read, plain = (drawings_of(store, np.arange(70), 64).pictures.astype(int) for store in (coloured, gray))
    assert np.abs(read - plain).mean() < 12  # the same lines


def test_a_palette_that_is_none_stops(empty: Path, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="palette 'lims' is none, expected null or one of sides, limbs, blue pen"):
        draw_figures(params_with(sticks={"palette": "lims"}), empty, empty, tmp_path / "figures")


def test_ink_lies_at_the_visible_joints_of_the_manifest(figures: Path) -> None:
    """The paper is darker or lighter there than around, whatever the style."""
    sticks = Store(figures / "sticks")
    shown = found = 0
    for picture, pose, visible in zip(sticks.images(64), from_vector(sticks.column("pose")), sticks.column("visible"), strict=True):
        ink = np.abs(picture.astype(int) - np.median(picture))
        for joint in np.flatnonzero(visible)[1:]:
            x, y = (pose[joint] * 64).astype(int)
            shown += 1
            found += ink[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].max() > 30
    assert found > 0.95 * shown


def test_rows_of_the_two_mannequin_arrays_are_the_same_figure(figures: Path) -> None:
    store = Store(figures / "mannequins")
    for row in range(0, len(store), 3):
        about, (projected, line_art) = mannequin(PARAMS, Asked(row, None, None))
        assert (store.images(150)[row] == projected).all()
        assert (store.images(64)[row] == line_art).all()
        assert store.column("pose")[row] == about["pose"]


def test_any_number_of_processes_gives_the_same_bytes(figures: Path, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages.processes, "num_cores", lambda: num_cores() + 1)
    draw_figures(PARAMS, empty, empty, tmp_path / "figures")
    assert content(tmp_path / "figures") == content(figures)


def test_a_figure_depends_on_its_number_and_the_seed_alone(figures: Path) -> None:
    stored = Store(figures / "sticks").column("id")
    asked = [Asked(figure_idx, None, None) for figure_idx in (0, 41)]
    for one, (_, (same,)), (_, (other,)) in zip(asked, sticks(PARAMS, asked), sticks(params_with(seed=5), asked), strict=True):
        assert picture_id(same) == stored[one.figure_idx]
        assert picture_id(other) not in stored


def test_an_error_leaves_no_folder_that_looks_complete(empty: Path, tmp_path: Path) -> None:
    out_dir = tmp_path / "figures"
    (tmp_path / "figures.partial").write_text("a file stands in the way")
    with pytest.raises(OSError):  # noqa: PT011
        draw_figures(PARAMS, empty, empty, out_dir)
    assert not out_dir.exists()


@pytest.mark.parametrize(
    ("where", "value", "complaint"),
    [
        ("mannequins", {"line_art": 512, "size": 512}, "must differ"),
        ("sticks", {"fill": [0.9, 0.5]}, "must not be above the second"),
        ("sticks", {"fill": [0.5, 1.5]}, "draw_figures.sticks.fill"),
        ("mannequins", {"head_ratio": [2.0, 6.0]}, "draw_figures.mannequins.head_ratio"),
        ("mannequins", {"blur_sigma": 10000.0}, "draw_figures.mannequins.blur_sigma"),
        ("mannequins", {"threshold": 0}, "draw_figures.mannequins.threshold"),
        ("poses", {"share": 1.5}, "draw_figures.poses.share"),
        ("own", {"licence": ""}, "draw_figures.own.licence"),
    ],
)
def test_wrong_values_are_named(where: str, value: dict[str, object], complaint: str) -> None:
    with pytest.raises(ParamsError, match=complaint):
        params_with(**{where: value})


def test_splits_have_their_shares_and_stay_when_pictures_are_added() -> None:
    ids = [picture_id(np.full((1, 1), number % 256, np.uint8).repeat(number // 256 + 1, 0)) for number in range(4000)]
    splits = [split_of(id_, 0.08, 0.1) for id_ in ids]
    assert abs(splits.count("val") / 4000 - 0.08) < 0.02
    assert abs(splits.count("test") / 4000 - 0.1) < 0.02
    assert set(splits) == {"train", "val", "test"}


# --- poses from files


@pytest.fixture(scope="module")
def pose_folder(tmp_path_factory: pytest.TempPathFactory, figures: Path) -> Path:
    """The poses of drawn mannequins, in pixels."""
    folder = tmp_path_factory.mktemp("poses")
    np.savez(folder / "mine.npz", photo=from_vector(Store(figures / "mannequins").column("pose"))[:12] * 700)
    (folder / "sources.csv").write_text("file,source,licence\nmine.npz,my photos,CC-BY-4.0\n")
    return folder


@pytest.fixture(scope="module")
def posed(tmp_path_factory: pytest.TempPathFactory, pose_folder: Path, empty: Path, in_one_process: None) -> Path:
    out_dir = tmp_path_factory.mktemp("data") / "figures"
    draw_figures(params_with(poses={"share": 0.5}, sticks={"count": 60}, mannequins={"count": 24}), pose_folder, empty, out_dir)
    return out_dir


def test_figures_in_poses_of_a_file_look_like_these_and_keep_their_terms(posed: Path, pose_folder: Path) -> None:
    real = normalise(np.load(pose_folder / "mine.npz")["photo"])
    both = np.concatenate([real, normalise(mirror(real))])
    for name, allowed in (("sticks", 1e-6), ("mannequins", 0.04)):
        store = Store(posed / name)
        assert store.terms() == {"licences": ["CC-BY-4.0", "CC0-1.0"], "sources": ["drawn by Genga", "drawn by Genga, poses: my photos"]}
        rows = [row for row, kind in enumerate(store.column("kind")) if kind == "photo"]
        assert 0.3 < len(rows) / len(store) < 0.7
        found = normalise(from_vector(store.column("pose")))[rows]
        distances = np.linalg.norm(found[:, None] - both, axis=-1).mean(axis=-1).min(axis=1)
        held_out = np.array([store.column("split")[row] != "train" for row in rows])
        assert 0 < held_out.sum() < len(rows)
        assert distances[held_out].max() < allowed
        assert allowed < np.median(distances[~held_out]) < 0.08  # figures to learn from stray
        assert {store.column("licence")[row] for row in rows} == {"CC-BY-4.0"}


def test_nothing_strays_where_nothing_should(pose_folder: Path, empty: Path, tmp_path: Path, in_one_process: None) -> None:
    draw_figures(params_with(poses={"share": 1.0, "vary": 0.0}, sticks={"count": 30}, mannequins={"count": 1}), pose_folder, empty, tmp_path / "f")
    found = normalise(from_vector(Store(tmp_path / "f" / "sticks").column("pose")))
    real = normalise(np.load(pose_folder / "mine.npz")["photo"])
    both = np.concatenate([real, normalise(mirror(real))])
    assert np.linalg.norm(found[:, None] - both, axis=-1).mean(axis=-1).min(axis=1).max() < 1e-6


def test_all_figures_of_one_pose_are_in_one_split(posed: Path) -> None:
    splits = defaultdict(set)
    for name in ("sticks", "mannequins"):
        store = Store(posed / name)
        for id_, split, kind in zip(store.column("pose_id"), store.column("split"), store.column("kind"), strict=True):
            if kind == "photo":
                splits[id_].add(split)
    assert len(splits) > 6
    assert all(len(split) == 1 for split in splits.values())


def test_more_figures_leave_the_first_ones_as_they_were(posed: Path, pose_folder: Path, empty: Path, tmp_path: Path, in_one_process: None) -> None:
    draw_figures(params_with(poses={"share": 0.5}, sticks={"count": 9}, mannequins={"count": 5}), pose_folder, empty, tmp_path / "figures")
    for name, count in (("sticks", 9), ("mannequins", 5)):
        assert Store(tmp_path / "figures" / name).column("id") == Store(posed / name).column("id")[:count]


def test_a_figure_within_the_limits_is_the_same_with_files_and_without(posed: Path, figures: Path) -> None:
    here, there = Store(posed / "sticks"), Store(figures / "sticks")
    rows = [row for row, kind in enumerate(here.column("kind")) if kind != "photo"]
    assert [here.column("id")[row] for row in rows] == [there.column("id")[row] for row in rows]


def bones(name: str, offset: str, *below: str) -> str:
    end = "End Site { OFFSET 0 0 0 }"
    return f"JOINT {name} {{\nOFFSET {offset}\nCHANNELS 3 Zrotation Xrotation Yrotation\n{''.join(below) or end} }}\n"


def limb(names: list[str], offsets: list[str]) -> str:
    return bones(names[0], offsets[0], *([limb(names[1:], offsets[1:])] if names[1:] else []))


def limbs(side: str, x: str) -> tuple[str, str]:
    arm = limb([f"{side}Arm", f"{side}ForeArm", f"{side}Hand"], [f"{x}2 8 0", f"{x}3 0 0", f"{x}2.5 0 0"])
    return arm, limb([f"{side}UpLeg", f"{side}Leg", f"{side}Foot"], [f"{x}1 0 0", "0 -5 0", "0 -4.5 0"])


T_POSE = (
    "HIERARCHY\n"
    + bones("Hips", "0 0 0", bones("Head", "0 10 0"), *limbs("Left", ""), *limbs("Right", "-")).replace("JOINT", "ROOT", 1)
    + f"MOTION\nFrames: 1\nFrame Time: 0.03\n{'0 ' * 42}\n"
)


def test_motion_is_seen_from_many_sides(tmp_path: Path, empty: Path, in_one_process: None) -> None:
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses" / "stand.bvh").write_text(T_POSE)
    params = params_with(poses={"share": 1.0}, sticks={"count": 12}, mannequins={"count": 6})
    draw_figures(params, tmp_path / "poses", empty, tmp_path / "figures")
    for name in ("sticks", "mannequins"):
        store = Store(tmp_path / "figures" / name)
        assert set(store.column("kind")) == {"stand"}
        poses = normalise(from_vector(store.column("pose")))
        widths = np.abs(poses[:, JOINTS.index("l_wrist"), 0] - poses[:, JOINTS.index("r_wrist"), 0])
        assert widths.max() - widths.min() > 0.2  # a T-pose from the front and from the side


def test_a_motion_that_comes_back_is_not_on_both_sides_of_the_split(tmp_path: Path, empty: Path, in_one_process: None) -> None:
    """Two poses that alternate for a minute, nearly."""
    (tmp_path / "poses").mkdir()
    rng = np.random.default_rng(0)
    angles = np.tile(rng.uniform(-40, 40, (2, 42)), (15, 1)) + rng.normal(0, 0.2, (30, 42))
    frames = "\n".join(" ".join(f"{angle:.3f}" for angle in frame) for frame in angles)
    motion = T_POSE[: T_POSE.index("Frames:")] + f"Frames: 30\nFrame Time: 2\n{frames}\n"
    (tmp_path / "poses" / "nod.bvh").write_text(motion)
    params = params_with(poses={"share": 1.0}, sticks={"count": 30}, mannequins={"count": 1})
    draw_figures(params, tmp_path / "poses", empty, tmp_path / "figures")
    assert set(Store(tmp_path / "figures" / "sticks").column("split")) == {"train"}


# --- the user's own drawings


def test_own_drawings_join_the_stores_on_square_paper_with_their_joints(tmp_path: Path, empty: Path, in_one_process: None) -> None:
    own = write_drawings(tmp_path / "own")
    params = params_with(sticks={"count": 5}, mannequins={"count": 3}, own={"source": "my hand", "licence": "CC-BY-4.0"})
    (own / "sticks" / "unlabeled.png").write_bytes(encode_png(sketch(100, 100, 9)[0]))
    draw_figures(params, empty, own, tmp_path / "figures")
    assert (tmp_path / "figures" / "rejected.csv").read_text() == f"path,reason\nsticks/unlabeled.png,{WAITS}\n"
    for name, drawn, sizes in (("sticks", 5, [64]), ("mannequins", 3, [150, 64])):
        store = Store(tmp_path / "figures" / name)
        mine = range(drawn, len(store))
        assert len(mine) == {"sticks": 3, "mannequins": 2}[name]
        for row in mine:
            assert (store.column("kind")[row], store.column("source")[row], store.column("licence")[row]) == ("own", "my hand", "CC-BY-4.0")
            assert store.column("visible")[row] == [True] * 11
            for size in sizes:
                for x, y in (from_vector(store.column("pose")[row]) * size).astype(int):
                    assert store.images(size)[row][max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].min() < 200
    narrow = Store(tmp_path / "figures" / "sticks").images(64)[6]  # 200 x 300
    assert (narrow[:, :9] == 255).all() and (narrow[:, -9:] == 255).all() and narrow[:, 10:54].min() < 100


def test_an_own_drawing_keeps_its_split_when_its_joints_are_placed_anew(tmp_path: Path, empty: Path, in_one_process: None) -> None:
    own = write_drawings(tmp_path / "own")
    params = params_with(sticks={"count": 5}, mannequins={"count": 3})
    stores = []
    for name in ("first", "again"):
        draw_figures(params, empty, own, tmp_path / name)
        stores.append(Store(tmp_path / name / "sticks"))
        export = own / "project-1.json"
        tasks = json.loads(export.read_text())
        for task in tasks:
            task["annotations"][0]["result"][0]["value"]["x"] += 0.5
        export.write_text(json.dumps(tasks))
    first, again = (dict(zip(store.column("id"), zip(store.column("split"), store.column("pose_id"), strict=True), strict=True)) for store in stores)
    mine = [picture_id(picture) for picture in stores[0].images(64)[5:]]
    assert [first[id_][1] == again[id_][1] for id_ in mine] == [False] * 3
    drawings = [picture_id(decode((own / "sticks" / f"{number}.png").read_bytes(), Limits(10**7, 10**7, 1))) for number in range(3)]
    splits = [split_of(id_, params.val, params.test) for id_ in drawings]
    assert [first[id_][0] for id_ in mine] == [again[id_][0] for id_ in mine] == splits


def test_joints_that_people_do_not_see_are_not_visible_in_the_manifest(tmp_path: Path, empty: Path, in_one_process: None) -> None:
    own, (picture, pose) = write_drawings(tmp_path / "own"), sketch(400, 600, 3)
    hide(own, 1, "r_wrist")
    write_labels(tmp_path / "poses.parquet", picture_id(picture), pose, "l_ankle", "hip")
    draw_figures(params_with(sticks={"count": 1}, mannequins={"count": 1}), empty, own, tmp_path / "figures", tmp_path / "poses.parquet")
    sticks, mannequins = (Store(tmp_path / "figures" / name).column("visible")[1:] for name in ("sticks", "mannequins"))
    assert sticks == [all_but(), all_but("r_wrist"), all_but()]
    assert mannequins == [all_but("l_ankle", "hip"), all_but()]


WORKERS = """
import signal, sys, time
from genga.door import run
from stages.processes import in_order
def linger(when):
    if when == sys.argv[1]:
        print("begun", flush=True)
        time.sleep(600)
if __name__ == "__mp_main__":  # a worker
    linger("loading")
def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a shell is born without
    list(in_order(linger, ["working"] * 4, chunk_size=1))
if __name__ == "__main__":
    run(main)
"""


@pytest.mark.parametrize("when", ["loading", "working"])
def test_ctrl_c_ends_workers_at_once_and_without_a_word_of_theirs(tmp_path: Path, when: str) -> None:
    (tmp_path / "workers.py").write_text(WORKERS)
    command = [sys.executable, tmp_path / "workers.py", when]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        try:
            _, said = process.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, said) == (130, "\nstopped by Ctrl-C; the same command begins again or goes on\n")
