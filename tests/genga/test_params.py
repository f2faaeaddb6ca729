import hashlib
import re
import shutil
from datetime import date
from pathlib import Path

import pytest
import yaml

from bench.real_poses import with_profiles
from genga.errors import ParamsError
from genga.families import ALWAYS, GALLERY
from genga.params import Section, begin_stage, check_unchanged, load_params, parse_params
from genga.registry import PROMOTIONS
from stages.references import check_references

GROWTH = {"until_kimg": 9.0, "fade_kimg": 0.0}


def changed(tmp_path: Path, keys: str, value: object) -> Path:
    """params.yaml with one value replaced; `keys` are joined by dots."""
    document = yaml.safe_load(Path("params.yaml").read_text())
    *parents, last = keys.split(".")
    section = document
    for parent in parents:
        section = section[parent]
    section[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_shipped_params_are_valid() -> None:
    assert load_params().draw_faces.count == 2000


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        ("draw_faces.cuont", 5, "draw_faces.cuont"),
        ("draw_faces.count", "2000", "draw_faces.count"),
        ("draw_faces.count", 0, "draw_faces.count"),
        ("draw_faces.seed", 2**64, r"draw_faces\.seed: Input should be less than 4294967296"),
        ("train_tagger.training.seed", 2**32, r"train_tagger\.training\.seed: Input should be less than 4294967296"),
        ("evaluate.seed", 2**64, r"evaluate\.seed: Input should be less than 4294967296"),
        ("import_faces.licence", "", "import_faces.licence"),
        ("train_face.stylegan2.model.arch", "stylegan9", "train_face.stylegan2.model"),
        ("train_pose.stick.model.width", 10, r"train_pose\.stick\.model\.width: Input should be a multiple of 4"),
        ("train_tagger.training.total_kimg", -1.0, "train_tagger.training.total_kimg"),
        ("train_tagger.training.batch_size", 1, r"train_tagger: .*batch norm compares.*make training.batch_size 2 or more, it is 1"),
        ("train_face.stylegan2.training.batch_size", 6, "groups of 4 pictures.*it is 6"),
        ("transfer_tag.training.batch_size", 6, "groups of 4 pictures.*it is 6"),
        ("train_face.stylegan2.growth", [{"side": s, "until_kimg": 9.0, "fade_kimg": 0.0} for s in (16, 32)], "rising until_kimg"),
        ("train_face.stylegan2.growth", [GROWTH | {"side": 16}], "growth goes from side 16 to 64, expected 32: .*list the sides between"),
        ("train_face.stylegan2.growth", [GROWTH | {"side": s} for s in (8, 32)], "growth goes from side 8 to 32, expected 16"),
        ("train_face.stylegan2.growth", [GROWTH | {"side": 64}], "growth goes from side 64 to 64, expected 128"),
        ("train_face.stylegan2.growth", [{"side": 2, "until_kimg": 9.0, "fade_kimg": 0.0}], r"growth\.0\.side: Input should be 4, 8, 16"),
        (
            "train_face.stylegan2.growth",
            [{"side": 16, "until_kimg": 10.0, "fade_kimg": 12.0}, {"side": 32, "until_kimg": 20.0, "fade_kimg": 1.0}],
            "side 32 is faded in for 12 kimg and stays for 10, expected a fade no longer than the stay; lower fade_kimg of side 16",
        ),
        ("evaluate.inception", {"path": "inception.onnx", "sha256": "0" * 64}, "1000 samples were found, expected 2048 or more for FID.*50000"),
        ("train_face.dcgan32.model.d_batch_norm", True, "R1 and R2 speak of one; make it false, or r1_gamma and r2_gamma 0"),
        ("train_face.stylegan2.training.total_kimg", 12.0, r"the warm-up lasts 12 kimg, expected less than .*which is 12; raise"),
        ("train_face.stylegan2.training.total_kimg", 20.0, r"resolution is faded in at 20 kimg, expected less than .*which is 20; raise"),
        ("prepare_faces.val", 0.95, r"prepare_faces: .*val and test are 0\.95 and 0\.08, expected less than 1 together"),
        ("transfer_tag.family", "began64", "transfer_tag.family is began64, expected one of train_face: dcgan32, stylegan2"),
        ("train_face", {"a; b": None}, r"train_face\.a; b"),
        ("train_face.dcgan32.model.resolution", 256, r"train_face\.dcgan32\.model\.resolution is 256, expected one of .* 32, 64, 128; add 256"),
        ("train_tagger.model.resolution", 16, r"train_tagger\.model\.resolution is 16, expected one of prepare_faces\.sizes, 32, 64, 128; add 16"),
        ("train_upscaler.crop", 256, r"train_upscaler\.crop is 256, expected at most the largest of prepare_faces\.sizes, 128; add a size"),
        ("train_sketcher.model.resolution", 64, r"resolution is 64, expected that of draw_figures\.mannequins\.line_art, 128; make"),
        ("index_figures.size", 300, r"index_figures\.size is 300, expected draw_figures\.mannequins\.line_art or size, 128 or 600; make"),
        ("train_tagger.lr", float("inf"), r"train_tagger\.lr: Input should be a finite number"),
        ("gate.dcgan32.min_gain", float("nan"), r"gate\.dcgan32\.min_gain: Input should be a finite number"),
        ("gate.dcgan32.metric", "kdi", r"gate\.dcgan32\.metric is kdi, expected one of kid, fd, .*edges/coverage"),
        ("gate.dcgan32.metric", "inception/fid", r"gate\.dcgan32\.metric is inception/fid, expected one of kid"),
        ("gate.upscaler.metric", "psnr_bicubic", r"gate\.upscaler\.metric is psnr_bicubic, expected one of psnr"),
        ("gate.dcgan32.better", "higher", r"gate\.dcgan32\.better is higher, expected lower: that is how kid is better"),
        (
            "gate.gallery",
            {"metric": "kid", "better": "lower", "min_gain": 0.0},
            "gate has a rule for gallery, expected only ones for dcgan32, .*; take it",
        ),
        (
            "gate.dcgan64",
            {"metric": "kid", "better": "lower", "min_gain": 0.0},
            "gate has a rule for dcgan64, expected only ones for dcgan32, .*; take",
        ),
    ],
)
def test_a_wrong_key_or_value_stops_and_is_named(tmp_path: Path, keys: str, value: object, said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        load_params(changed(tmp_path, keys, value))


@pytest.mark.parametrize(
    ("profile", "family"), [("anime-dcgan", "dcgan64"), ("image-development", "dcgan32"), ("dcgan-faces-tags", "dcgan96"), ("began-paper", "began64")]
)
def test_the_originals_average_no_weights_and_a_dcgan_of_theirs_has_batch_norm_in_both_networks(profile: str, family: str) -> None:
    params = parse_params(with_profiles(profile), profile).train_face[family]
    assert params.ema_kimg == 0 and getattr(params.model, "d_batch_norm", True)


def test_a_profile_that_adds_a_family_says_that_it_takes_the_place_of_another_one_s() -> None:
    profiles = {path: yaml.safe_load(path.read_text()).get("train_face", {}) for path in Path("profiles").glob("*.yaml")}
    adding = [path for path, families in profiles.items() if len(families) == 3]
    assert {path.stem for path in adding} >= {"began", "fastgan"}
    for path in adding:
        assert path.read_text().startswith("# beside the default's families, in the place of any other extra one: ")
    assert with_profiles("began", "fastgan")["train_face"].keys() == {"stylegan2", "dcgan32", "fastgan64"}


def test_the_character_generator_after_the_gpu_s_values_grows_by_doubling_too() -> None:
    stylegan2 = parse_params(with_profiles("gpu", "character-generator"), "both").train_face["stylegan2"]
    assert [step.side for step in stylegan2.growth] + [stylegan2.model.resolution] == [4, 8, 16, 32, 64]


@pytest.mark.parametrize("name", [*ALWAYS, GALLERY, PROMOTIONS])
def test_no_face_generator_takes_the_name_of_what_the_registry_holds_besides(tmp_path: Path, name: str) -> None:
    document = with_profiles()
    document["train_face"][name] = document["train_face"]["dcgan32"]
    with pytest.raises(ParamsError, match=f"train_face has a family {name}, a name that the registry needs"):
        parse_params(document, "params.yaml")


@pytest.mark.parametrize(("missing", "said"), [(["figure"], "no figure"), (["stick", "figure"], "no stick and no figure")])
def test_each_kind_of_figures_has_its_network(missing: list[str], said: str) -> None:
    document = with_profiles()
    for kind in missing:
        del document["train_pose"][kind]
    with pytest.raises(ParamsError, match=f"train_pose has {said}, expected stick and figure; add it there"):
        parse_params(document, "params.yaml")


def test_every_family_has_a_rule() -> None:
    document = with_profiles()
    del document["gate"]["stylegan2"]
    with pytest.raises(ParamsError, match="gate has no rule for stylegan2, expected one for each family; add it there"):
        parse_params(document, "params.yaml")


def test_inception_s_numbers_decide_where_its_weights_are_named() -> None:
    document = with_profiles()
    document["evaluate"] |= {"samples": 5000, "inception": {"path": "inception.onnx", "sha256": "0" * 64}}
    document["gate"]["dcgan32"]["metric"] = document["gate"]["tag-transfer"]["metric"] = "inception/fid"
    parse_params(document, "params.yaml")


@pytest.mark.parametrize(
    ("family", "metric", "better"),
    [
        ("tagger", "hair_color/macro_f1", "higher"),
        ("tagger", "glasses/ece", "lower"),
        ("stick-pose", "pck_0.1/l_wrist", "higher"),
        ("tag-transfer", "tag_share", "higher"),
        ("tag-transfer", "edges/near_identical", "lower"),
        ("upscaler", "sharpness_error", "lower"),
        ("sketcher", "l1", "lower"),
    ],
)
def test_a_rule_may_ask_for_each_number_of_its_family(family: str, metric: str, better: str) -> None:
    document = with_profiles()
    document["gate"][family] = {"metric": metric, "better": better, "min_gain": 0.0}
    check_references(parse_params(document, "params.yaml"))


@pytest.mark.parametrize(
    ("family", "metric", "known"),
    [
        ("tagger", "glases/accuracy", "macro_f1, ece, hair_color/accuracy, .*glasses/ece"),
        ("tagger", "*/accuracy", "macro_f1"),
        ("tagger", "l_elbow/accuracy", "macro_f1"),
        ("figure-pose", "pck_0.1/elbow", "pck_0.1, .*pck_0.1/l_elbow"),
        ("stick-pose", "pck_0.1/visible", "pck_0.1, .*pck_0.1/l_elbow"),
    ],
)
def test_a_rule_for_a_tag_or_a_joint_that_there_is_none_of_is_refused_with_those_there_are(family: str, metric: str, known: str) -> None:
    document = with_profiles()
    document["gate"][family] = {"metric": metric, "better": "higher", "min_gain": 0.0}
    with pytest.raises(ParamsError, match=rf"gate\.{family}\.metric is {re.escape(metric)}, expected one of {known}.*; correct it in params\.yaml"):
        check_references(parse_params(document, "params.yaml"))


def test_a_tag_that_is_none_and_an_inception_that_is_not_there_or_another_are_refused(tmp_path: Path) -> None:
    document = with_profiles()
    document["transfer_tag"]["tag"] = "glases"
    with pytest.raises(ParamsError, match=r"transfer_tag\.tag is 'glases', expected one of hair_color=blonde"):
        check_references(parse_params(document, "params.yaml"))
    path, document = tmp_path / "inception.onnx", with_profiles()
    document["evaluate"] |= {"samples": 5000, "inception": {"path": str(path), "sha256": hashlib.sha256(b"right").hexdigest()}}
    params = parse_params(document, "params.yaml")
    with pytest.raises(ParamsError, match=r"evaluate\.inception\.path is .*inception\.onnx, which cannot be read \(No such file.*; correct it"):
        check_references(params)
    path.write_bytes(b"wrong")
    with pytest.raises(ParamsError, match=r"inception\.onnx has the sha256 .*, expected .*; correct evaluate\.inception in params\.yaml"):
        check_references(params)
    path.write_bytes(b"right")
    check_references(params)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = changed(tmp_path, "tag_faces", {})
    with pytest.raises(ParamsError, match=r"tag_faces\.batch_size: Field required"):
        load_params(path)


def test_broken_yaml_and_a_missing_file_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a: [1,\nb: 2")
    with pytest.raises(ParamsError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")
    with pytest.raises(ParamsError, match="run from the project's folder"):
        load_params(tmp_path / "nowhere.yaml")


def test_params_in_another_encoding_say_so(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(Path("params.yaml").read_text().replace("drawn by Genga", "Zoë").encode("latin-1"))
    with pytest.raises(ParamsError, match=r"params\.yaml is not in UTF-8 .*; save it as UTF-8"):
        load_params(tmp_path / "params.yaml")


def test_what_yaml_takes_for_a_date_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r'import_faces\.origin: .*string \(found \{"date without quotes": "2024-05-01"\}\)'):
        load_params(changed(tmp_path, "import_faces.origin", date(2024, 5, 1)))
    path = tmp_path / "params.yaml"
    path.write_text(Path("params.yaml").read_text() + "2024-05-01: 3\n")
    with pytest.raises(ParamsError, match=r"a key that is no word .*not date"):
        load_params(path)


@pytest.mark.parametrize(
    ("keys", "text", "said"),
    [
        ("train_tagger.lr", "1e-4", r'train_tagger\.lr: .*\(found "1e-4", which YAML takes for a word; write 0\.0001\)'),
        ("train_tagger.lr", "2e-7", r'\(found "2e-7", which YAML takes for a word; write 2\.0e-07\)'),
        ("evaluate.samples", "1e4", r'evaluate\.samples: .*\(found "1e4", which YAML takes for a word; write 10000\)'),
        ("evaluate.samples", "'500'", r'\(found "500", which YAML takes for a word; write 500\)'),
        ("train_tagger.lr", "inf", r'\(found "inf"\)'),
        ("train_tagger.lr", "fast", r'\(found "fast"\)'),
    ],
)
def test_a_number_that_yaml_takes_for_a_word_is_told_how_to_be_written(tmp_path: Path, keys: str, text: str, said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        load_params(changed(tmp_path, keys, yaml.safe_load(text)))


def test_no_section_has_a_default_in_python() -> None:
    def subclasses(section: type[Section]) -> list[type[Section]]:
        return [*section.__subclasses__(), *(deeper for below in section.__subclasses__() for deeper in subclasses(below))]

    with_defaults = [
        f"{section.__name__}.{name}" for section in subclasses(Section) for name, field in section.model_fields.items() if not field.is_required()
    ]
    assert with_defaults == []


def test_sections_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_params().draw_faces.count = 3


@pytest.mark.parametrize(
    ("stage", "keys", "recorded"),
    [
        ("train_face@dcgan32", "train_face.dcgan32.g_lr", "train_face.dcgan32"),
        ("train_face@dcgan32", "watch_collapse.spread", "watch_collapse.spread"),
        ("train_face@dcgan32", "train_face.stylegan2.g_lr", None),
        ("train_pose@stick", "train_pose.stick.lr", "train_pose.stick"),
        ("train_pose@stick", "train_pose.figure.lr", None),
        ("register", "train_face.dcgan32.g_lr", "train_face"),
        ("gate", "deploy.keep_releases", None),
        (None, "train_face.dcgan32.g_lr", None),
    ],
)
def test_a_stage_whose_values_change_while_it_runs_is_told_so_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str | None, keys: str, recorded: str | None
) -> None:
    """By the dvc.yaml that ships."""
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copy(file, tmp_path)
    changed(tmp_path, keys, 7 if keys == "deploy.keep_releases" else 0.25)
    now = (tmp_path / "params.yaml").read_text()
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    if stage:
        monkeypatch.setenv("DVC_STAGE", stage)
    load_params()
    check_unchanged()
    (tmp_path / "params.yaml").write_text(now)
    load_params()  # once more, as some stages do
    if recorded is None:
        check_unchanged()
    else:
        with pytest.raises(ParamsError, match=f"^{recorded} in params.yaml changed while {stage} ran.* run `genga repro` again"):
            check_unchanged()


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("code.py", "changed", "code.py"),
        ("code.py", "the same", None),
        ("large.bin", "the same", "large.bin"),
        ("faces/prepared/a.png", "another", "faces/prepared"),
        ("faces/prepared/in/b.png", "one more", "faces/prepared"),
        ("faces/prepared/__pycache__/c.pyc", "DVC does not look at it", None),
        ("faces/tagged/a.png", "of another family", None),
    ],
)
def test_a_stage_whose_code_or_data_change_while_it_runs_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: str, told: str | None
) -> None:
    changed(tmp_path, "train_face", {"one": {"faces": "prepared"}})
    shutil.copy(".dvcignore", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train_face@one")
    monkeypatch.setattr("genga.params._deps_at_start", {})
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train_face:\n    foreach: ${train_face}\n    do:\n      deps: [code.py, large.bin, 'faces/${item.faces}', absent]\n"
    )
    for folder in ("faces/prepared/in", "faces/prepared/__pycache__", "faces/tagged"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("code.py", "faces/prepared/a.png", "faces/tagged/a.png"):
        (tmp_path / name).write_text("the same")
    (tmp_path / "large.bin").write_bytes(bytes(1_000_001))
    monkeypatch.setattr("genga.params._first_read", {tmp_path / "params.yaml": yaml.safe_load((tmp_path / "params.yaml").read_text())})
    begin_stage()
    check_unchanged()
    (tmp_path / file).write_text(content)
    if told is None:
        check_unchanged()
    else:
        with pytest.raises(ParamsError, match=f"^{told} changed while train_face@one ran"):
            check_unchanged()
