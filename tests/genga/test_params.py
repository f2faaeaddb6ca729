from pathlib import Path

import pytest
import yaml

from genga.errors import ParamsError
from genga.params import Section, load_params


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
        ("import_faces.licence", "", "import_faces.licence"),
        ("train_face.stylegan2.model.arch", "stylegan9", "train_face.stylegan2.model"),
        ("train_tagger.training.total_kimg", -1.0, "train_tagger.training.total_kimg"),
    ],
)
def test_a_wrong_key_or_value_stops_and_is_named(tmp_path: Path, keys: str, value: object, said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        load_params(changed(tmp_path, keys, value))


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
