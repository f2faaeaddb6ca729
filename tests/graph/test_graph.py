"""The whole graph on small values: what a change reruns, what it does not, and what a kill leaves behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import yaml

from genga.families import ALWAYS
from genga.params import load_params
from genga.pictures import encode_png
from genga.registry import Registry
from genga.release import Release
from genga.store import Store
from labeling.keypoints import BAD
from labeling.tasks import label_regions, pose_regions, verdict_region
from models.networks import NETWORKS

REPO = Path(__file__).parents[2]
Shell = Callable[..., subprocess.CompletedProcess[str]]
DVC = (sys.executable, "-m", "dvc")
GENGA = (sys.executable, "-m", "cli.main")


def definitions(project: Path) -> dict[str, dict[str, object]]:
    """dvc.yaml's stages; those made by foreach under their one name."""
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"^\[\d+(?:/\d+)?, [\d:]+\] ([\w@-]+):", output, flags=re.M))


def changed_stages(project: Path, shell: Shell) -> set[str]:
    return set(json.loads(shell(*DVC, "status", "--json", cwd=project).stdout))


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """The finished project once more, free to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "genga", symlinks=True))


def test_the_graph_ends_in_a_release_that_verifies_with_every_family(finished: Path) -> None:
    release = Release.open(finished / "release")
    assert {"tagger", "stick-pose", "figure-pose", "stylegan2", "dcgan32", "tag-transfer", "upscaler", "sketcher", "gallery"} <= set(release.families)


def test_a_second_run_runs_nothing_and_costs_at_most_two_seconds_over_dvc_itself(finished: Path, tmp_path: Path, shell: Shell) -> None:
    """Two seconds where DVC takes one for a graph of one stage. All of it is DVC's own work on our stages, so it grows with what that one costs."""
    shell("git", "init", "-q", cwd=tmp_path)
    shell(*DVC, "init", "-q", cwd=tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages:\n  one:\n    cmd: echo 1 > one\n    outs: [one]\n")
    shell(*DVC, "repro", cwd=tmp_path)

    def seconds(project: Path) -> float:
        """Of a processor: on the clock the longer command meets more of what other tests do meanwhile."""
        before = os.times()
        assert "up to date" in shell(*DVC, "repro", cwd=project).stdout
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    ours, alone = map(min, zip(*((seconds(finished), seconds(tmp_path)) for _ in range(3)), strict=True))  # by turns: other work comes and goes
    assert ours <= 3 * alone, f"{ours:.1f} s, and DVC alone {alone:.1f} s"


def files_of_networks(declared: set[str]) -> set[str]:
    """Of every network in the table, and of what those among them that are declared import from models/."""
    files = {f"{module.replace('.', '/')}.py" for module, _ in NETWORKS.values()}
    imports = (re.findall(r"^from (models\.[a-z.]+) import", (REPO / file).read_text(), re.MULTILINE) for file in files & declared)
    return files | {f"{module.replace('.', '/')}.py" for module in chain.from_iterable(imports)}


def test_each_stage_depends_on_exactly_the_modules_that_it_imports(finished: Path) -> None:
    """A stage that opens weights may meet any network of the table, so it may name more networks than this run met."""
    imported: dict[str, set[str]] = {}
    for trace in (finished.parent / "traces").glob("*.json"):
        document = json.loads(trace.read_text())
        module = document["command"].split()[2]
        imported.setdefault(module, set()).update(document["files"])
    assert len(imported) == len(definitions(finished))
    for name, stage in definitions(finished).items():
        files = imported[str(stage["cmd"]).split()[2]]
        if "genga/tags.py" in files:
            files.add("genga/tags.yaml")
        declared = {dep for dep in stage["deps"] if re.match(r"(genga|drawing|labeling|models|stages)/", dep)}  # type: ignore[attr-defined]
        may_meet = files_of_networks(declared) if "models/networks/__init__.py" in files else set()
        missing, unused = files - declared, declared - files - may_meet
        assert not missing, f"{name} in dvc.yaml lacks the deps {sorted(missing)}"
        assert not unused, f"{name} in dvc.yaml names {sorted(unused)} and does not import it"


def test_every_network_that_the_graph_makes_is_evaluated(finished: Path) -> None:
    made = {path.name for path in (finished / "weights").iterdir() if path.is_dir()}
    assert made == {*ALWAYS, *load_params(finished / "params.yaml").train_face}
    assert made == set(json.loads((finished / "reports" / "metrics.json").read_text()))


def test_the_champion_s_run_in_mlflow_holds_its_pictures_its_report_and_what_the_machine_did(finished: Path) -> None:
    registry = Registry(f"sqlite:///{finished}/mlflow.db", finished)
    champion = registry.champion("stylegan2")
    assert champion is not None
    files = {file.path for file in registry.client.list_artifacts(champion.run_id)}
    assert {"faces.png", "interpolation.png", "mixing.png", "collapse.json", "collapse.png", "card.json"} <= files
    grids = {file.path for file in registry.client.list_artifacts(champion.run_id, "samples")}
    assert grids == {f"samples/{path.name}" for path in (finished / "runs/stylegan2/samples").iterdir()} != set()
    metrics = registry.client.get_run(champion.run_id).data.metrics
    assert {"d_loss", "g_loss", "test/kid", "system/cpu_utilization_percentage"} <= metrics.keys()


CHANGES_NO_RESULT = {"watch_collapse": {"action"}}  # which says whether a training comes to its end; the section's other values stand one by one


def test_each_stage_declares_exactly_the_params_that_it_reads() -> None:
    params = load_params(REPO / "params.yaml")
    for name, stage in definitions(REPO).items():
        source = (REPO / "stages" / f"{str(stage['cmd']).split()[2].removeprefix('stages.')}.py").read_text()
        sections = set(re.findall(r"load_params\(\)\.(\w+)", source))
        assert source.count("load_params()") == len(re.findall(r"load_params\(\)\.\w+", source)), f"{name} keeps the whole Params"
        one_by_one: dict[str, set[str]] = {}
        for param in stage.get("params", []):  # type: ignore[attr-defined]
            section, _, key = param.partition(".")
            one_by_one.setdefault(section, set()).update({key} - {"", "${key}", "${item}"})
        assert one_by_one.keys() == sections, f"{name} declares {one_by_one.keys()} and reads {sections}"
        for section, keys in one_by_one.items():
            spared = CHANGES_NO_RESULT.get(section, set())
            expected = getattr(params, section).model_fields_set - spared if spared else set()
            assert keys == expected, f"{name} declares {keys} of {section}, expected {expected}"


CHANGED = ("genga/tags.yaml", "models/networks/upscaler.py", "drawing/stick.py", "stages/prepare_faces.py")


@pytest.fixture(scope="module")
def stale_by_file(finished: Path, tmp_path_factory: pytest.TempPathFactory, shell: Shell) -> dict[str, set[str]]:
    """Of a project in which CHANGED have changed: each file that DVC finds changed, and the stages that are stale by it."""
    project = Path(shutil.copytree(finished, tmp_path_factory.mktemp("changed") / "genga", symlinks=True))
    for file in CHANGED:
        with (project / file).open("a") as source:
            source.write("\n# changed\n")
    found: dict[str, set[str]] = {}
    for stage, changes in json.loads(shell(*DVC, "status", "--json", cwd=project).stdout).items():
        for file in chain.from_iterable(files for change in changes for files in change.values()):
            found.setdefault(file, set()).add(stage.partition("@")[0])
    return found


@pytest.mark.parametrize("file", CHANGED)
def test_a_changed_source_file_makes_exactly_its_dependents_stale(finished: Path, stale_by_file: dict[str, set[str]], file: str) -> None:
    dependents = {name for name, stage in definitions(finished).items() if file in stage["deps"]}  # type: ignore[operator]
    assert dependents and stale_by_file[file] == dependents
    assert stale_by_file.keys() == set(CHANGED)


def test_a_changed_value_reruns_what_reads_it_and_what_follows(copied: Path, shell: Shell) -> None:
    (copied / "profiles/more.yaml").write_text("evaluate: {samples: 33}\n")
    shell(*GENGA, "profile", "more", cwd=copied)
    ran = stages_run(shell(*GENGA, "repro", cwd=copied).stdout)
    assert {"evaluate", "register", "gate"} <= ran
    assert ran <= {"evaluate", "register", "gate", "deploy"}


@pytest.mark.parametrize(
    ("regions", "stale", "spared"),
    [
        (pose_regions(np.random.default_rng(0).uniform(0.1, 0.9, (11, 2)), 100, 100), "draw_figures", "train_tagger"),
        (label_regions({"hair_color": "blue"}), "train_tagger", "draw_figures"),
        ([verdict_region(BAD)], "draw_figures", "prepare_faces"),
    ],
)
def test_a_new_label_reruns_exactly_what_reads_its_kind(
    copied: Path, shell: Shell, regions: list[dict[str, object]], stale: str, spared: str
) -> None:
    task = {"id": 1, "data": {"image": "x", "id": "0" * 64}, "annotations": [{"id": 1, "completed_by": 1, "result": regions}]}
    (copied / "annotations" / "project-1.json").write_text(json.dumps([task]))
    assert changed_stages(copied, shell) == {"labels"}
    shell(*DVC, "repro", "labels", cwd=copied)
    changed = changed_stages(copied, shell)
    assert stale in changed and spared not in changed
    (copied / "annotations" / "revisions").mkdir()
    (copied / "annotations" / "revisions" / "revisions.jsonl").write_text("{}")
    assert "labels" not in changed_stages(copied, shell)


def test_tags_that_change_make_a_family_stale_that_is_told_them_and_no_other(copied: Path, shell: Shell) -> None:
    with (copied / "data/faces/tagged/tags.parquet").open("ab") as tags:
        tags.write(b"changed")
    assert not any(stage.startswith("train_face") for stage in changed_stages(copied, shell))
    shell(*GENGA, "profile", "stylegan2-tags", cwd=copied)
    changed = json.loads(shell(*DVC, "status", "--json", cwd=copied).stdout)
    assert "data/faces/tagged" in str(changed["train_face@stylegan2"]) and "train_face@dcgan32" not in changed


def test_a_changed_folder_is_taken_in_again(copied: Path, shell: Shell, tmp_path: Path) -> None:
    pictures = Store(copied / "data/faces/sample").images(64)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for picture_idx in range(40):
        (folder / f"{picture_idx}.png").write_bytes(encode_png(pictures[picture_idx]))
    shell(*GENGA, "import", str(folder), cwd=copied)
    assert "import_faces" in stages_run(shell(*GENGA, "repro", "prepare_faces", cwd=copied).stdout)
    assert stages_run(shell(*GENGA, "repro", "prepare_faces", cwd=copied).stdout) == set()
    (folder / "new.png").write_bytes(encode_png(pictures[50]))
    assert stages_run(shell(*GENGA, "repro", "prepare_faces", cwd=copied).stdout) == {"import_faces", "labels", "prepare_faces"}
    assert len(Store(copied / "data/faces/imported")) == 41


def kill_when(ready: Callable[[], bool], project: Path, stage: str, environment: dict[str, str]) -> None:
    """Starts `dvc repro STAGE` and kills it with everything that it started as soon as `ready` says so."""
    process = subprocess.Popen(
        [*DVC, "repro", stage], cwd=project, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, f"{stage} ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def import_many(project: Path, shell: Shell) -> None:
    """Enough pictures that an import takes a second and more."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(project / "many.zip", "w") as archive:
        for picture_idx in range(2000):
            archive.writestr(f"{picture_idx}.png", encode_png(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    shell(*GENGA, "import", "many.zip", cwd=project)


def train_long(project: Path, shell: Shell) -> None:
    (project / "profiles/longer.yaml").write_text("train_face: {stylegan2: {}, dcgan32: {training: {total_kimg: 1.0, checkpoint_kimg: 0.25}}}\n")
    shell(*GENGA, "profile", "longer", cwd=project)


@pytest.mark.parametrize(
    ("stage", "out", "prepare", "begun"),
    [
        ("import_faces", "data/faces/imported", import_many, "data/faces/imported.partial"),
        pytest.param("train_face@dcgan32", "weights/dcgan32", train_long, "runs/dcgan32/checkpoints/*", marks=pytest.mark.slow),
    ],
)
def test_killed_and_run_again_a_stage_ends_in_the_same_bytes(
    copied: Path, shell: Shell, environment: dict[str, str], stage: str, out: str, prepare: Callable[[Path, Shell], None], begun: str
) -> None:
    prepare(copied, shell)
    shell(*DVC, "repro", stage, cwd=copied)
    undisturbed = {path.relative_to(copied): path.read_bytes() for path in sorted((copied / out).rglob("*")) if path.is_file()}
    assert undisturbed

    shutil.rmtree(copied / out)
    shutil.rmtree(copied / ".dvc/cache")
    shutil.rmtree(copied / "runs", ignore_errors=True)  # the last state of a training, from which it would be over at once
    kill_when(lambda: any(copied.glob(begun)), copied, stage, environment)
    assert not (copied / out).exists()
    shell(*DVC, "repro", stage, cwd=copied)
    assert {path.relative_to(copied): path.read_bytes() for path in sorted((copied / out).rglob("*")) if path.is_file()} == undisturbed
