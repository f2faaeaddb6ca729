"""Both stores of figures: what stands in them, and that they come out the same again."""

from pathlib import Path

import numpy as np
import pytest

import stages.processes
from genga.errors import ParamsError
from genga.params import DrawFigures, Mannequins, Sticks, load_params, parse_params
from genga.skeleton import from_vector
from genga.splits import split_of
from genga.store import Store, picture_id
from stages.draw_figures import draw_figures, mannequin, stick
from stages.threads import num_cores

REPO = Path(__file__).parents[2]
PARAMS = DrawFigures(
    sticks=Sticks(count=70, size=64, head_ratio=(4.5, 7.5), fill=(0.6, 0.9)),
    mannequins=Mannequins(count=40, size=150, line_art=64, threshold=128, blur_sigma=1.0, head_ratio=6.0, fill=(0.8, 1.0)),
    val=0.2,
    test=0.2,
    seed=4,
)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("data") / "figures"
    draw_figures(PARAMS, out_dir)
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
        assert len(set(store.column("id"))) == len(store)
        poses = from_vector(store.column("pose"))
        assert ((poses > 0) & (poses < 1)).all()
    assert all(len(flags) == 11 and all(isinstance(flag, bool) for flag in flags) for flags in mannequins.column("visible"))
    assert len(set(sticks.column("style"))) == 6
    assert not (figures.parent / "figures.partial").exists()


def test_ids_and_splits_follow_from_the_pictures(figures: Path) -> None:
    sticks = Store(figures / "sticks")
    assert sticks.column("id") == [picture_id(picture) for picture in sticks.images(64)]
    assert sticks.column("split") == [split_of(id_, 0.2, 0.2) for id_ in sticks.column("id")]
    assert all(3 <= len(sticks.indices(split)) <= 28 for split in ("val", "test"))
    assert len(sticks.indices("train")) >= 30


def test_stick_ink_lies_at_the_joints_of_the_manifest(figures: Path) -> None:
    sticks = Store(figures / "sticks")
    for picture, pose in zip(sticks.images(64), from_vector(sticks.column("pose")), strict=True):
        for x, y in (pose[1:] * 64).astype(int):
            assert picture[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].min() < 200


def test_rows_of_the_two_mannequin_arrays_are_the_same_figure(figures: Path) -> None:
    store = Store(figures / "mannequins")
    for row in range(len(store)):
        about, (projected, line_art) = mannequin(PARAMS.mannequins, PARAMS.seed, row)
        assert (store.images(150)[row] == projected).all()
        assert (store.images(64)[row] == line_art).all()
        assert store.column("pose")[row] == about["pose"]


def test_any_number_of_processes_gives_the_same_bytes(figures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages.processes, "num_cores", lambda: num_cores() + 1)
    draw_figures(PARAMS, tmp_path / "figures")
    assert content(tmp_path / "figures") == content(figures)


def test_a_figure_depends_on_its_number_and_the_seed_alone(figures: Path) -> None:
    stored = Store(figures / "sticks").column("id")
    for figure_idx in (0, 41):
        _, (same,) = stick(PARAMS.sticks, PARAMS.seed, figure_idx)
        _, (other,) = stick(PARAMS.sticks, PARAMS.seed + 1, figure_idx)
        assert picture_id(same) == stored[figure_idx]
        assert picture_id(other) not in stored


def test_an_error_leaves_no_folder_that_looks_complete(tmp_path: Path) -> None:
    out_dir = tmp_path / "figures"
    (tmp_path / "figures.partial").write_text("a file stands in the way")
    with pytest.raises(OSError):  # noqa: PT011
        draw_figures(PARAMS, out_dir)
    assert not out_dir.exists()


@pytest.mark.parametrize(
    ("where", "value", "complaint"),
    [
        ("mannequins", {"line_art": 512, "size": 512}, "must differ"),
        ("sticks", {"fill": [0.9, 0.5]}, "must not be above the second"),
        ("sticks", {"fill": [0.5, 1.5]}, "draw_figures.sticks.fill"),
        ("mannequins", {"head_ratio": 2.0}, "draw_figures.mannequins.head_ratio"),
    ],
)
def test_wrong_values_are_named(where: str, value: dict[str, object], complaint: str) -> None:
    document = load_params(REPO / "params.yaml").model_dump(mode="json")
    document["draw_figures"][where] |= value
    with pytest.raises(ParamsError, match=complaint):
        parse_params(document, "params.yaml")


def test_splits_have_their_shares_and_stay_when_pictures_are_added() -> None:
    ids = [picture_id(np.full((1, 1), number % 256, np.uint8).repeat(number // 256 + 1, 0)) for number in range(4000)]
    splits = [split_of(id_, 0.08, 0.1) for id_ in ids]
    assert abs(splits.count("val") / 4000 - 0.08) < 0.02
    assert abs(splits.count("test") / 4000 - 0.1) < 0.02
    assert set(splits) == {"train", "val", "test"}
