import json
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from genga.errors import ReleaseError
from genga.release import Entry, Release, content_hash, file_hashes, locked, write_release


def model_folder(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    save_file({"weight": np.full(8, seed, dtype=np.float32)}, folder / "weights.safetensors")
    (folder / "card.json").write_text(json.dumps({"family": "dcgan32", "kimg": seed}))
    return folder


def entry(model_dir: Path, version: str) -> Entry:
    return Entry(version, model_dir, {"kid": 0.1}, ["unknown"], ["my pictures"], ["learned from few pictures"], {}, "c0ffee")


def accept(release: Release) -> None:
    assert release.families


@pytest.fixture
def release_dir(tmp_path: Path) -> Path:
    write_release(tmp_path / "release", {"dcgan32": entry(model_folder(tmp_path / "one", 1), "1")}, 1, accept)
    return tmp_path / "release"


def test_a_written_release_opens_with_what_users_must_be_told(release_dir: Path) -> None:
    release = Release.open(release_dir)
    released = release.families["dcgan32"]
    assert (released.version, released.dir, released.licences, released.metrics) == ("1", release_dir / "dcgan32" / "1", ["unknown"], {"kid": 0.1})
    assert released.card == {"family": "dcgan32", "kimg": 1}
    assert released.directions == {}
    assert released.notes == ["learned from few pictures"]


def test_the_same_families_give_the_same_bytes_and_id(release_dir: Path, tmp_path: Path) -> None:
    again = write_release(tmp_path / "again", {"dcgan32": entry(tmp_path / "one", "1")}, 1, accept)
    assert again.id == Release.open(release_dir).id
    assert (tmp_path / "again" / "release.json").read_bytes() == (release_dir / "release.json").read_bytes()


def test_a_missing_release_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="dvc repro deploy"):
        Release.open(tmp_path)
    (tmp_path / "README.md").write_text("no folder")
    with pytest.raises(ReleaseError, match=r"README.md/release.json cannot be read \(Not a directory\)"):
        Release.open(tmp_path / "README.md")


def test_a_changed_byte_is_refused_by_name(release_dir: Path) -> None:
    path = release_dir / "dcgan32" / "1" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ReleaseError, match=r"weights\.safetensors"):
        Release.open(release_dir)


def test_a_missing_and_an_added_file_are_refused_by_name(release_dir: Path) -> None:
    (release_dir / "dcgan32" / "1" / "card.json").unlink()
    (release_dir / "dcgan32" / "1" / "extra.json").write_text("{}")
    with pytest.raises(ReleaseError, match=r"card\.json, extra\.json"):
        Release.open(release_dir)


def test_a_changed_release_json_is_refused(release_dir: Path) -> None:
    document = json.loads((release_dir / "release.json").read_text())
    document["families"]["dcgan32"]["licences"] = ["CC0-1.0"]
    (release_dir / "release.json").write_text(json.dumps(document))
    with pytest.raises(ReleaseError, match="changed after it was written"):
        Release.open(release_dir)
    (release_dir / "release.json").write_text("[1")
    with pytest.raises(ReleaseError, match="not valid JSON"):
        Release.open(release_dir)


@pytest.mark.parametrize("name", ["model.pkl", "weights.safetensors", "images.npy", "card.json", "sheet.png", "poses.parquet"])
def test_a_pickle_under_any_name_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ReleaseError, match=name):
        file_hashes(tmp_path)


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ReleaseError, match=r"images\.npy"):
        file_hashes(tmp_path)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.json").symlink_to("/etc/passwd")
    with pytest.raises(ReleaseError, match="is a link"):
        file_hashes(tmp_path)


def test_the_content_hash_sees_names_and_bytes() -> None:
    assert content_hash({"a": "1", "b": "2"}) == content_hash({"b": "2", "a": "1"})
    assert len({content_hash(hashes) for hashes in ({"a": "1"}, {"a": "2"}, {"b": "1"})}) == 3


def test_a_failed_check_leaves_the_old_release_serving(release_dir: Path, tmp_path: Path) -> None:
    def refuse(release: Release) -> None:
        assert release.families["dcgan32"].version == "2"
        raise ReleaseError("it draws nothing")

    with pytest.raises(ReleaseError, match="it draws nothing"):
        write_release(release_dir, {"dcgan32": entry(model_folder(tmp_path / "two", 2), "2")}, 1, refuse)
    assert Release.open(release_dir).families["dcgan32"].version == "1"


@pytest.mark.parametrize("served_later", [(), ("2",)], ids=["serving", "kept"])
def test_numbers_that_begin_again_replace_nothing_that_the_release_names(release_dir: Path, tmp_path: Path, served_later: tuple[str, ...]) -> None:
    """As after a new mlflow.db: there is another version 1."""
    for number in served_later:
        write_release(release_dir, {"dcgan32": entry(model_folder(tmp_path / number, int(number)), number)}, 1, accept)
    before = (release_dir / "release.json").read_bytes()
    other = model_folder(tmp_path / "other", 7)

    def refuse(release: Release) -> None:
        assert release.families["dcgan32"].card["kimg"] == 7
        raise ReleaseError("it draws nothing")

    with pytest.raises(ReleaseError, match="it draws nothing"):
        write_release(release_dir, {"dcgan32": entry(other, "1")}, 1, refuse)
    assert (release_dir / "release.json").read_bytes() == before
    Release.open(release_dir)
    assert json.loads((release_dir / "dcgan32" / "1" / "card.json").read_text())["kimg"] == 1
    for _ in range(2):
        written = write_release(release_dir, {"dcgan32": entry(other, "1")}, 1, accept)
        served = Release.open(release_dir).families["dcgan32"]
        assert written.families["dcgan32"] == served
        assert (served.version, served.card["kimg"]) == ("1", 7)
        assert len(list((release_dir / "dcgan32").iterdir())) == 2
    write_release(release_dir, {"dcgan32": entry(model_folder(tmp_path / "next", 8), "2")}, 1, accept)
    assert served.card["kimg"] == 7 and served.dir.is_dir(), "it stays for requests under way"


def test_what_is_no_folder_of_a_released_family_stays(release_dir: Path, tmp_path: Path) -> None:
    for path in (release_dir / ".git" / "objects" / "x", release_dir / "notes" / "mine" / "x", release_dir / "dcgan32" / ".DS_Store"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
    (release_dir / "dcgan32" / "0").mkdir()
    (release_dir / "dcgan32" / "list.txt").write_text("precious")
    write_release(release_dir, {"upscaler": entry(tmp_path / "one", "1")}, 0, accept)
    assert sorted(path.relative_to(release_dir).as_posix() for path in release_dir.rglob("*") if path.is_file()) == [
        *(".git/objects/x", "dcgan32/.DS_Store", "dcgan32/list.txt", "notes/mine/x"),
        *("release.json", "upscaler/1/card.json", "upscaler/1/weights.safetensors"),
    ]
    assert not (release_dir / "dcgan32" / "0").exists()


def test_as_many_older_folders_stay_as_asked_for_and_the_last_served_are_those(release_dir: Path, tmp_path: Path) -> None:
    for number in ("2", "3", "2", "4"):
        model_dir = tmp_path / f"v{number}"
        write_release(release_dir, {"dcgan32": entry(model_dir if model_dir.exists() else model_folder(model_dir, int(number)), number)}, 2, accept)
    assert sorted(path.name for path in (release_dir / "dcgan32").iterdir()) == ["2", "3", "4"]
    assert Release.open(release_dir).families["dcgan32"].version == "4"


def test_a_damaged_folder_is_mended_by_the_next_release(release_dir: Path, tmp_path: Path) -> None:
    (release_dir / "dcgan32" / "1" / "card.json").write_text("{}")
    write_release(release_dir, {"dcgan32": entry(tmp_path / "one", "1")}, 1, accept)
    assert Release.open(release_dir).families["dcgan32"].card["kimg"] == 1


def test_a_family_that_is_no_longer_released_leaves_with_its_folder_kept_for_requests_under_way(release_dir: Path, tmp_path: Path) -> None:
    write_release(release_dir, {"upscaler": entry(model_folder(tmp_path / "up"), "1")}, 1, accept)
    assert list(Release.open(release_dir).families) == ["upscaler"]
    assert (release_dir / "dcgan32" / "1" / "card.json").is_file()


def test_a_reader_never_sees_half_a_release(release_dir: Path, tmp_path: Path) -> None:
    folders = {number: model_folder(tmp_path / f"v{number}", int(number)) for number in "2345"}
    done = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(Release.open(release_dir).families["dcgan32"].version)

    errors: list[Exception] = []
    thread = threading.Thread(target=lambda: _collect(read, errors))
    thread.start()
    for number, folder in folders.items():
        with locked(release_dir / ".lock"):
            write_release(release_dir, {"dcgan32": entry(folder, number)}, 3, accept)
    done.set()
    thread.join()
    assert not errors
    assert seen <= {"1", "2", "3", "4", "5"} and seen


def _collect(work: object, errors: list[Exception]) -> None:
    try:
        work()  # type: ignore[operator]
    except Exception as error:
        errors.append(error)


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    entered = threading.Event()

    def second() -> None:
        with locked(tmp_path / ".lock"):
            entered.set()

    with locked(tmp_path / ".lock"):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.2)
    assert entered.wait(5)
    thread.join()


def test_a_disk_that_is_full_as_a_version_is_copied_is_told_as_such(release_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left") as refused:
        write_release(release_dir, {"dcgan32": entry(model_folder(tmp_path / "two", 2), "2")}, 1, accept)
    assert refused.value.errno == 28
    assert Release.open(release_dir).families["dcgan32"].version == "1"
