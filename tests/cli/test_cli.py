import copy
import gzip
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import time
import zipfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from cli import edit
from cli.doctor import CHECKS, disk_gb, doctor, ensure_browser, memory_gb
from cli.gamma import SHOWN
from cli.main import build_parser
from cli.repro import repro, stage_descriptions
from flows.turns import our_turn
from genga.errors import DataError, GengaError, ParamsError
from genga.families import ALWAYS
from genga.params import TrainFace, WatchCollapse, load_params, parse_params
from genga.registry import Registry
from models.metrics.scores import Score

REPO = Path(__file__).parents[2]
GROWS = {"count", "width", "blocks", "resolution", "channel_base", "channel_max", "total_kimg", "remembered", "samples", "ema_kimg"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped params.yaml and profiles, and we stand in it."""
    (tmp_path / "params.yaml").write_text((REPO / "params.yaml").read_text())
    (tmp_path / "profiles").symlink_to(REPO / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def genga(*args: str, cwd: Path = REPO) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "cli.main", *args], cwd=cwd, capture_output=True, text=True, check=False, env=None)


def test_help_names_every_command_within_half_a_second() -> None:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        result = genga("--help")
        times.append(time.perf_counter() - started)
    assert result.returncode == 0
    for command in ("import", "repro", "profile", "serve", "tag", "compare", "promote", "rollback", "veto", "doctor"):
        assert command in result.stdout
    assert statistics.median(times) < 0.5


def test_the_laptop_profile_is_what_params_yaml_ships(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit.apply_profiles(["laptop"], dry_run=False)
    assert "already says so" in capsys.readouterr().out
    shipped = yaml.safe_load((REPO / "params.yaml").read_text())
    del shipped["import_faces"]
    assert yaml.safe_load((REPO / "profiles/laptop.yaml").read_text()) == shipped  # every other value


def test_what_was_said_of_pictures_stays_when_they_are_named_again(here: Path) -> None:
    for name in ("pics", "others"):
        (here / name).mkdir()
        (here / name / "a.png").touch()
    edit.choose_faces("pics", "CC-BY-4.0", "my drawings")
    edit.choose_faces("pics/", None, None)
    chosen = load_params().import_faces
    assert (chosen.licence, chosen.origin) == ("CC-BY-4.0", "my drawings")
    edit.choose_faces("pics", "CC0-1.0", None)
    chosen = load_params().import_faces
    assert (chosen.licence, chosen.origin) == ("CC0-1.0", "my drawings")
    edit.choose_faces("others", None, None)
    chosen = load_params().import_faces
    assert (chosen.licence, chosen.origin) == ("unknown", "others")


def test_the_laptop_profile_leaves_the_user_s_pictures(here: Path) -> None:
    (here / "pics").mkdir()
    (here / "pics/a.png").touch()
    edit.choose_faces("pics", "CC-BY-4.0", "my own drawings")
    chosen = load_params().import_faces
    edit.apply_profiles(["evening"], dry_run=False)
    edit.apply_profiles(["laptop"], dry_run=False)
    assert load_params().import_faces == chosen and chosen.source.path == "pics"


def test_the_gpu_s_networks_and_sets_are_no_smaller_than_the_evening_s(here: Path) -> None:
    def sizes(section: Any, name: str = "") -> dict[str, float]:
        if not isinstance(section, dict):
            return {name: section} if name.split(".")[-1] in GROWS and section is not None else {}
        return {key: value for part, below in section.items() for key, value in sizes(below, f"{name}.{part}").items()}

    found = {}
    for profile in ("evening", "gpu"):
        edit.apply_profiles([profile], dry_run=False)
        found[profile] = sizes(yaml.safe_load(Path("params.yaml").read_text()))
        edit.apply_profiles(["laptop"], dry_run=False)
        assert load_params() == load_params(REPO / "params.yaml")
    assert {name for name, value in found["evening"].items() if found["gpu"][name] < value} == set()


@pytest.mark.parametrize("name", sorted(path.stem for path in (REPO / "profiles").glob("*.yaml")))
def test_every_profile_gives_valid_params_and_laptop_and_the_sample_lead_back(here: Path, name: str) -> None:
    edit.apply_profiles([name], dry_run=False)
    load_params()
    edit.apply_profiles(["laptop"], dry_run=False)
    edit.choose_faces("sample", None, None)
    assert load_params() == load_params(REPO / "params.yaml")


def test_profiles_that_name_their_own_sizes_and_rules_go_together_in_either_order(here: Path) -> None:
    for names in (["sketch-256", "sketch-generator"], ["began", "fastgan"], ["dcgan-faces-tags", "anime-dcgan"]):
        for pair in (names, names[::-1]):
            edit.apply_profiles(["laptop", *pair], dry_run=False)
            assert load_params().gate.keys() == {*ALWAYS, *load_params().train_face}


def test_no_profile_s_numbers_go_to_a_network_of_another_arch() -> None:
    """Of each two, one after the other: such values are refused. A resolution is that of the pictures, whatever draws them."""
    profiles = {path.stem: yaml.safe_load(path.read_text()) for path in (REPO / "profiles").glob("*.yaml")}

    def networks(values: Any, name: str = "") -> dict[str, Any]:
        if not isinstance(values, dict):
            return {}
        own = {name: values["model"]} if isinstance(values.get("model"), dict) else {}
        return own | {key: model for part, below in values.items() for key, model in networks(below, f"{name}.{part}").items()}

    def merged(*names: str) -> dict[str, Any]:
        document = json.loads(shipped)
        for name in names:
            edit.merge(copy.deepcopy(profiles[name]), document)
        return document

    shipped = json.dumps(yaml.safe_load((REPO / "params.yaml").read_text()))
    for after in profiles:
        meant = networks(merged(after))
        sized = [name for name, model in networks(profiles[after]).items() if model.keys() - {"resolution"}]
        for before in profiles.keys() - {after}:
            found = networks(document := merged(before, after))
            if any(found[name].get("arch") != meant[name]["arch"] for name in sized):
                with pytest.raises(ParamsError):
                    parse_params(document, f"{before}, then {after}")


def test_the_character_generator_grows_from_4_px_by_doubling_with_the_paper_s_discriminator(here: Path) -> None:
    edit.apply_profiles(["character-generator"], dry_run=False)
    stylegan2 = load_params().train_face["stylegan2"]
    sides = [step.side for step in stylegan2.growth] + [stylegan2.model.resolution]
    assert sides == [4 << level for level in range(len(sides))] and stylegan2.growth[-1].until_kimg < stylegan2.training.total_kimg
    assert stylegan2.style is not None and stylegan2.style.residual


def test_a_profile_prints_the_difference_and_keeps_comments(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first_comment = (here / "params.yaml").read_text().splitlines()[0]
    edit.apply_profiles(["evening"], dry_run=False)
    assert "+" in capsys.readouterr().out
    assert (here / "params.yaml").read_text().splitlines()[0] == first_comment


def test_a_profile_says_which_families_are_trained_no_more(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, gone in (("began", None), ("evening", "began64"), ("gpu", None)):
        edit.apply_profiles([name], dry_run=False)
        said = [line for line in capsys.readouterr().out.splitlines() if "trained no more" in line]
        assert [line.rpartition(": ")[2] for line in said] == ([gone] if gone else [])


def test_a_dry_run_changes_nothing(here: Path) -> None:
    before = (here / "params.yaml").read_text()
    edit.apply_profiles(["evening"], dry_run=True)
    assert (here / "params.yaml").read_text() == before


def test_an_unknown_profile_names_those_there_are(here: Path) -> None:
    with pytest.raises(ParamsError, match="laptop"):
        edit.apply_profiles(["lapptop"], dry_run=False)


@pytest.mark.parametrize("text", ["", "hello\n", "- evaluate\n", "evaluate: [1,\n", "evaluate:\n  seed: 1\n  seed: 2\n", "train_face:\n", "\xff"])
def test_a_profile_that_holds_no_values_is_one_sentence_and_params_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    before = (REPO / "params.yaml").read_text()
    Path("params.yaml").write_text(before)
    Path("profiles").mkdir()
    Path("profiles/mine.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(ParamsError, match=r"profiles/mine\.yaml (is not valid YAML|holds no sections|is not in UTF-8)|train_face"):
        edit.apply_profiles(["mine"], dry_run=False)
    assert Path("params.yaml").read_text() == before


@pytest.mark.parametrize("text", ["", "hello\n", "[]\n"])
def test_params_without_sections_are_one_sentence(here: Path, text: str) -> None:
    (here / "params.yaml").write_text(text)
    for command in (lambda: edit.choose_faces("sample", None, None), lambda: edit.apply_profiles(["laptop"], dry_run=False)):
        with pytest.raises(ParamsError, match=r"params\.yaml holds no sections"):
            command()


def test_the_laptop_profile_brings_back_a_section_that_was_emptied(here: Path) -> None:
    shipped = load_params()
    document = yaml.safe_load((here / "params.yaml").read_text()) | {"train_face": None}
    (here / "params.yaml").write_text(yaml.safe_dump(document))
    edit.apply_profiles(["laptop"], dry_run=False)
    assert load_params() == shipped


def test_outside_the_project_commands_say_so_and_make_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    why = ["--why", "y"]
    for words in (
        ["profile"],
        ["profile", "laptop"],
        ["compare"],
        ["promote", "x", "1", *why],
        ["rollback", "x", *why],
        ["veto", "x", "1", *why],
        ["label", "pull", "--offline"],
    ):
        args = build_parser().parse_args(words)
        with pytest.raises(ParamsError, match="run from the project's folder"):
            args.do(args)
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_for_this_machine_alone_unless_asked() -> None:
    assert build_parser().parse_args(["serve"]).host == "127.0.0.1"


@pytest.mark.parametrize("words", [["promote", "x", "1"], ["rollback", "x"], ["veto", "x", "1"]])
def test_a_record_without_a_reason_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([*words, "--why", " "])
    assert ended.value.code == 2 and "--why: found nothing, expected one sentence" in capsys.readouterr().err


def test_params_that_cannot_be_read_or_written_are_one_sentence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(edit, "write_whole", refuse)
    with pytest.raises(ParamsError, match=r"params\.yaml cannot be written .*Permission denied"):
        edit.apply_profiles(["evening"], dry_run=False)
    (here / "params.yaml").unlink()
    (here / "params.yaml").mkdir()
    with pytest.raises(ParamsError, match=r"params\.yaml cannot be read"):
        load_params()


def test_a_folder_has_its_name_as_origin_however_it_is_written(here: Path) -> None:
    (here / "pics").mkdir()
    (here / "pics/a.png").touch()
    for faces in ("pics", "pics/", "./pics", str(here / "pics")):
        edit.choose_faces(faces, None, None)
        assert load_params().import_faces.origin == "pics"


@pytest.mark.parametrize(
    ("faces", "said"),
    [
        ("", "holds what the graph makes"),
        (".", "holds what the graph makes"),
        ("..", "holds what the graph makes"),
        ("data/faces", "is of that, expected a folder of pictures alone"),
        ("links", r"links/gone\.png is a broken link or no plain file"),
        ("pipes", r"pipes/in/\.pipe is a broken link or no plain file"),
        ("old", r"old/\\udc83e\.png is a name that is not in UTF-8, .*rename it, or pack a tar or zip"),
    ],
)
def test_a_folder_that_dvc_could_not_read_or_that_it_writes_is_refused(here: Path, faces: str, said: str) -> None:
    for folder in ("data/faces", "links", "pipes/in", "old"):
        (here / folder).mkdir(parents=True)
        (here / folder / "a.png").touch()
    (here / "links/gone.png").symlink_to("nowhere.png")
    os.mkfifo(here / "pipes/in/.pipe")
    Path(os.fsdecode(os.fsencode(here / "old") + b"/\x83\x65.png")).touch()
    before = (here / "params.yaml").read_text()
    with pytest.raises(ParamsError, match=said):
        edit.choose_faces(faces, None, None)
    assert (here / "params.yaml").read_text() == before


def test_import_chooses_a_folder_an_archive_kaggle_and_the_sample_again(here: Path) -> None:
    (here / "pics" / "hair").mkdir(parents=True)
    (here / "pics" / "hair" / "a.png").touch()
    edit.choose_faces("pics", "CC-BY-4.0", None)
    assert load_params().import_faces.source.model_dump() == {"kind": "folder", "path": "pics"}
    assert (load_params().import_faces.licence, load_params().import_faces.origin) == ("CC-BY-4.0", "pics")
    with zipfile.ZipFile(here / "faces.zip", "w") as archive:
        archive.writestr("a.png", b"")
    edit.choose_faces("faces.zip", None, "my own drawings")
    assert load_params().import_faces.source.kind == "archive"
    assert (load_params().import_faces.licence, load_params().import_faces.origin) == ("unknown", "my own drawings")
    with tarfile.open(here / "faces.tar.gz", "w:gz") as tar:
        tar.add(here / "pics", "pics")
    edit.choose_faces("faces.tar.gz", None, None)
    assert load_params().import_faces.source.model_dump() == {"kind": "archive", "path": "faces.tar.gz"}
    edit.choose_faces("kaggle:shilou/crypko-data@3", None, None)
    assert load_params().import_faces.source.model_dump() == {
        "kind": "kaggle",
        "path": "stages/kaggle.py",
        "dataset": "shilou/crypko-data",
        "version": 3,
    }
    with pytest.raises(ParamsError, match=r"--licence and --origin were found with `sample`.*leave them out"):
        edit.choose_faces("sample", "CC-BY-4.0", None)
    assert load_params().import_faces.source.kind == "kaggle"
    edit.choose_faces("sample", None, None)
    assert load_params().import_faces == load_params(REPO / "params.yaml").import_faces


def test_a_home_that_the_shell_left_as_a_tilde_is_found(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    (here / "home/pics").mkdir(parents=True)
    (here / "home/pics/a.png").touch()
    edit.choose_faces("~/pics", None, None)
    assert load_params().import_faces.source.path == str(here / "home/pics")
    with pytest.raises(ParamsError, match=f"nothing at {here / 'home/gone'}, expected"):
        edit.choose_faces("~/gone", None, None)


def test_licence_and_origin_stand_without_spaces_around_them_and_blank_ones_are_refused(here: Path) -> None:
    (here / "pics").mkdir()
    (here / "pics/a.png").touch()
    edit.choose_faces("pics", " CC0-1.0 ", "mine\n")
    assert (load_params().import_faces.licence, load_params().import_faces.origin) == ("CC0-1.0", "mine")
    before = (here / "params.yaml").read_text()
    for licence, origin, option in ((" ", None, "--licence"), (None, "", "--origin")):
        with pytest.raises(ParamsError, match=f"{option} is '.?', expected words; write some or leave {option} out"):
            edit.choose_faces("pics", licence, origin)
    assert (here / "params.yaml").read_text() == before


@pytest.mark.parametrize("faces", ["/tmp/a $b c", 'it\'s $(x) "q" #1 100%.zip', "~/x"])
def test_make_hands_over_the_path_as_it_was_written(faces: str) -> None:
    show = ["make", "--no-print-directory", "--eval", 'show: ; @printf %s "$$FACES"', "show"]
    for command, environment in ([*show, f"FACES={faces}"], {}), (show, {"FACES": faces}):
        assert subprocess.run(command, cwd=REPO, env=os.environ | environment, capture_output=True, text=True, check=True).stdout == faces
    dry = subprocess.run(["make", "-n", "run", f"FACES={faces}"], cwd=REPO, capture_output=True, text=True, check=True).stdout
    assert 'genga import "$FACES"\n' in dry


@pytest.mark.parametrize("word", ["no", "yes", "on", "12:30", "1e3", "null", "2024-05-01", "~"])
def test_words_that_yaml_takes_for_something_else_stay_words(here: Path, word: str) -> None:
    (here / word).mkdir()
    (here / word / "a.png").touch()
    for origin in (None, word):
        edit.choose_faces(word, word, origin)
        chosen = load_params().import_faces
        assert (chosen.source.path, chosen.licence, chosen.origin) == (word, word, word)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train_tagger: {lr: 1e-4}\n", r"train_tagger\.lr"),
        ("evaluate: {samples: 0o20000}\n", r"evaluate\.samples"),
        ("import_faces: {origin: 2024-13-45}\n", "mine.yaml is not valid YAML .*month"),
        ("import_faces: {origin: !mine x}\n", "the new params.yaml is not valid YAML .*!mine"),
    ],
)
def test_a_number_that_the_stages_would_not_read_is_refused_before_it_is_written(here: Path, text: str, said: str) -> None:
    (here / "profiles").unlink()
    (here / "profiles").mkdir()
    (here / "profiles/mine.yaml").write_text(text)
    before = (here / "params.yaml").read_text()
    with pytest.raises(ParamsError, match=said):
        edit.apply_profiles(["mine"], dry_run=False)
    assert (here / "params.yaml").read_text() == before


@pytest.mark.parametrize(
    ("faces", "said"),
    [
        ("nowhere.zip", "nothing at nowhere.zip"),
        ("kaggle:shilou/crypko-data", "names no version"),
        ("kaggle:crypko@1", "dataset"),
        ("kaggle:a/b@²", "names no version"),
        ("x" * 300, "nothing at x"),
        ("empty", "no file that we may read lies in empty, .* params.yaml stays as it was"),
        ("picture.png", "picture.png is neither a zip nor a tar archive, .* params.yaml stays as it was"),
        ("cut.tar.gz", "cut.tar.gz is neither"),
        ("pipe", "pipe is neither"),
    ],
)
def test_a_wrong_source_is_refused_and_params_stay(here: Path, faces: str, said: str) -> None:
    (here / "empty" / "deep" / ".cache").mkdir(parents=True)
    for name in ("empty/.DS_Store", "empty/deep/.cache/a.png"):
        (here / name).touch()
    (here / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (here / "cut.tar.gz").write_bytes(gzip.compress(os.urandom(999))[:200])
    os.mkfifo(here / "pipe")
    before = (here / "params.yaml").read_text()
    with pytest.raises(ParamsError, match=said):
        edit.choose_faces(faces, None, None)
    assert (here / "params.yaml").read_text() == before


def test_one_part_of_a_split_archive_is_refused_before_it_is_chosen(here: Path) -> None:
    (here / "s.zip.001").write_bytes(b"PK\3\4")
    before = (here / "params.yaml").read_text()
    with pytest.raises(DataError, match=r"s\.zip\.001 is one part of a split archive"):
        edit.choose_faces("s.zip.001", None, None)
    assert (here / "params.yaml").read_text() == before


def test_outside_the_project_import_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError, match=r"no params\.yaml here; run from the project's folder"):
        edit.choose_faces("sample", None, None)


def test_params_that_are_no_yaml_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("a: [1,\nb: 2")
    with pytest.raises(ParamsError, match=r"params\.yaml is not valid YAML"):
        edit.choose_faces("sample", None, None)
    assert (tmp_path / "params.yaml").read_text() == "a: [1,\nb: 2"


def test_profiles_go_together_as_texts_name_them(here: Path) -> None:
    texts = [REPO / "README.md", REPO / "params.yaml", *(REPO / "docs").glob("*.md"), *(REPO / "profiles").glob("*.yaml")]
    named = {found for text in texts for found in re.findall(r"genga profile((?: [a-z0-9-]+)+)`?", text.read_text())}
    assert " gpu crypko" in named
    for words in sorted(named):
        assert edit._goes(["laptop", *words.split()]), words


def test_profiles_that_do_not_go_together_say_where_to_begin(here: Path) -> None:
    edit.apply_profiles(["anime-dcgan"], dry_run=False)
    before = Path("params.yaml").read_text()
    with pytest.raises(
        ParamsError, match=r"which stays as it was .*begin from the values that ship: `genga profile laptop stylegan2-128`"
    ) as refused:
        edit.apply_profiles(["stylegan2-128"], dry_run=False)
    assert len(str(refused.value)) < 400 and Path("params.yaml").read_text() == before
    edit.apply_profiles(["laptop", "stylegan2-128"], dry_run=False)


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("sketch-generator gpu", "gpu sketch-generator"),
        ("laptop sketch-generator evening", "evening sketch-generator"),
        ("anime-dcgan began stylegan2-tags", "began stylegan2-tags anime-dcgan"),
    ],
)
def test_profiles_that_go_in_another_order_say_which(here: Path, names: str, order: str) -> None:
    with pytest.raises(ParamsError, match=f"in another order they do: `genga profile {order}`"):
        edit.apply_profiles(names.split(), dry_run=False)
    edit.apply_profiles(order.split(), dry_run=False)


def test_two_profiles_that_go_in_no_order_are_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(here / "profiles", own := here / "own")
    for name in ("val", "test"):
        (own / f"{name}.yaml").write_text(f"prepare_faces: {{{name}: 0.6}}\n")
    monkeypatch.setattr(edit, "PROFILES", own)
    with pytest.raises(ParamsError, match="; val and test do not go together in either order, leave one of them out"):
        edit.apply_profiles(["val", "evening", "test"], dry_run=False)


def test_a_profile_on_top_of_others_says_how_to_begin_anew(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anew = "to begin from the values that ship: `genga profile laptop evening`"
    edit.apply_profiles(["evening"], dry_run=False)
    assert anew not in capsys.readouterr().out
    edit.apply_profiles(["gpu"], dry_run=False)
    edit.apply_profiles(["evening"], dry_run=False)
    assert anew in capsys.readouterr().out
    edit.apply_profiles(["laptop", "evening"], dry_run=False)
    assert "to begin" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "wrong", "said"),
    [
        (r"(transfer_tag:\n(?:  .*\n)*?  tag: )\S+", r"\1nosuch", "transfer_tag.tag is 'nosuch', expected one of hair_color=blonde"),
        (r"(figure-pose: {metric: )[^,]+", r"\1pck_0.1/ellbow", "gate.figure-pose.metric is pck_0.1/ellbow, expected .*, pck_0.1/l_elbow,"),
        (
            r"(palette: )\w+",
            r"\1pink",
            "palette 'pink' is none, expected null or one of sides, limbs, blue pen, .*; correct draw_figures.sticks.palette in",
        ),
        (r"(held_out_styles: ).*", r"\1['*']", "every one of .* is held out, expected some to train on; shorten draw_figures.held_out_styles in"),
        (r"(held_out_styles: ).*", r"\1[brusch]", "held-out style 'brusch' is none, expected names or patterns of .*; correct draw_figures.held_out"),
    ],
)
def test_a_name_that_is_none_stops_the_graph_before_anything_runs(here: Path, found: str, wrong: str, said: str) -> None:
    path = Path("params.yaml")
    path.write_text(re.sub(found, wrong, path.read_text()))
    for checked in (partial(repro, []), CHECKS["params.yaml"]):
        with pytest.raises(ParamsError, match=said):
            checked()


@pytest.mark.parametrize("kimg", ["0", "-1", "nan", "inf"])
def test_a_length_of_training_that_is_none_is_refused(here: Path, kimg: str) -> None:
    args = build_parser().parse_args(["gamma", "--family", "began64", "--kimg", kimg])
    edit.apply_profiles(["began"], dry_run=False)
    with pytest.raises(ParamsError, match=f"--kimg {kimg} was found, expected more than 0"):
        args.do(args)


def test_gamma_shows_each_one_s_numbers_and_keeps_its_trainings_in_the_registry(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def sweep(family: str, params: TrainFace, watch: WatchCollapse, gammas: list[float], *rest: Any) -> dict[str, Score]:
        assert family == "began64" and params.training.total_kimg == 2.0 and rest[-1].uri == Registry().uri
        return {f"{gamma:g}": Score(dict.fromkeys(SHOWN, gamma / 7), {}, np.zeros((1, 1, 3), np.uint8)) for gamma in gammas}

    monkeypatch.setattr("cli.gamma.gamma_sweep", sweep)
    monkeypatch.setattr("cli.gamma.judge_of_today", lambda params: None)
    edit.apply_profiles(["began"], dry_run=False)
    args = build_parser().parse_args(["gamma", "0.2", "0.9", "--family", "began64", "--kimg", "2"])
    args.do(args)
    assert "0.02857" in (said := capsys.readouterr().out) and "0.1286" in said


def test_where_dvc_cannot_list_the_stages_its_own_message_is_shown(here: Path) -> None:
    with pytest.raises(GengaError, match=r"DVC cannot list the graph's stages .*not inside of a DVC repository.*; mend what it says"):
        stage_descriptions()


@pytest.mark.parametrize(("number", "to_all", "code"), [(signal.SIGTERM, False, 128 + 15), (signal.SIGINT, True, 128 + 2)])
def test_a_graph_that_is_told_to_stop_takes_its_stage_with_it_and_shows_no_traceback(
    here: Path, number: signal.Signals, to_all: bool, code: int
) -> None:
    """`kill` and Docker tell the command alone, Ctrl-C all that the terminal started."""
    (here / "dvc.yaml").write_text("stages: {slow: {cmd: echo $$ > pid && exec sleep 60}}")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=here, check=True)
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    # what a shell starts in the background ignores Ctrl-C, the tests perhaps too
    command = ["env", "--default-signal=INT", sys.executable, "-m", "cli.main", "repro"]
    with subprocess.Popen(command, cwd=here, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not ((here / "pid").is_file() and (here / "pid").read_text().strip()) and time.monotonic() < deadline:
            time.sleep(0.1)
        stage = int((here / "pid").read_text())
        (os.killpg if to_all else os.kill)(process.pid, number)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == code and 'File "' not in said
    with pytest.raises(ProcessLookupError):
        os.kill(stage, 0)


def test_a_graph_that_waits_for_another_says_so_and_ends_by_ctrl_c(here: Path) -> None:
    (here / "dvc.yaml").write_text("stages: {one: {cmd: touch ran}}")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=here, check=True)
    command = ["env", "--default-signal=INT", sys.executable, "-m", "cli.main", "repro"]
    with (
        our_turn(pytest.fail),
        subprocess.Popen(
            command, cwd=here, env=os.environ | {"PYTHONPATH": str(REPO)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting for another command or flow that runs the graph or pulls labels in this folder\n"
        process.send_signal(signal.SIGINT)
        told, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT and told == "" and said.count("\n") == 2 and "stopped by Ctrl-C" in said
    assert not (here / "ran").exists()


def test_the_graph_by_hand_takes_turns_without_prefect() -> None:
    done = subprocess.run([sys.executable, "-c", "import sys, cli.repro; print('prefect' in sys.modules)"], cwd=REPO, capture_output=True, text=True)
    assert done.stdout == "False\n"


@pytest.fixture
def nothing_installed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor any browser to be found."""
    monkeypatch.delenv("GENGA_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "")


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("torch", "FAIL torch: "),
        ("playwright.sync_api", "note browser: no Chromium found, and no playwright that could have brought one"),
        ("genga.params", "FAIL params.yaml: "),
    ],
)
@pytest.mark.usefixtures("nothing_installed")
def test_the_doctor_names_a_package_that_is_missing_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str, line: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(GengaError, match="checks failed; do what the lines marked FAIL say"):
        doctor()
    (said,) = (each for each in capsys.readouterr().out.splitlines() if each.startswith(line))
    assert package in said and said.endswith("; run `make setup` in the project's folder")


@pytest.mark.usefixtures("nothing_installed")
def test_without_playwright_a_browser_for_the_tests_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(GengaError, match=r"no playwright that could have brought one .*; run `make setup`"):
        ensure_browser()


def test_the_doctor_asks_for_the_disk_that_the_figures_of_params_take(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(free=30e9)
    monkeypatch.setattr("shutil.disk_usage", lambda _: free)
    assert CHECKS["disk"]() is None
    edit.apply_profiles(["evening"], dry_run=False)
    assert (said := CHECKS["disk"]()) and said.startswith("30.0 GB free, expected 37.1, 32.1 of them for figures; make room")
    (here / "data/figures/mannequins").mkdir(parents=True)
    with (here / "data/figures/mannequins/images-600.npy").open("wb") as drawn:
        drawn.truncate(14_400_000_000)
    assert CHECKS["disk"]() is None


def test_the_doctor_asks_for_the_memory_that_the_drawings_of_params_take(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 1 if name == "SC_PAGE_SIZE" else 6e9)
    assert CHECKS["memory"]() is None
    edit.apply_profiles(["evening"], dry_run=False)
    assert (said := CHECKS["memory"]()) and said.startswith("6.0 GB of memory, expected 7.2; lower ")


@pytest.mark.parametrize("profile", ["evening", "gpu"])
def test_a_profile_of_many_figures_says_what_the_doctor_asks_for(here: Path, profile: str) -> None:
    edit.apply_profiles([profile], dry_run=False)
    header = Path(f"profiles/{profile}.yaml").read_text().partition("\n")[0]
    for what, needed in (("memory", memory_gb(load_params())), ("disk", disk_gb(load_params()))):
        said = re.search(rf"(\d+) GB of {what}", header)
        assert said and needed < int(said[1]) < 1.2 * needed


def test_a_typo_in_params_yaml_is_one_sentence_and_exit_code_2(here: Path) -> None:
    (here / "params.yaml").write_text((here / "params.yaml").read_text().replace("  count: 2000", "  cuont: 2000"))
    result = subprocess.run(
        [sys.executable, "-m", "cli.main", "repro"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(REPO), "PATH": "/usr/bin"},
    )
    assert result.returncode == 2
    assert "draw_faces.cuont" in result.stderr
    assert "Traceback" not in result.stderr
